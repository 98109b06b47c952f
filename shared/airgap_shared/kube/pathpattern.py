"""Patterns of paths in an object, as a person writes them: ``spec.*.image``, ``spec.**.img``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airgap_shared.kube.searchplace import Parts

_PIECE = re.compile(
    r"\[(?:(?P<index>\d{1,9})|(?P<every>\*?)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\]"
    r"|(?P<key>[^.\[\]'\"]+)"
)


class _Any:
    """Stands for one key or position, or for any number of them."""


ONE: Final = _Any()
MANY: Final = _Any()
_POSITION: Final = _Any()
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of paths: keys and positions, ``*`` for any one, ``**`` for any number."""

    text: str
    parts: tuple[str | int | _Any, ...]

    def matches(self, path: Parts) -> bool:
        """Whether a path fits from end to end."""
        return _fits(self.parts, path)

    @property
    def is_single(self) -> bool:
        """Whether the pattern names one path only."""
        return all(isinstance(part, str | int) for part in self.parts)

    def found_in(self, value: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
        """The paths below a value that fit, with what stands there, and what ``*`` stood for."""
        yield from _walk(self.parts, value, ())

    def __str__(self) -> str:
        return self.text


def parse_path_pattern(text: str) -> PathPattern:
    """Read a pattern such as ``spec.containers[].image`` or ``data['a.b/c']``.

    Raises:
        ValueError: it is no pattern; the message says why.

    """
    parts: list[str | int | _Any] = []
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise ValueError(f"not a path: {text[:100]!r} from character {position + 1} on")
        parts.append(_part(match))
        position = match.end()
        if text.startswith(".", position) and position + 1 < len(text):
            position += 1
    if not parts or len(parts) > _LONGEST:
        raise ValueError(f"a path has 1–{_LONGEST} parts")
    return PathPattern(text, tuple(parts))


def _part(match: re.Match[str]) -> str | int | _Any:
    if match["index"] is not None:
        return int(match["index"])
    if match["every"] is not None:
        return _POSITION
    key = next(text for group in ("single", "double", "key") if (text := match[group]) is not None)
    if match["key"] is None:
        return key
    return {"*": ONE, "**": MANY}.get(key, key)


def _is_one(part: str | int | _Any, step: str | int) -> bool:
    return part is ONE or part == step or (part is _POSITION and isinstance(step, int))


def _fits(parts: tuple[str | int | _Any, ...], path: Parts) -> bool:
    """Match from the front, keeping every position reached: no pattern takes long."""
    reached = _skipped({0}, parts)
    for step in path:
        after = {at for at in reached if at < len(parts) and parts[at] is MANY}
        after |= {at + 1 for at in reached if at < len(parts) and _is_one(parts[at], step)}
        reached = _skipped(after, parts)
        if not reached:
            return False
    return len(parts) in reached


def _skipped(reached: set[int], parts: tuple[str | int | _Any, ...]) -> set[int]:
    """The positions reached, and those behind a ``**`` that stands for nothing."""
    result = set(reached)
    for at in sorted(reached):
        while at < len(parts) and parts[at] is MANY:
            at += 1
            result.add(at)
    return result


def _walk(
    parts: tuple[str | int | _Any, ...], value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], object]]:
    if not parts:
        yield path, value
        return
    children: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, Mapping):
        children = iter(value.items())
    elif isinstance(value, list):
        children = iter(enumerate(value))
    for step, child in children:
        if _is_one(parts[0], step):
            yield from _walk(parts[1:], child, (*path, step))
