"""Splices: new characters in a text, and in the token that a scalar is written as."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from airgap_shared.kube.uses import ScalarStyle
from airgap_shared.kube.yamlscalars import resolve_plain

_BLOCK_HEADER = re.compile(r"[|>][^\n]*\n?")
PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPED = re.compile(
    rf"{PAIR}|\\x[0-9a-fA-F]{{2}}|\\u[0-9a-fA-F]{{4}}|\\U[0-9a-fA-F]{{8}}|\\\r?\n|\\.|.", re.DOTALL
)
_SINGLE_QUOTED = re.compile(r"''|.", re.DOTALL)
_ANY = re.compile(r".", re.DOTALL)
# YAML 1.2, 5.7; the blank ones are left out.
_ESCAPES: Final = {"0": "\0", "a": "\a", "b": "\b", "e": "\x1b", '"': '"', "/": "/", "\\": "\\"}
_BLANK_ESCAPES: Final = frozenset("tnvfr NLP_\n\r\t")
# References and base64: plain scalars wherever one may stand, in block and flow style.
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./:@+-]*[A-Za-z0-9_])?={0,2}")


class MisfitError(Exception):
    """Why an edit cannot be done."""


@dataclass(frozen=True, slots=True)
class Splice:
    """New characters for those from ``start`` up to, not including, ``end``."""

    start: int
    end: int
    after: str


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text after all splices.

    Raises:
        MisfitError: two of them overlap.

    """
    result, position = [], 0
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end)):
        if splice.start < position:
            raise MisfitError("two new texts for one place")
        result += [text[position : splice.start], splice.after]
        position = splice.end
    return "".join([*result, text[position:]])


def token_splices(
    source: str, style: ScalarStyle, value: str, splices: AbstractSet[Splice]
) -> list[Splice]:
    """Splices in a scalar's value as splices in its token, in the same style where it can be."""
    result = spliced(value, splices)
    if result == value:
        return []
    mapped = _mapped(source, style, value, splices)
    if mapped is not None and (style is not ScalarStyle.PLAIN or _stays_plain(result, splices)):
        return mapped
    # Double quotes are the one style that YAML and JSON share, and that can hold any text.
    is_block = style in (ScalarStyle.LITERAL, ScalarStyle.FOLDED)
    line_end = "\n" if is_block and "\n" in source else ""
    return [Splice(0, len(source), json.dumps(result, ensure_ascii=False) + line_end)]


def _stays_plain(result: str, splices: AbstractSet[Splice]) -> bool:
    return all(_PLAIN.fullmatch(splice.after) for splice in splices) and isinstance(
        resolve_plain(result), str
    )


def _mapped(
    source: str, style: ScalarStyle, value: str, splices: AbstractSet[Splice]
) -> list[Splice] | None:
    """Splices in a value as splices in the characters it is written with; None if unclear.

    Line folding, indentation and escaped line ends only change blanks, so the characters that are
    no blanks correspond one to one.
    """
    glyphs = list(_glyphs(source, style))
    positions = [position for position, char in enumerate(value) if not char.isspace()]
    if [char for _, _, char in glyphs] != [value[position] for position in positions]:
        return None
    found = []
    for splice in splices:
        if _has_blanks(value[splice.start : splice.end]) or _has_blanks(splice.after):
            return None
        first = bisect_left(positions, splice.start)
        last = first + splice.end - splice.start - 1
        found.append(
            Splice(glyphs[first][0], glyphs[last][1], _escaped(splice.after, style)),
        )
    return found


def _has_blanks(text: str) -> bool:
    return not text or any(map(str.isspace, text))


def _escaped(text: str, style: ScalarStyle) -> str:
    match style:
        case ScalarStyle.SINGLE_QUOTED:
            return text.replace("'", "''")
        case ScalarStyle.DOUBLE_QUOTED:
            return json.dumps(text, ensure_ascii=False)[1:-1]
        case _:
            return text


def _glyphs(source: str, style: ScalarStyle) -> Iterator[tuple[int, int, str]]:
    """Start, end and meaning of every character of a token that is no blank."""
    start, end, pattern = 0, len(source), _ANY
    if style in (ScalarStyle.LITERAL, ScalarStyle.FOLDED):
        header = _BLOCK_HEADER.match(source)
        start = header.end() if header is not None else 0
    elif style is ScalarStyle.SINGLE_QUOTED:
        start, end, pattern = 1, end - 1, _SINGLE_QUOTED
    elif style is ScalarStyle.DOUBLE_QUOTED:
        start, end, pattern = 1, end - 1, _ESCAPED
    for match in pattern.finditer(source, start, end):
        char = _meaning(match[0], style)
        if char and not char.isspace():
            yield match.start(), match.end(), char


def _meaning(written: str, style: ScalarStyle) -> str:
    if style is ScalarStyle.SINGLE_QUOTED:
        return written[:1]
    if style is not ScalarStyle.DOUBLE_QUOTED or not written.startswith("\\"):
        return written
    kind = written[1:2]
    if kind in _BLANK_ESCAPES:
        return ""
    if kind in ("x", "u", "U"):
        if len(written) == 12:
            return str(json.loads(f'"{written}"'))
        return chr(int(written[2:], 16))
    return _ESCAPES.get(kind, written)
