"""Where the scalars of a YAML or JSON text stand in it, character by character.

A document that is written as text inside of another one is changed by replacing these characters:
whoever wrote it finds comments, order and quoting as they were.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import yaml

from airgap_shared.errors import AirgapError
from airgap_shared.kube.uses import ScalarStyle, Span
from airgap_shared.kube.yamlscalars import Scalar
from airgap_shared.kube.yamltext import TreeBuilder

_STYLES: Final = {
    "": ScalarStyle.PLAIN,
    "'": ScalarStyle.SINGLE_QUOTED,
    '"': ScalarStyle.DOUBLE_QUOTED,
    "|": ScalarStyle.LITERAL,
    ">": ScalarStyle.FOLDED,
}
_PROPERTIES = re.compile(r"(?:[!&]\S*\s+)*")
_BOM = "\ufeff"


class _Mark(Protocol):
    """A position in a text, counted from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class ScalarToken:
    """A scalar of a text: which characters it is, how it is written, what it means."""

    span: Span
    style: ScalarStyle
    value: Scalar


class _TokenBuilder(TreeBuilder):
    """Builds trees whose leaves are tokens."""

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._text = text
        # The parser does not count a byte order mark.
        self._offset = 1 if text.startswith(_BOM) else 0

    def _value(self, event: yaml.ScalarEvent) -> ScalarToken:
        start, end = self._index(event.start_mark), self._index(event.end_mark)
        # An event begins with its anchor and tag.
        properties = _PROPERTIES.match(self._text, start, end)
        start = properties.end() if properties is not None else start
        return ScalarToken(Span(start, end), _STYLES[event.style or ""], self._typed(event))

    def _index(self, mark: _Mark | None) -> int:
        return (mark.index if mark is not None else 0) + self._offset

    def _key(self, mapping: dict[str, object], value: object, event: yaml.Event) -> str:
        plain = value.value if isinstance(value, ScalarToken) else value
        return super()._key(mapping, plain, event)


class TokenTree:
    """The tokens of one text, by document and path."""

    def __init__(self, text: str) -> None:
        self._text = text

    @functools.cached_property
    def _documents(self) -> tuple[object, ...]:
        """Read when somebody asks: most texts hold nothing that was looked for."""
        try:
            return tuple(d.value for d in _TokenBuilder(self._text).documents(self._text))
        except AirgapError:
            # JSON that YAML does not read, such as a pair of surrogate escapes.
            return ()

    def token(self, document: int, parts: Sequence[str | int]) -> ScalarToken | None:
        """The scalar at a path; None where there is none, or the text is no YAML."""
        if document >= len(self._documents):
            return None
        node = self._documents[document]
        for part in parts:
            if isinstance(node, dict) and isinstance(part, str):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return None
        return node if isinstance(node, ScalarToken) else None
