"""The files to deploy or create, so that every kustomize and kubectl reads the same objects.

A file whose documents all versions of kustomize separate alike is copied byte for byte. Of the
others, the documents are taken as they are one by one, or where even that would not be read alike
everywhere, written anew: some versions drop a document in silence after ``--- # comment`` (2.0.3)
or the second value of a JSON stream (5), and refuse a file that begins with ``{`` and is not JSON
(2.0.3) or that also holds something that is no object (all; measured). What kustomize would type
otherwise than Kubernetes (:mod:`airgap_importer.retyping`) is written anew as well.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from airgap_importer.retyping import is_retyped
from airgap_importer.yamltext import json_text
from airgap_shared.errors import AirgapError, UnrewrittenImage
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.replacing import Edit, edit_text
from airgap_shared.kube.uses import Embedded
from airgap_shared.kube.yamltext import read_documents, read_text

FOLDER = "resources"

_UNLIKE = re.compile(
    "^(?:---[ \t]*[^ \t\r\n]|\\.\\.\\.|%)|\r(?!\n)|[\x85\u2028\u2029\ufeff]", re.MULTILINE
)
_SEPARATOR = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_CONTENT = re.compile(r"^[ \t]*[^ \t\r\n#]", re.MULTILINE)


def base_files(
    files: Iterable[ManifestFile], objects: Iterable[KubeObject]
) -> Iterator[ManifestFile]:
    """The files to deploy, below :data:`FOLDER`; those without an object are left out."""
    by_file = _by_file(objects)
    for file in sorted(files, key=lambda file: file.path):
        found = by_file.get(file.path)
        if found:
            content = file.content if _is_alike(file, found) else _written(file, found)
            yield ManifestFile(f"{FOLDER}/{file.path}", content)


def create_files(
    files: Iterable[ManifestFile],
    objects: Iterable[KubeObject],
    edits: Mapping[KubeObject, Sequence[Edit]],
) -> Iterator[ManifestFile]:
    """For each file, the documents of these objects with all edits done.

    ``objects`` have the values that shall come out. The texts are changed where they stand;
    comments and order stay.
    """
    by_file = _by_file(objects)
    for file in sorted(files, key=lambda file: file.path):
        found = by_file.get(file.path)
        if found:
            changed = _edited(file, found, edits)
            yield ManifestFile(file.path, _documents(changed, found).encode())


def _edited(
    file: ManifestFile, objects: Sequence[KubeObject], edits: Mapping[KubeObject, Sequence[Edit]]
) -> ManifestFile:
    """The file with the edits done in its own text; as it is, where that cannot be."""
    within = [
        replace(edit, inside=(Embedded(obj.document, edit.path), *edit.inside))
        for obj in objects
        if not obj.item
        for edit in edits.get(obj, ())
    ]
    try:
        text = edit_text(read_text(file.content, file.path), within, file.path)
    except UnrewrittenImage:
        return file
    return ManifestFile(file.path, text.encode())


def _by_file(objects: Iterable[KubeObject]) -> dict[str, list[KubeObject]]:
    by_file: dict[str, list[KubeObject]] = defaultdict(list)
    for obj in objects:
        by_file[obj.file].append(obj)
    return by_file


def _is_alike(file: ManifestFile, objects: Sequence[KubeObject]) -> bool:
    """Whether every kustomize finds these objects, and nothing else, in the file as it is."""
    if any(obj.item for obj in objects):
        return False
    text = file.content.decode("utf-8-sig")
    is_json = _is_json(text)
    if _UNLIKE.search(text) or (not is_json and is_retyped(text)):
        return False
    if text.lstrip().startswith("{") and not is_json:
        return False
    documents = sum(_CONTENT.search(part) is not None for part in _SEPARATOR.split(text))
    return documents == len(objects)


def _is_json(text: str) -> bool:
    """Whether the text is one JSON object: kustomize 2.0.3 reads nothing else after a ``{``."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _written(file: ManifestFile, objects: Sequence[KubeObject]) -> bytes:
    # The first line keeps kustomize 2.0.3 from taking the stream for a single JSON value.
    head = f"# The objects of upstream/{file.path}: not every kustomize reads that file alike.\n"
    return (head + _documents(file, objects)).encode()


def _documents(file: ManifestFile, objects: Sequence[KubeObject]) -> str:
    """The objects one by one: as they are written in the file, or else as JSON."""
    parts = _parts(file)
    documents = []
    for obj in objects:
        part = "" if obj.item else parts.get(obj.document, "")
        if not _is_object(part, obj):
            part = f"---\n{json_text(obj.value, 2)}\n"
        documents.append(part)
    return "".join(documents)


def _parts(file: ManifestFile) -> dict[int, str]:
    """The text of each document, beginning with its separator; whether it is right must be seen."""
    text = read_text(file.content, file.path)
    lines = text.splitlines(keepends=True)
    try:
        starts = [document.line - 1 for document in read_documents(text, file.path)]
    except AirgapError:
        return {}
    parts = {}
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        part = "".join(lines[start:end])
        part = part if part.startswith("---") else f"---\n{part}"
        parts[index] = part if part.endswith("\n") else f"{part}\n"
    return parts


def _is_object(text: str, obj: KubeObject) -> bool:
    """Whether every kustomize reads exactly this object from the text."""
    file = ManifestFile(obj.file, text.encode())
    try:
        found = load_objects(file)
    except AirgapError:
        return False
    return len(found) == 1 and found[0].value == obj.value and _is_alike(file, found)
