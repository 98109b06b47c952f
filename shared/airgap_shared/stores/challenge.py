"""Challenges: what a ``WWW-Authenticate`` header asks for (RFC 9110 §11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SEPARATOR = re.compile(r"[\s,]*")
_PARAMETER = re.compile(
    rf'(?P<name>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_WORD}))'
    r"(?=\s*(?:,|$))",
    re.DOTALL,
)
_SCHEME = re.compile(rf"(?P<scheme>{_WORD})(?=[\s,]|$)")
_TOKEN68 = re.compile(r"[ ]+(?P<token68>[A-Za-z0-9\-._~+/]+=*)(?=\s*(?:,|$))")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: Longer headers are cut: nobody needs more to name a scheme and a realm.
_HEADER_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme, in lower case, with its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read the challenges of one or more header values, as far as they follow the grammar.

    What comes after the first thing that is no challenge is left out: half a parameter must not
    be taken for a realm.
    """
    return tuple(challenge for header in headers for challenge in _parse(header[:_HEADER_LIMIT]))


def _parse(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _skip(text, 0)
    while match := _SCHEME.match(text, position):
        parameters, position = _parse_parameters(text, match.end())
        found.append(Challenge(match["scheme"].lower(), parameters))
    return found


def _parse_parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """The parameters after a scheme, and where the next challenge begins."""
    parameters: dict[str, str] = {}
    start = _skip(text, position)
    while match := _PARAMETER.match(text, start):
        quoted = match["quoted"]
        value = match["plain"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        # Of two values neither can be trusted to be meant more; the first is what others take.
        parameters.setdefault(match["name"].lower(), value)
        start = _skip(text, match.end())
    if not parameters and (single := _TOKEN68.match(text, position)):
        return {}, _skip(text, single.end())
    return parameters, start


def _skip(text: str, position: int) -> int:
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position
