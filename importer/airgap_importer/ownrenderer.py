"""A small kustomize of our own: bases, resources, JSON 6902 patches and images.

It renders what :mod:`airgap_importer.rewriting` writes, the way kustomize 5.5 does, and refuses
everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml

from airgap_importer.imagestransformer import current_reach, matches
from airgap_importer.kustomization import FILE_NAME
from airgap_importer.patchtarget import PatchTarget
from airgap_shared.errors import OverlayRefused
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.yamltext import LOADER

_KNOWN = frozenset({"apiVersion", "kind", "bases", "resources", "images", "patchesJson6902"})


def render_directory(directory: Path) -> tuple[KubeObject, ...]:
    """The objects that a kustomization directory comes to.

    Raises:
        OverlayRefused: it asks for something this renderer does not know, or a patch does not fit.
        OSError: a file cannot be read.

    """
    kustomization = _mapping(_yaml(directory / FILE_NAME))
    unknown = sorted(set(kustomization) - _KNOWN)
    if unknown:
        raise OverlayRefused(f"unknown fields: {', '.join(unknown)}", where=str(directory))
    objects: list[KubeObject] = []
    for base in _texts(kustomization, "bases"):
        objects.extend(render_directory(directory / base))
    for resource in _texts(kustomization, "resources"):
        file = ManifestFile(resource, (directory / resource).read_bytes())
        objects.extend(map(_private, load_objects(file)))
    for patch in _mappings(kustomization, "patchesJson6902"):
        _patch(objects, patch, directory)
    for entry in _mappings(kustomization, "images"):
        _change_images(objects, entry)
    return tuple(objects)


def _patch(objects: Iterable[KubeObject], patch: Mapping[str, object], directory: Path) -> None:
    target = _target(_mapping(patch.get("target")))
    path = _text(patch, "path")
    # Nearly all others differ in their names: these are looked at first, and only once prepared.
    name = re.compile(target.name or r"(?s:.*)")
    near = [obj for obj in objects if name.fullmatch(obj.identity.name)]
    selected = [obj for obj in near if target.selects(obj.identity)]
    if not selected:
        raise OverlayRefused(f"the patch {path} finds no object")
    operations = _yaml(directory / path)
    for obj in selected:
        for operation in operations if isinstance(operations, list) else ():
            _operate(obj, _mapping(operation), f"{path}, {obj}")


def _target(fields: Mapping[str, object]) -> PatchTarget:
    keys = ("group", "version", "kind", "name", "namespace")
    return PatchTarget(*(_text(fields, key) for key in keys))


def _operate(obj: KubeObject, operation: Mapping[str, object], where: str) -> None:
    path = [
        part.replace("~1", "/").replace("~0", "~")
        for part in _text(operation, "path").split("/")[1:]
    ]
    holder: object = obj.value
    for part in path[:-1]:
        holder = _child(holder, part, where)
    match _text(operation, "op"):
        case "test" if _child(holder, path[-1], where) == operation.get("value"):
            return
        case "replace":
            _child(holder, path[-1], where)
            _put(holder, path[-1], operation.get("value"))
        case "add" if isinstance(holder, dict):
            _put(holder, path[-1], operation.get("value"))
        case _:
            raise OverlayRefused("a patch does not fit", where=where)


def _child(holder: object, part: str, where: str) -> object:
    try:
        if isinstance(holder, list):
            return cast(object, holder[int(part)])
        return _mapping(holder)[part]
    except (KeyError, IndexError, ValueError):
        raise OverlayRefused(f"there is no {part!r}", where=where) from None


def _change_images(objects: Iterable[KubeObject], entry: Mapping[str, object]) -> None:
    pattern = _text(entry, "name")
    after = f"{_text(entry, 'newName')}@{_text(entry, 'digest')}"
    for obj in objects:
        for path, text in tuple(current_reach(obj)):
            if isinstance(text, str) and matches(pattern, text):
                holder: object = obj.value
                for part in path[:-1]:
                    holder = _child(holder, str(part), str(obj))
                _put(holder, str(path[-1]), after)


def _put(holder: object, part: str, value: object) -> None:
    if isinstance(holder, list):
        holder[int(part)] = value
    else:
        cast(dict[str, object], holder)[part] = value


def _private(obj: KubeObject) -> KubeObject:
    """The object with a value of its own: aliases share parts that must change one by one."""
    value = cast(Mapping[str, object], _unshared(obj.value))
    return KubeObject(obj.file, obj.document, obj.item, obj.identity, value)


def _unshared(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _unshared(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_unshared(child) for child in value]
    return value


def _yaml(path: Path) -> object:
    try:
        return cast(object, yaml.load(path.read_bytes(), LOADER))  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise OverlayRefused(f"not YAML: {error}", where=str(path)) from error


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise OverlayRefused(f"a mapping is needed, not {type(value).__name__}")
    return cast(Mapping[str, object], value)


def _items(fields: Mapping[str, object], key: str) -> Iterator[object]:
    value = fields.get(key, [])
    yield from value if isinstance(value, list) else [value]


def _mappings(fields: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    yield from map(_mapping, _items(fields, key))


def _texts(fields: Mapping[str, object], key: str) -> Iterator[str]:
    yield from map(str, _items(fields, key))


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise OverlayRefused(f"{key} must be text")
    return value
