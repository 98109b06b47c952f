"""What kustomize's ``images:`` does, in every version from 2.0.3 on: whom it reaches and matches.

Measured with kubectl 1.20 (kustomize 2.0.3), kustomize 4.5.7, 5.0.0, 5.7.1 and kubectl 1.32
(kustomize 5.5.0). Only what all of them do alike may be relied on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airgap_shared.kube.objects import KubeObject
from airgap_shared.oci.digest import Digest

Path = tuple[str | int, ...]

_LISTS: Final = ("containers", "initContainers")
_CRD: Final = "CustomResourceDefinition"

# The paths that kustomize 4 and later walk by name, before it searches for the lists; a `[]`
# field that holds no list is passed over. The volumes came with kustomize 5.6.
_FIELD_SPECS: Final = tuple(
    (*root, *leaf)
    for root in (("spec",), ("spec", "template", "spec"))
    for leaf in (
        ("containers[]", "image"),
        ("initContainers[]", "image"),
        ("volumes[]", "image", "reference"),
    )
)

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_TAG: Final = r"(:[a-zA-Z0-9_.{}-]*)?"
_DIGEST: Final = r"(@sha256:[a-zA-Z0-9_.{}-]*)?"


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One entry of ``images:``: the name as the manifests spell it, and what it becomes.

    The tag stands in ``new_name``: kustomize 2.0.3 writes ``newTag`` or ``digest``, never both,
    while ``newName`` and ``digest`` give ``NAME:TAG@DIGEST`` in every version.
    """

    name: str
    new_name: str
    digest: Digest

    @property
    def pattern(self) -> str:
        """The name as ``images:`` must hold it: kustomize reads it as a regular expression."""
        return escaped(self.name)

    def matches(self, text: str) -> bool:
        """Whether some version of kustomize takes ``text`` for this image."""
        return matches(self.pattern, text)


def escaped(text: str) -> str:
    """Text as a regular expression that matches nothing but the text (RE2 and Python)."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def matches(pattern: str, text: str) -> bool:
    """Whether ``images:`` of current kustomize applies an entry with this name to a text.

    kustomize 2.0.3 matches less: no digest, and no braces in the tag.
    """
    return re.fullmatch(pattern + _TAG + _DIGEST, text) is not None


def certain_reach(obj: KubeObject) -> frozenset[Path]:
    """The paths of the image fields that every version of kustomize reaches in an object."""
    current = {path for path, _ in current_reach(obj)}
    return frozenset(path for path, _ in _first_walk(obj.value, ()) if path in current)


def possible_reach(obj: KubeObject) -> Iterator[tuple[Path, object]]:
    """Each image field that some version of kustomize reaches, with its value; may repeat."""
    yield from _first_walk(obj.value, ())
    yield from current_reach(obj)
    if obj.identity.kind != _CRD:
        for spec in _FIELD_SPECS:
            yield from _follow(obj.value, spec, ())


def current_reach(obj: KubeObject) -> Iterator[tuple[Path, object]]:
    """Each image field that kustomize 5.5 reaches, with its value."""
    if obj.identity.kind != _CRD:
        yield from _current_walk(obj.value, ())


def why_refused(obj: KubeObject) -> str:
    """Why some version of kustomize fails on an object as soon as there are ``images:``; or "".

    2.0.3 stops at a list of containers that is none, also in a CustomResourceDefinition; 4 and
    later stop where text or a number stands in the way of a path they walk by name.
    """
    for path, value in _container_lists(obj.value, ()):
        if not _is_plain(value):
            return f"{'.'.join(map(str, path))} is no list of containers"
    if obj.identity.kind != _CRD:
        for spec in _FIELD_SPECS:
            if _is_blocked(obj.value, spec):
                return f"{'.'.join(spec)} cannot be followed"
    return ""


def _first_walk(node: Mapping[str, object], path: Path) -> Iterator[tuple[Path, object]]:
    """What kustomize 2.0.3 reaches: nothing beside or below a map with initContainers."""
    for key in _LISTS:
        yield from _images_of(node.get(key), (*path, key))
    if _LISTS[-1] in node:
        return
    for key, child in node.items():
        if isinstance(child, Mapping):
            yield from _first_walk(child, (*path, key))
        elif isinstance(child, list):
            for position, item in enumerate(child):
                if isinstance(item, Mapping):
                    yield from _first_walk(item, (*path, key, position))


def _current_walk(node: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _current_walk(child, (*path, key))
            if key in _LISTS:
                yield from _images_of(child, (*path, key))
    elif isinstance(node, list):
        for position, child in enumerate(node):
            yield from _current_walk(child, (*path, position))


def _images_of(containers: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(containers, list):
        for position, container in enumerate(containers):
            if isinstance(container, Mapping) and "image" in container:
                yield (*path, position, "image"), container["image"]


def _container_lists(node: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            if key in _LISTS:
                yield (*path, key), child
            yield from _container_lists(child, (*path, key))
    elif isinstance(node, list):
        for position, child in enumerate(node):
            yield from _container_lists(child, (*path, position))


def _is_plain(containers: object) -> bool:
    return isinstance(containers, list) and all(
        isinstance(container, Mapping) and isinstance(container.get("image", ""), str)
        for container in containers
    )


def _follow(node: object, spec: tuple[str, ...], path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(node, list):
        for position, child in enumerate(node):
            yield from _follow(child, spec, (*path, position))
    elif not spec:
        yield path, node
    elif isinstance(node, Mapping):
        key = spec[0].removesuffix("[]")
        if key in node:
            yield from _follow(node[key], spec[1:], (*path, key))


def _is_blocked(node: object, spec: tuple[str, ...]) -> bool:
    if node is None:
        return False
    if isinstance(node, list):
        return not spec or any(_is_blocked(child, spec) for child in node)
    if not isinstance(node, Mapping):
        return bool(spec)
    if not spec:
        return True
    key = spec[0].removesuffix("[]")
    child = node.get(key)
    if spec[0] != key and isinstance(child, Mapping):
        return False
    return _is_blocked(child, spec[1:])
