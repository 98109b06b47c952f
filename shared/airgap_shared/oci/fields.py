"""Typed reads of decoded JSON whose errors say where: ``manifests[2].platform.os``."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NoReturn, TypeVar, cast

from airgap_shared.errors import AirgapError, DocumentInvalid, DuplicateJSONKey
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.valuecount import check_value_count

MAX_DEPTH = 64
_T = TypeVar("_T")
# Matches from every quote and gives nothing back: one pass, also over text that never ends.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STEPS = bytes.maketrans(b"[{]}", b"\2\2\0\0")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(
    raw: bytes,
    where: str,
    error: type[AirgapError] = DocumentInvalid,
    *,
    values: int | None = None,
) -> object:
    """Decode JSON strictly: UTF-8, no duplicate keys, no NaN or Infinity, depth at most 64.

    Text in it can be encoded again: half of a surrogate pair is refused. What a stranger wrote is
    read with a limit on its ``values``.

    Raises:
        LimitExceeded: there are more values.
        DuplicateJSONKey: an object names a key twice.
        error: anything else that is not such a document.

    """

    def refuse_constant(text: str) -> NoReturn:
        raise error(f"{text} is not JSON", where=where)

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise DuplicateJSONKey(f"the key {twice[:100]!r} stands twice", where=where)
        return result

    if values is not None:
        check_value_count(raw, values, where)
    try:
        _check_depth(raw, where, error)
        document: object = json.loads(
            raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse_constant
        )
        if _ESCAPED_SURROGATE.search(raw) and any(map(_SURROGATE.search, _texts(document))):
            raise error("half of a surrogate pair", where=where)
        return document
    except (ValueError, RecursionError) as problem:
        raise error(f"not a JSON document: {str(problem)[:200]}", where=where) from problem


def _texts(document: object) -> Iterator[str]:
    """Every string of a document, keys included."""
    values = [document]
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            values += value.values()
        elif isinstance(value, list):
            values += value


def _check_depth(raw: bytes, where: str, error: type[AirgapError]) -> None:
    """Bound the nesting before the decoder recurses."""
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    deepest = max(accumulate(step - 1 for step in steps), default=0)
    if deepest > MAX_DEPTH:
        raise error(f"nested deeper than {MAX_DEPTH}", where=where)


class Fields:
    """One JSON object, its place in the document, and the error to raise for it."""

    __slots__ = ("_error", "_value", "place")

    def __init__(
        self, value: object, place: str, error: type[AirgapError] = DocumentInvalid
    ) -> None:
        self.place = place
        self._error = error
        if not isinstance(value, Mapping):
            self.refuse("expected an object")
        self._value = cast(Mapping[str, object], value)

    def refuse(self, what: str, key: str = "") -> NoReturn:
        """Raise this document's error at ``key``."""
        raise self._error(what, where=self._at(key))

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    @property
    def mapping(self) -> Mapping[str, object]:
        """The object as it was decoded."""
        return self._value

    def only(self, *keys: str) -> None:
        """Refuse other keys, and null: for documents in which a misspelt key must not pass."""
        for key, value in self._value.items():
            if key not in keys:
                self.refuse("unknown field", key[:100])
            if value is None:
                self.refuse("null is no value; leave it out", key)

    def text(self, key: str) -> str:
        """A string that must be there."""
        return self._typed(key, str, "a string")

    def optional_text(self, key: str) -> str | None:
        """A string, or nothing (null counts as nothing)."""
        return self.text(key) if key in self else None

    def count(self, key: str) -> int:
        """A whole number from 0 to 2**63 - 1 that must be there; true and 1.0 are none."""
        value = self._typed(key, int, "a whole number")
        if not 0 <= value < 2**63:
            self.refuse("expected a number from 0 to 2^63-1", key)
        return value

    def optional_flag(self, key: str) -> bool:
        """True or false; absent counts as false."""
        value = self._value.get(key, False)
        if not isinstance(value, bool):
            self.refuse("expected true or false", key)
        return value

    def digest(self, key: str) -> Digest:
        """A digest that must be there."""
        return Digest.parse(self.text(key), self._at(key))

    def record(self, key: str) -> Fields:
        """An object that must be there."""
        return Fields(self._value.get(key), self._at(key), self._error)

    def optional_record(self, key: str) -> Fields | None:
        """An object, or nothing."""
        return self.record(key) if key in self else None

    def records(self, key: str) -> tuple[Fields, ...]:
        """A list of objects that must be there; it may be empty."""
        items = self._list(key)
        return tuple(
            Fields(item, f"{self._at(key)}[{number}]", self._error)
            for number, item in enumerate(items)
        )

    def optional_texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; absent counts as empty."""
        return self.texts(key) if key in self else ()

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings that must be there; it may be empty."""
        items = self._list(key)
        for number, item in enumerate(items):
            if not isinstance(item, str):
                self.refuse("expected a string", f"{key}[{number}]")
        return tuple(cast(Sequence[str], items))

    def text_map(self, key: str) -> Mapping[str, str]:
        """An object whose values are strings; absent counts as empty."""
        if key not in self:
            return {}
        value = self._typed(key, dict, "an object")
        for name, item in value.items():
            if not isinstance(item, str):
                self.refuse("expected a string", f"{key}.{name}")
        return cast(Mapping[str, str], value)

    def _list(self, key: str) -> Sequence[object]:
        return self._typed(key, list, "a list")

    def _typed(self, key: str, kind: type[_T], name: str) -> _T:
        value = self._value.get(key)
        if value is None:
            self.refuse(f"expected {name}, found nothing", key)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"expected {name}", key)
        return value

    def _at(self, key: str) -> str:
        if not key:
            return self.place
        return f"{self.place}.{key}" if self.place else key
