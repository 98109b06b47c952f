"""JSON text to values: faster than YAML's parser, and right where YAML is not quite JSON.

Only clean JSON is read here. Whatever is amiss is left to the YAML reader, which says where.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator

from airgap_shared.kube.yamlscalars import Scalar, resolve_plain

_SPACE = re.compile(r"[ \t\r\n]*")


class _NotClean(ValueError):
    """Not JSON, or not JSON that may be read here."""


def read_json_documents(
    text: str, *, depth: int, nodes: int
) -> tuple[tuple[int, object], ...] | None:
    """The first line and value of each JSON object of a text that holds nothing else.

    ``None`` when the text does not begin with ``{``, is not clean JSON, names a key twice, or is
    over a limit.
    """
    if not text.startswith("{", _skip(text, 0)) or _most_nodes(text) > nodes:
        return None
    try:
        documents = tuple(_objects(text))
        _check(documents, depth, nodes)
    except (ValueError, RecursionError):
        return None
    return documents


def _most_nodes(text: str) -> int:
    """How many values and keys the text can hold at most, known before any is made."""
    return sum(text.count(mark) for mark in ",:[{") + 1


def _objects(text: str) -> Iterator[tuple[int, object]]:
    number = functools.cache(_number)
    # A key used twice, NaN and numbers out of range stop the reading.
    decoder = json.JSONDecoder(
        object_pairs_hook=_mapping,
        parse_int=number,
        parse_float=number,
        parse_constant=number,
    )
    position, line, counted = _skip(text, 0), 1, 0
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        if text[position] != "{":
            raise _NotClean
        value, end = decoder.raw_decode(text, position)
        yield line, value
        position = _skip(text, end)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match is not None else position


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _NotClean
    return mapping


def _number(text: str) -> Scalar:
    value = resolve_plain(text)
    if isinstance(value, str):
        raise _NotClean
    return value


def _check(documents: tuple[tuple[int, object], ...], depth: int, nodes: int) -> None:
    """Refuse what is too deep or too large, and halves of surrogate pairs."""
    count = 0
    level: list[object] = [value for _, value in documents]
    for remaining in range(depth, -1, -1):
        count += len(level)
        if count > nodes or not (remaining or all(map(_is_scalar, level))):
            raise _NotClean
        for value in level:
            if isinstance(value, str):
                value.encode()
        level = list(_below(level))


def _is_scalar(value: object) -> bool:
    return not isinstance(value, dict | list)


def _below(level: list[object]) -> Iterator[object]:
    for value in level:
        if isinstance(value, dict):
            yield from value
            yield from value.values()
        elif isinstance(value, list):
            yield from value
