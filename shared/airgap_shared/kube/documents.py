"""Kubernetes objects of a manifest file, and the documents in it that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airgap_shared.errors import ManifestSourceInvalid
from airgap_shared.kube.objects import KubeObject, ManifestFile, ObjectIdentity
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.kube.yamltext import TextDocument, read_documents, read_text


@dataclass(frozen=True, slots=True)
class OtherDocument:
    """A document that is no Kubernetes object: position from 0, first line from 1, and why."""

    document: int
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file holds: objects in order, and the documents that are none (empty ones aside)."""

    objects: tuple[KubeObject, ...]
    others: tuple[OtherDocument, ...]


def load_objects(file: ManifestFile) -> tuple[KubeObject, ...]:
    """The Kubernetes objects of a file, ``List`` kinds expanded.

    Raises:
        ManifestSourceInvalid: the file is not YAML or JSON as Kubernetes reads it.
        YamlTooDeep, YamlAliasLimit, YamlDuplicateKey, LimitExceeded: it is refused.

    """
    return load_manifest(file).objects


def load_manifest(file: ManifestFile) -> Manifest:
    """The Kubernetes objects of a file and the documents that are none; raises as load_objects."""
    objects: list[KubeObject] = []
    others: list[OtherDocument] = []
    for document in read_documents(read_text(file.content, file.path), file.path):
        if document.value is None:
            continue
        reason = _why_no_object(document.value)
        if reason:
            others.append(OtherDocument(document.index, document.line, reason))
        else:
            objects.extend(_objects(file, document))
    return Manifest(tuple(objects), tuple(others))


def _why_no_object(value: object) -> str:
    if not isinstance(value, Mapping):
        return "not a mapping"
    missing = [key for key in ("apiVersion", "kind") if not _is_name(value.get(key))]
    return f"no {' and no '.join(missing)}" if missing else ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _objects(file: ManifestFile, document: TextDocument) -> Iterator[KubeObject]:
    value = document.value
    if isinstance(value, Mapping):
        yield from _expanded(KubeObject(file.path, document.index, (), _identity(value), value))


def _expanded(found: KubeObject) -> Iterator[KubeObject]:
    """The object itself, or what it lists."""
    items = found.value.get("items")
    if not found.identity.kind.endswith("List") or not _is_list(found, items):
        yield found
        return
    for position, item in enumerate(items if isinstance(items, list) else ()):
        value = _typed_item(found, item)
        where = f"{found} items[{position}]"
        reason = _why_no_object(value)
        if reason or not isinstance(value, Mapping):
            raise ManifestSourceInvalid(f"an item of a list is no object: {reason}", where=where)
        yield from _expanded(
            KubeObject(found.file, found.document, (*found.item, position), _identity(value), value)
        )


def _is_list(found: KubeObject, items: object) -> bool:
    """Whether a ``…List`` kind is a list of objects, not an object that happens to be named so."""
    return isinstance(items, list) or (items is None and found.identity.kind == "List")


def _typed_item(parent: KubeObject, item: object) -> object:
    """The item of a typed list, with the kind that its list implies."""
    kind = parent.identity.kind.removesuffix("List")
    if not kind or not isinstance(item, Mapping) or "kind" in item:
        return item
    return {"apiVersion": parent.identity.api_version, "kind": kind, **item}


def _identity(value: Mapping[str, object]) -> ObjectIdentity:
    metadata = value.get("metadata")
    fields = metadata if isinstance(metadata, Mapping) else {}
    return ObjectIdentity(
        api_version=str(value.get("apiVersion")),
        kind=str(value.get("kind")),
        name=scalar_text(fields.get("name")) or "",
        namespace=scalar_text(fields.get("namespace")) or "",
    )
