"""Names of objects that are no text once Kubernetes has read them: no cluster takes such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from airgap_shared.errors import ManifestSourceInvalid
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.kube.yamltext import read_text

_NAMES: Final = ("name", "generateName", "namespace")


def refuse_other_than_text(file: ManifestFile, objects: Sequence[KubeObject]) -> None:
    """Refuse objects of a file whose name or namespace is a boolean, a number or no scalar.

    Raises:
        ManifestSourceInvalid: there are some; the first is named with its line, all as details.

    """
    strange = [(obj, field) for obj in objects for field in _strange(obj)]
    if not strange:
        return
    text = read_text(file.content, file.path)
    tokens = TokenTree(text)
    places, details = [], []
    for obj, field in strange:
        items = (part for position in obj.item for part in ("items", position))
        token = tokens.token(obj.document, (*items, "metadata", field))
        line = f":{text.count(chr(10), 0, token.span.start) + 1}" if token is not None else ""
        places.append(f"{file.path}{line}")
        told = f"metadata.{field} is {_told(obj, field)}"
        details.append(f"{places[-1]}: {obj.identity.kind}: {told}")
    raise ManifestSourceInvalid(
        "a name of an object is not text as Kubernetes reads it",
        where=places[0],
        next_step='write it in quotes: name: "y"',
        details=details,
    )


def _metadata(obj: KubeObject) -> Mapping[str, object]:
    metadata = obj.value.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _strange(obj: KubeObject) -> Iterator[str]:
    for field in _NAMES:
        value = _metadata(obj).get(field)
        if value is not None and not isinstance(value, str):
            yield field


def _told(obj: KubeObject, field: str) -> str:
    value = _metadata(obj)[field]
    if isinstance(value, bool):
        return f"the boolean {scalar_text(value)}"
    text = scalar_text(value)
    return "a list or a mapping" if text is None else f"the number {text[:100]}"
