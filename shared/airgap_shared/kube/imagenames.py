"""What the name of a field, variable or flag says about its value being an image."""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass
from typing import Final

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IMAGE_WORDS = frozenset({"image", "images", "img"})
# Words that make a name speak about an image without holding one.
_OTHER_THINGS = frozenset(
    {
        "arch",
        "bootstrap",
        "cache",
        "catalog",
        "class",
        "count",
        "credential",
        "credentials",
        "default",
        "digest",
        "dir",
        "directory",
        "enable",
        "enabled",
        "feature",
        "features",
        "filter",
        "format",
        "garbage",
        "gc",
        "host",
        "id",
        "import",
        "key",
        "kind",
        "label",
        "limit",
        "list",
        "locality",
        "max",
        "min",
        "mode",
        "os",
        "path",
        "pattern",
        "policy",
        "port",
        "prefix",
        "preload",
        "prepull",
        "pull",
        "puller",
        "registry",
        "registries",
        "repo",
        "resolution",
        "scan",
        "secret",
        "secrets",
        "selector",
        "service",
        "sha",
        "size",
        "storage",
        "tag",
        "tags",
        "threshold",
        "time",
        "timeout",
        "ttl",
        "type",
        "uid",
        "user",
        "verification",
        "verify",
        "version",
    }
)
# Images that are no containers: disks, machines, pictures.
_OTHER_IMAGES: Final = frozenset(
    {
        "ami",
        "background",
        "bare",
        "boot",
        "cloud",
        "disk",
        "floppy",
        "golden",
        "icon",
        "iso",
        "logo",
        "machine",
        "metal",
        "node",
        "os",
        "profile",
        "qcow",
        "rbd",
        "root",
        "rootfs",
        "server",
        "snapshot",
        "template",
        "virtual",
        "vm",
    }
)
_REPOSITORY_WORDS = frozenset({"repository", "repositories", "repo"})
# Keys that only say "here is the value"; what it is stands one level above.
# Names come from files, so no more than these are remembered.
_NAMES_KEPT: Final = 1 << 16
GENERIC_KEYS = frozenset(
    {"value", "default", "values", "options", "reference", "ref", "uri", "names", "name"}
)


@functools.lru_cache(_NAMES_KEPT)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))


@functools.lru_cache(_NAMES_KEPT)
def speaks_of_image(name: str) -> bool:
    """Whether a value under this name may be an image: ``dockerImage``, ``RELATED_IMAGE_X``."""
    words = _words(name)
    marked = [position for position, word in enumerate(words) if word in _IMAGE_WORDS]
    if not marked:
        return any(word.endswith("image") for word in words[-1:])
    # What stands before "image" says which image; what stands behind may say what about it.
    return not _OTHER_THINGS.intersection(words[marked[-1] + 1 :]) and not (
        marked[-1] == len(words) - 1 and words[0] in {"enable", "disable", "skip", "use", "no"}
    )


@functools.lru_cache(_NAMES_KEPT)
def names_image(name: str) -> bool:
    """Whether even a bare word under this name is an image: ``image``, ``dockerImage``."""
    words = _words(name)
    return speaks_of_image(name) and (
        words[-1].endswith("image") or words[-2:] in (("image", "name"), ("image", "ref"))
    )


@functools.lru_cache(_NAMES_KEPT)
def speaks_of_repository(name: str) -> bool:
    """Whether a value under this name may be a repository in a registry."""
    return not _REPOSITORY_WORDS.isdisjoint(_words(name))


@functools.lru_cache(_NAMES_KEPT)
def is_entry_of_images(name: str, key: str) -> bool:
    """Whether ``key`` only tells one image from another in a mapping named ``images``."""
    return _words(name)[-1:] == ("images",) and _OTHER_THINGS.isdisjoint(_words(key))


class PieceKind(enum.StrEnum):
    """Which piece of a reference the name of a field promises."""

    IMAGE = "image"
    REPOSITORY = "repository"
    REGISTRY = "registry"
    TAG = "tag"
    VERSION = "version"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class PieceName:
    """A name taken apart: ``SIDECAR_IMAGE_TAG`` is the tag in the family ``sidecar``."""

    family: tuple[str, ...]
    kind: PieceKind


_PIECE_WORDS: Final = {
    "image": PieceKind.IMAGE,
    "repository": PieceKind.REPOSITORY,
    "repo": PieceKind.REPOSITORY,
    "registry": PieceKind.REGISTRY,
    "hub": PieceKind.REGISTRY,
    "tag": PieceKind.TAG,
    "digest": PieceKind.DIGEST,
    "version": PieceKind.VERSION,
}


@functools.lru_cache(_NAMES_KEPT)
def piece_of_name(name: str) -> PieceName | None:
    """Which piece of a reference a field with this name may hold, and of which one."""
    words = _words(name)
    if words[-2:] == ("image", "name"):
        return PieceName(words[:-2], PieceKind.IMAGE)
    kind = _PIECE_WORDS.get(words[-1]) if words else None
    if kind is None:
        return None
    family = words[:-1]
    if kind is not PieceKind.IMAGE and family[-1:] == ("image",):
        return PieceName(family[:-1], kind)
    # Only a version said to be of an image is one.
    return None if kind is PieceKind.VERSION else PieceName(family, kind)


@functools.lru_cache(_NAMES_KEPT)
def is_simple_image_name(name: str) -> bool:
    """Whether the name means a container's image and no disk, machine or picture."""
    words = _words(name)
    before = words[:-1] if words[-1:] == ("image",) else words[:-2]
    return names_image(name) and not _OTHER_IMAGES.intersection(before)
