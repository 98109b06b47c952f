"""Plain YAML scalars as Kubernetes types them, with the text they were written as."""

from __future__ import annotations

import math
import re
from typing import Self

# go-yaml v2's resolve table, which sigs.k8s.io/yaml uses: YAML 1.1 words, but no sexagesimals,
# no `=` value type, and timestamps left as strings. Checked against kubectl 1.32.
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_FINITE = frozenset(
    sign + word
    for sign in ("", "+", "-")
    for word in (".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN")
)
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)"
    r"(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("+-.0123456789")
# Longer digit strings are no number anybody means, and slow to convert.
_LONGEST_NUMBER = 400
# From here on Go writes JSON numbers with an exponent.
_FIRST_WITH_EXPONENT = 1e21
_BASES = (("hex", 16), ("bin", 2), ("oct", 8), ("dec", 10))

Scalar = str | bool | int | float | None


class YamlInteger(int):
    """An integer that remembers how it was written (``010`` is 8)."""

    text: str

    def __new__(cls, value: int, text: str = "") -> Self:
        number = super().__new__(cls, value)
        number.text = text or str(value)
        return number


class YamlFloat(float):
    """A number with a fraction that remembers how it was written (``1.10``)."""

    text: str

    def __new__(cls, value: float, text: str = "") -> Self:
        number = super().__new__(cls, value)
        number.text = text or repr(value)
        return number


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar without a tag.

    Raises:
        ValueError: an infinity or not-a-number, which no Kubernetes object can hold.

    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or len(text) > _LONGEST_NUMBER:
        return text
    if text in _NOT_FINITE:
        raise ValueError(f"{text} is no number that a Kubernetes object can hold")
    # Underscores may group digits, except in a number that begins with its point.
    plain = text if text.startswith(".") else text.replace("_", "")
    number = _integer(plain, text)
    return _float(plain, text) if number is None else number


def _integer(plain: str, text: str) -> YamlInteger | YamlFloat | None:
    match = _INTEGER.fullmatch(plain)
    if match is None:
        return None
    for group, base in _BASES:
        digits = match[group]
        if digits is not None:
            value = int(digits, base)
            break
    if match["sign"] == "-":
        value = -value
    if -(2**63) <= value < 2**63:
        return YamlInteger(value, text)
    # Read as unsigned by go-yaml, then as a double by whoever decodes the JSON.
    return YamlFloat(float(value), text) if 0 < value < 2**64 else None


def _float(plain: str, text: str) -> YamlFloat | str:
    if _FLOAT.fullmatch(plain) is None:
        return text
    value = float(plain)
    return YamlFloat(value, text) if math.isfinite(value) else text


def scalar_text(value: object) -> str | None:
    """The text a scalar was written as; None for null, mappings and lists."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case YamlInteger() | YamlFloat():
            return value.text
        case int() | float():
            return str(value)
        case _:
            return None


def sent_text(value: object) -> str | None:
    """The text of a scalar after kubectl made JSON of it, which is all that a cluster gets.

    ``2.0`` is 2 then, ``1e3`` is 1000, ``0x10`` is 16 and ``1.10`` is 1.1.
    """
    match value:
        case bool():
            return scalar_text(value)
        case int():
            return str(int(value))
        case float():
            is_whole = value.is_integer() and abs(value) < _FIRST_WITH_EXPONENT
            return str(int(value)) if is_whole else repr(float(value))
        case _:
            return scalar_text(value)


def key_text(value: Scalar) -> str | None:
    """A scalar as a key of the JSON object it becomes; None when it cannot be one."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return f"{value:g}"
        case _:
            return None
