"""What the name of a field, variable or flag says about its value being an image."""

from __future__ import annotations

import functools
import re

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
_REPOSITORY_WORDS = frozenset({"repository", "repositories", "repo"})
# Keys that only say "here is the value"; what it is stands one level above.
GENERIC_KEYS = frozenset(
    {"value", "default", "values", "options", "reference", "ref", "uri", "names", "name"}
)


@functools.cache
def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))


@functools.cache
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


@functools.cache
def names_image(name: str) -> bool:
    """Whether even a bare word under this name is an image: ``image``, ``dockerImage``."""
    words = _words(name)
    return speaks_of_image(name) and (
        words[-1].endswith("image") or words[-2:] in (("image", "name"), ("image", "ref"))
    )


@functools.cache
def speaks_of_repository(name: str) -> bool:
    """Whether a value under this name may be a repository in a registry."""
    return not _REPOSITORY_WORDS.isdisjoint(_words(name))


@functools.cache
def is_entry_of_images(name: str, key: str) -> bool:
    """Whether ``key`` only tells one image from another in a mapping named ``images``."""
    return _words(name)[-1:] == ("images",) and _OTHER_THINGS.isdisjoint(_words(key))
