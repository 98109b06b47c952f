"""Where images are really read from: mirrors and pull-through caches. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airgap_shared.errors import UsageError
from airgap_shared.oci.reference import (
    DEFAULT_REGISTRY,
    Reference,
    is_valid_registry,
    is_valid_repository,
    without_user,
)

_EVERYTHING = "*"
_NEXT_STEP = "write --mirror PREFIX=HOST[:PORT][/PATH], or '*=HOST[:PORT][/PATH]'"


@dataclass(frozen=True, slots=True)
class Location:
    """A repository of a registry."""

    registry: str
    repository: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Images named ``prefix/…`` are read from ``registry/path/…``."""

    prefix: str
    registry: str
    path: str


@dataclass(frozen=True, slots=True)
class Mirrors:
    """All mirrors of a run; the longest matching prefix wins."""

    rules: tuple[Mirror, ...] = ()

    def locate(self, reference: Reference) -> Location:
        """Where to read this image; its name stays what it is."""
        matching = [rule for rule in self.rules if _covers(rule.prefix, reference.name)]
        if not matching:
            return Location(reference.registry, reference.repository)
        rule = max(
            matching, key=lambda rule: -1 if rule.prefix == _EVERYTHING else len(rule.prefix)
        )
        if rule.prefix == _EVERYTHING:
            rest = f"{reference.registry.replace(':', '_')}/{reference.repository}"
        else:
            rest = reference.name[len(rule.prefix) :].lstrip("/")
        return Location(rule.registry, "/".join(part for part in (rule.path, rest) if part))

    def refuse_idle(self, images: Sequence[Reference]) -> None:
        """Raise :class:`UsageError` for a prefix that no image has: it is misspelt.

        Images would be read from where nobody wants to. ``*`` is for whatever there is.
        """
        for rule in self.rules:
            used = any(_covers(rule.prefix, image.name) for image in images)
            if rule.prefix != _EVERYTHING and not used:
                raise UsageError(
                    f"no image has a name that begins with {rule.prefix}",
                    where="--mirror",
                    next_step="names are compared in full, docker.io/library/nginx; mend the "
                    "prefix, or leave this mirror out",
                )


def parse_mirrors(texts: Sequence[str]) -> Mirrors:
    """Read ``PREFIX=LOCATION`` options.

    Raises:
        UsageError: one of them has another shape, or a prefix is given twice.

    """
    rules = tuple(_parse(text) for text in texts)
    prefixes = [rule.prefix for rule in rules]
    if len(set(prefixes)) != len(prefixes):
        raise UsageError("one prefix has two mirrors", where="--mirror", next_step=_NEXT_STEP)
    return Mirrors(rules)


def _parse(text: str) -> Mirror:
    prefix, equals, location = text.partition("=")
    location = location.removeprefix("https://").rstrip("/")
    registry, _, path = location.partition("/")
    fits = equals and is_valid_registry(registry) and (not path or is_valid_repository(path))
    if not fits or not _is_prefix(prefix):
        shown = without_user(text)
        raise UsageError(f"not a mirror: {shown!r}", where="--mirror", next_step=_NEXT_STEP)
    return Mirror(_normal(prefix), registry, path)


def _is_prefix(prefix: str) -> bool:
    registry, slash, path = prefix.partition("/")
    return prefix == _EVERYTHING or (
        is_valid_registry(registry) and (not slash or is_valid_repository(path))
    )


def _normal(prefix: str) -> str:
    host, slash, path = prefix.partition("/")
    return (DEFAULT_REGISTRY if host == "index.docker.io" else host) + slash + path


def _covers(prefix: str, name: str) -> bool:
    return prefix == _EVERYTHING or name == prefix or name.startswith(prefix + "/")
