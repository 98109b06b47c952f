"""YAML and JSON text to values, as Kubernetes reads them and within bounds.

The tree is built from parser events, one by one and without recursion, so that a limit stops the
work at the event that crosses it: the C composer would recurse and crash the process on a deeply
nested file, and aliases would be expanded before anybody could count them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import yaml

from airgap_shared.errors import (
    AirgapError,
    LimitExceeded,
    ManifestSourceInvalid,
    TextEncodingInvalid,
    YamlAliasLimit,
    YamlDuplicateKey,
    YamlTagUnsupported,
    YamlTooDeep,
)
from airgap_shared.kube.jsontext import read_json_documents
from airgap_shared.kube.yamlscalars import Scalar, key_text, resolve_plain

SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 64
ALIAS_LIMIT = 1000
MERGE_LIMIT = 1000
NODE_LIMIT = 1_000_000
DOCUMENT_LIMIT = 10_000

#: The fast one, where it was built.
LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PARSERS_LIMIT: Final = "maximum nesting depth"
_BOM = "\ufeff"
_CORE = "tag:yaml.org,2002:"
_NO_KEY: Final = object()
_MERGE: Final = object()


@dataclass(frozen=True, slots=True)
class TextDocument:
    """One document of a text: its position from 0, its first line from 1, and its value.

    Mappings are dicts with text keys, sequences lists; numbers are
    :class:`~airgap_shared.kube.yamlscalars.YamlInteger` and ``YamlFloat``.
    Values may be shared where the text used aliases: nobody may change them.
    """

    index: int
    line: int
    value: object


def read_text(content: bytes, where: str) -> str:
    """Decode the bytes of a YAML or JSON file: UTF-8 only, a byte order mark is dropped.

    Raises:
        LimitExceeded: the file is larger than the limit.
        TextEncodingInvalid: the file is not UTF-8.

    """
    if len(content) > SIZE_LIMIT:
        raise LimitExceeded(f"the file is larger than {SIZE_LIMIT} bytes", where=where)
    try:
        return content.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TextEncodingInvalid("the file is not UTF-8 text", where=f"{where}:{line}") from error


def read_documents(text: str, where: str) -> tuple[TextDocument, ...]:
    """Read every document of a YAML or JSON text, the empty ones too.

    ``where`` is the file (or the place of an embedded text) that errors name, followed by line
    and column.

    Raises:
        ManifestSourceInvalid: the text is not YAML, or not YAML that Kubernetes reads.
        YamlTooDeep, YamlAliasLimit, YamlDuplicateKey, YamlTagUnsupported, LimitExceeded,
        TextEncodingInvalid: it is refused.

    """
    if len(text) > SIZE_LIMIT:
        raise LimitExceeded(f"the text is larger than {SIZE_LIMIT} characters", where=where)
    values = read_json_documents(text, depth=DEPTH_LIMIT, nodes=NODE_LIMIT)
    if values is not None:
        if len(values) > DOCUMENT_LIMIT:
            raise _too_many_documents(where)
        return tuple(TextDocument(index, line, value) for index, (line, value) in enumerate(values))
    return tuple(TreeBuilder(where).documents(text))


def _too_many_documents(where: str) -> AirgapError:
    return LimitExceeded(
        f"more than {DOCUMENT_LIMIT} documents in one file",
        where=where,
        next_step="split the file",
    )


class _Mark(Protocol):
    """A position in a text, counted from 0."""

    line: int
    column: int


def _line(event: yaml.Event) -> int:
    mark: _Mark | None = event.start_mark
    return mark.line + 1 if mark is not None else 1


class _Frame:
    """A mapping or sequence that is still being read."""

    __slots__ = ("anchor", "height", "key", "mapping", "merges", "nodes_before", "sequence")

    def __init__(self, event: yaml.CollectionStartEvent, nodes_before: int) -> None:
        self.anchor: str | None = event.anchor
        self.nodes_before = nodes_before
        self.height = 1
        self.key: object = _NO_KEY
        self.merges: list[object] = []
        is_mapping = type(event) is yaml.MappingStartEvent
        self.mapping: dict[str, object] | None = {} if is_mapping else None
        self.sequence: list[object] = []


class TreeBuilder:
    """Builds the documents of one text from its events."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int, int]] = {}
        self._nodes = 0
        self._aliases = 0
        self._merge_keys = 0
        self._root: object = None
        self._plain: dict[str, Scalar] = {}
        self._steps: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
        }

    def documents(self, text: str) -> Iterator[TextDocument]:
        """Read the text to its end; a document is handed out when it is complete."""
        steps = self._steps
        index = line = 0
        for event in self._events(text):
            step = steps.get(type(event))
            if step is not None:
                step(event)
            elif type(event) is yaml.DocumentStartEvent:
                if index == DOCUMENT_LIMIT:
                    raise _too_many_documents(self._where)
                line = _line(event)
                self._anchors = {}
                self._root = None
            elif type(event) is yaml.DocumentEndEvent:
                yield TextDocument(index, line, self._root)
                index += 1

    def _events(self, text: str) -> Iterator[Any]:
        try:
            parser = LOADER(text)
            try:
                while (event := parser.get_event()) is not None:
                    yield event
                    if type(event) is yaml.StreamEndEvent:
                        return
            finally:
                parser.dispose()
        except yaml.MarkedYAMLError as error:
            what = ", ".join(part for part in (error.context, error.problem) if part)
            mark = error.problem_mark or error.context_mark
            # Newer parsers have a limit of their own, and look ahead further than we do.
            kind = YamlTooDeep if _PARSERS_LIMIT in what else ManifestSourceInvalid
            raise kind(f"not YAML: {what}", where=self._place_of(mark)) from error
        except yaml.YAMLError as error:
            # The reader's: a character that YAML forbids.
            reason = str(getattr(error, "reason", error))
            raise self._invalid(TextEncodingInvalid, f"not YAML: {reason}") from error

    def _invalid(
        self, kind: type[AirgapError], what: str, event: yaml.Event | None = None
    ) -> AirgapError:
        return kind(what, where=self._place_of(event.start_mark if event is not None else None))

    def _place_of(self, mark: _Mark | None) -> str:
        return self._where if mark is None else f"{self._where}:{mark.line + 1}:{mark.column + 1}"

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > NODE_LIMIT:
            kind = YamlAliasLimit if self._aliases else LimitExceeded
            raise self._invalid(kind, f"more than {NODE_LIMIT} YAML nodes", event)

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        kind = "map" if type(event) is yaml.MappingStartEvent else "seq"
        if event.tag not in (None, "!", _CORE + kind):
            raise self._unknown_tag(event)
        self._check_depth(len(self._stack) + 1, event)
        frame = _Frame(event, self._nodes)
        self._count(1, event)
        self._stack.append(frame)

    def _check_depth(self, depth: int, event: yaml.Event) -> None:
        if depth > DEPTH_LIMIT:
            raise self._invalid(YamlTooDeep, f"nested deeper than {DEPTH_LIMIT} levels", event)

    def _close(self, event: yaml.CollectionEndEvent) -> None:
        frame = self._stack.pop()
        value: object = frame.sequence
        if frame.mapping is not None:
            value = self._merged(frame, event) if frame.merges else frame.mapping
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (value, self._nodes - frame.nodes_before, frame.height)
        self._place(value, frame.height, event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._count(1, event)
        value = self._value(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1, 0)
        if self._starts_merge(event):
            self._merge_keys += 1
            if self._merge_keys > MERGE_LIMIT:
                raise self._invalid(YamlAliasLimit, f"more than {MERGE_LIMIT} merge keys", event)
            self._stack[-1].key = _MERGE
            return
        self._place(value, 0, event)

    def _starts_merge(self, event: yaml.ScalarEvent) -> bool:
        """Whether this is the key ``<<``; in quotes it is a key like any other."""
        if event.value != "<<" or not event.implicit[0] or not self._stack:
            return False
        frame = self._stack[-1]
        return frame.mapping is not None and frame.key is _NO_KEY

    def _value(self, event: yaml.ScalarEvent) -> object:
        """What stands for a scalar in the tree."""
        return self._typed(event)

    def _typed(self, event: yaml.ScalarEvent) -> Scalar:
        tag = event.tag
        text: str = event.value
        if tag is None:
            if not event.implicit[0]:
                return text
            if text not in self._plain:
                self._plain[text] = self._resolved(text, event)
            return self._plain[text]
        if tag in ("!", _CORE + "str", _CORE + "timestamp"):
            return text
        return self._tagged(tag.removeprefix(_CORE), text, event)

    def _resolved(self, text: str, event: yaml.ScalarEvent) -> Scalar:
        try:
            return resolve_plain(text)
        except ValueError as error:
            raise self._invalid(ManifestSourceInvalid, str(error), event) from error

    def _tagged(self, name: str, text: str, event: yaml.ScalarEvent) -> Scalar:
        value = self._resolved(text, event)
        match name, value:
            case ("bool", bool()) | ("null", None):
                return value
            case ("int", int()) | ("float", int() | float()) if not isinstance(value, bool):
                return value
        raise self._unknown_tag(event)

    def _unknown_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> AirgapError:
        return self._invalid(
            YamlTagUnsupported,
            f"the tag {str(event.tag)[:100]!r} is not one that Kubernetes manifests use here",
            event,
        )

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._aliases += 1
        if self._aliases > ALIAS_LIMIT:
            raise self._invalid(YamlAliasLimit, f"more than {ALIAS_LIMIT} aliases", event)
        if event.anchor not in self._anchors:
            raise self._invalid(
                ManifestSourceInvalid,
                f"the alias *{event.anchor} stands before the end of what it names",
                event,
            )
        value, nodes, height = self._anchors[event.anchor]
        self._count(nodes, event)
        self._check_depth(len(self._stack) + height, event)
        self._place(value, height, event)

    def _place(self, value: object, height: int, event: yaml.Event) -> None:
        """Put a finished value where the innermost open collection wants one."""
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        if height >= frame.height:
            frame.height = height + 1
        if frame.mapping is None:
            frame.sequence.append(value)
        elif frame.key is _NO_KEY:
            frame.key = self._key(frame.mapping, value, event)
        else:
            if frame.key is _MERGE:
                frame.merges.append(value)
            else:
                frame.mapping[frame.key] = value  # type: ignore[index]
            frame.key = _NO_KEY

    def _key(self, mapping: dict[str, object], value: object, event: yaml.Event) -> str:
        key = None if isinstance(value, dict | list) else key_text(value)  # type: ignore[arg-type]
        if key is None:
            raise self._invalid(
                ManifestSourceInvalid, "a key must be text, a number or a boolean", event
            )
        if key in mapping:
            raise self._invalid(YamlDuplicateKey, f"the key {key[:100]!r} is there twice", event)
        return key

    def _merged(self, frame: _Frame, event: yaml.Event) -> dict[str, object]:
        """The mapping with what ``<<`` brings; its own keys win, then the earlier source."""
        own = frame.mapping or {}
        result: dict[str, object] = {}
        for merge in frame.merges:
            for source in merge if isinstance(merge, list) else (merge,):
                if not isinstance(source, dict):
                    raise self._invalid(ManifestSourceInvalid, "<< needs a mapping", event)
                for key, value in source.items():
                    result.setdefault(key, value)
        return {**result, **own}
