"""References that are spread over several fields: registry, repository, image, name, tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airgap_shared.kube.imagenames import speaks_of_image
from airgap_shared.kube.imagetokens import is_placeholder, read_reference
from airgap_shared.kube.yamlscalars import scalar_text

_REGISTRY_KEYS = ("registry", "hub", "imageRegistry", "image_registry")
_SHARED_BLOCKS = ("defaults", "default", "global", "images")
_IMAGE_KEYS = ("image", "imageName", "image_name", "baseImage")
_TAG_KEYS = ("tag", "imageTag", "image_tag")
_VERSION_KEYS = ("version", "imageVersion", "image_version", "defaultImageVersion")
_IMAGE_SET = frozenset(_IMAGE_KEYS)
_DIGEST_KEYS = ("digest", "sha", "imageDigest")


@dataclass(frozen=True, slots=True)
class SplitReference:
    """A composed reference and the keys of the mapping that hold its pieces."""

    text: str
    keys: frozenset[str]


def compose_reference(
    mapping: Mapping[str, object], key: str, ancestors: Sequence[Mapping[str, object]]
) -> SplitReference | None:
    """The reference whose pieces a mapping holds, or None.

    ``key`` is the name that the mapping itself stands under; ``ancestors`` are the mappings
    around it, outermost first: a registry or tag is often said once for several images.
    """
    used: list[str] = []
    # A Helm chart has a repository, a name and a version too.
    path = "" if "chart" in key.lower() else _path(mapping, key, used)
    if not path:
        return None
    tag = _tag(mapping, used)
    digest = _digest(mapping, used)
    registry = _first(mapping, _REGISTRY_KEYS, used)
    in_two_pieces = "repository" in used and not _IMAGE_SET.isdisjoint(used)
    if not (tag or digest or registry or in_two_pieces):
        return _from_above(path, used, ancestors)
    registry = registry or _shared_registry(ancestors)
    return _composed(registry, path, tag, digest, used)


def _first(mapping: Mapping[str, object], keys: Sequence[str], used: list[str]) -> str:
    for key in keys:
        text = scalar_text(mapping.get(key))
        if text:
            used.append(key)
            return text
    return ""


def _path(mapping: Mapping[str, object], key: str, used: list[str]) -> str:
    """The repository: one field, or a repository and an image or name below it."""
    image = _first(mapping, _IMAGE_KEYS, used)
    if _has_tag(image):
        return ""
    repository = _first(mapping, ("repository", "imageRepository", "image_repository"), used)
    name = scalar_text(mapping.get("name")) if speaks_of_image(key) or repository else None
    if name and not image:
        used.append("name")
        image = name
    if repository and image and _last(repository) != image:
        return f"{repository}/{image}"
    return repository or image


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _has_tag(text: str) -> bool:
    return "@" in text or ":" in _last(text)


def _tag(mapping: Mapping[str, object], used: list[str]) -> str:
    tag = _first(mapping, _TAG_KEYS, used)
    if tag or not ({"repository", *_IMAGE_KEYS} & mapping.keys()):
        return tag
    return _first(mapping, _VERSION_KEYS, used)


def _digest(mapping: Mapping[str, object], used: list[str]) -> str:
    text = _first(mapping, _DIGEST_KEYS, used)
    return text if not text or ":" in text else f"sha256:{text}"


def _shared_registry(ancestors: Sequence[Mapping[str, object]]) -> str:
    for ancestor in reversed(ancestors):
        blocks = [ancestor, *(ancestor.get(key) for key in _SHARED_BLOCKS)]
        for block in blocks:
            if isinstance(block, Mapping) and (text := _first(block, _REGISTRY_KEYS, [])):
                return text
    return ""


def _from_above(
    path: str, used: list[str], ancestors: Sequence[Mapping[str, object]]
) -> SplitReference | None:
    """``{hub, tag, proxy: {image: name}}``: registry and tag stand together, further out."""
    if "/" in path or "image" not in used:
        return None
    for ancestor in reversed(ancestors):
        registry, tag = _first(ancestor, _REGISTRY_KEYS, []), _first(ancestor, _TAG_KEYS, [])
        if registry and tag:
            return _composed(registry, path, tag, "", used)
    return None


def _composed(
    registry: str, path: str, tag: str, digest: str, used: list[str]
) -> SplitReference | None:
    text = path if not registry or path.startswith(f"{registry}/") else f"{registry}/{path}"
    text += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    if is_placeholder(text) or read_reference(text) is None:
        return None
    return SplitReference(text, frozenset(used))
