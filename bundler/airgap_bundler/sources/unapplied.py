"""Kustomizations inside a folder: its files are read as they are; what is lost by that.

The fields are those of kustomize's api/types/kustomization.go. Nothing is built: a patch counts as
one of an image when it has the word.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from airgap_bundler.sources.application import Application, UnappliedKustomization
from airgap_shared.errors import AirgapError, UsageError
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.kube.yamltext import read_documents, read_text

_PATCHES: Final = ("patches", "patchesStrategicMerge", "patchesJson6902", "replacements")
#: Fields that change or add objects; those that only list files do not.
_CHANGES: Final = (
    *("images", *_PATCHES, "components", "transformers", "generators", "vars", "replicas"),
    *("namePrefix", "nameSuffix", "namespace", "labels", "commonLabels", "commonAnnotations"),
    *("configMapGenerator", "secretGenerator", "helmCharts", "helmChartInflationGenerator"),
)
_IMAGE: Final = re.compile(r"(?<![\w-])image(?![\w-])")


def parse_unapplied(
    path: str, content: bytes | None, beside: Callable[[str], bytes | None]
) -> UnappliedKustomization | None:
    """What a kustomization would do to the files of its folder; None when it only lists them.

    ``beside`` gives a file by its path from the kustomization's folder, None as ``content`` does
    for what cannot be read.
    """
    unread = UnappliedKustomization(path, ("all that it says (it cannot be read)",))
    if content is None:
        return unread
    try:
        documents = read_documents(read_text(content, path), path)
    except AirgapError:
        return unread
    found = [one.value for one in documents if isinstance(one.value, Mapping)]
    fields = tuple(field for field in _CHANGES if any(one.get(field) for one in found))
    if not fields:
        return None
    folder = posixpath.dirname(path)
    patches = [patch for one in found for patch in _patches(one)]
    return UnappliedKustomization(
        path,
        fields,
        tuple(name for one in found for name in _image_names(one)),
        tuple(posixpath.normpath(posixpath.join(folder, file)) for file, _ in patches if file),
        any(_IMAGE.search(text or _text(beside(file))) for file, text in patches),
    )


def refuse_changes(application: Application, uses: Iterable[ImageUse]) -> None:
    """Refuse an application that is another one once its kustomizations are built.

    Raises:
        UsageError: other images would be bundled, or a patch be deployed; all are named together.

    """
    names = {_name(use.text) for use in uses if use.verdict is Verdict.IMAGE}
    files = {file.path for file in application.files}
    details = [
        f"{one.path}: {lost}" for one in application.unapplied for lost in _lost(one, names, files)
    ]
    if details:
        raise UsageError(
            "a kustomization inside the folder, which is not read yet, would change what is "
            "bundled",
            where=details[0].partition(": ")[0],
            changed="nothing was written",
            next_step="render it first (kubectl kustomize FOLDER > app.yaml) and give the result",
            details=details,
        )


def refusal_of_unapplied(application: Application) -> UsageError:
    """The failure for kustomizations that would change any object; all are named together."""
    return UsageError(
        "kustomizations inside the folder are not read yet",
        where=application.unapplied[0].path,
        changed="nothing was written",
        next_step="render them first (kubectl kustomize FOLDER > app.yaml) and give the result, "
        "or leave --strict out",
        details=[f"{one.path}: {one.loss}" for one in application.unapplied],
    )


def _lost(one: UnappliedKustomization, names: Iterable[str], files: Iterable[str]) -> Iterator[str]:
    yield from (f"images: {name}" for name in one.images if _name(name) in names)
    if one.patches_images:
        yield "a patch of an image"
    yield from (f"{path} is a patch, no object" for path in one.patches if path in files)


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def _name(text: str) -> str:
    reference = read_reference(text)
    return reference.name if reference is not None else text


def _entries(document: Mapping[str, object], field: str) -> list[object]:
    entries = document.get(field)
    return entries if isinstance(entries, list) else []


def _image_names(document: Mapping[str, object]) -> Iterator[str]:
    for entry in _entries(document, "images"):
        if isinstance(entry, Mapping) and isinstance(name := entry.get("name"), str):
            yield name


def _patches(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The path of each patch, or its text where that stands in the kustomization."""
    for entry in (entry for field in _PATCHES for entry in _entries(document, field)):
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        if isinstance(path, str) and path and "\n" not in path:
            yield path, ""
        else:
            yield "", str(entry)
