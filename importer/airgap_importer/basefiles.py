"""The files of ``base``: what is deployed, so that every kustomize reads the same objects in it.

A file whose documents all versions of kustomize separate alike is copied byte for byte. The others
are written anew, object by object, because some versions drop a document in silence after
``--- # comment`` (2.0.3) or the second value of a JSON stream (5), and refuse a file that begins
with ``{`` and is not JSON (2.0.3) or that also holds something that is no object (all; measured).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from airgap_importer.yamltext import json_text
from airgap_shared.kube.objects import KubeObject, ManifestFile

FOLDER = "resources"

_KUSTOMIZE_GROUP = "kustomize.config.k8s.io"
_UNLIKE = re.compile(
    "^(?:---[ \t]*[^ \t\r\n]|\\.\\.\\.|%)|\r(?!\n)|[\x85\u2028\u2029\ufeff]", re.MULTILINE
)
_SEPARATOR = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_CONTENT = re.compile(r"^[ \t]*[^ \t\r\n#]", re.MULTILINE)


def is_deployable(obj: KubeObject) -> bool:
    """Whether an object is for the cluster, not for kustomize itself."""
    return obj.identity.group != _KUSTOMIZE_GROUP


def base_files(
    files: Iterable[ManifestFile], objects: Iterable[KubeObject]
) -> Iterator[ManifestFile]:
    """The files to deploy, below :data:`FOLDER`; those without an object are left out."""
    by_file: dict[str, list[KubeObject]] = defaultdict(list)
    for obj in objects:
        by_file[obj.file].append(obj)
    for file in sorted(files, key=lambda file: file.path):
        found = by_file.get(file.path)
        if found:
            content = file.content if _is_alike(file, found) else _written(file, found)
            yield ManifestFile(f"{FOLDER}/{file.path}", content)


def _is_alike(file: ManifestFile, objects: Sequence[KubeObject]) -> bool:
    """Whether every kustomize finds these objects, and nothing else, in the file as it is."""
    if any(obj.item for obj in objects):
        return False
    text = file.content.decode("utf-8-sig")
    if _UNLIKE.search(text):
        return False
    if text.lstrip().startswith("{") and not _is_json(text):
        return False
    documents = sum(_CONTENT.search(part) is not None for part in _SEPARATOR.split(text))
    return documents == len(objects)


def _is_json(text: str) -> bool:
    """Whether the text is one JSON value: kustomize 2.0.3 reads nothing else after a ``{``."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _written(file: ManifestFile, objects: Sequence[KubeObject]) -> bytes:
    # The first line keeps kustomize 2.0.3 from taking the stream for a single JSON value.
    head = f"# Written anew from upstream/{file.path}: not every kustomize reads that file alike.\n"
    return (head + "".join(f"---\n{json_text(obj.value, 2)}\n" for obj in objects)).encode()
