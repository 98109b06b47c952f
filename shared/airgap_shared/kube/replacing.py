"""New texts at places inside an object's values; every other character stays as it is.

What stands inside a text (a document in a ConfigMap, the base64 of a Secret or of binary data) is
replaced there, character by character. No document is ever read and written anew: its author finds
order, comments and quoting unchanged.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airgap_shared.errors import UnrewrittenImage
from airgap_shared.kube.embedded import read_base64
from airgap_shared.kube.scalarsplices import PAIR, MisfitError, Splice, spliced, token_splices
from airgap_shared.kube.scalartokens import ScalarToken, TokenTree
from airgap_shared.kube.uses import Embedded, Encoded, FieldPath, ScalarStyle, Span, Step
from airgap_shared.kube.yamlscalars import sent_text

_SURROGATE_PAIR = re.compile(PAIR)


@dataclass(frozen=True, slots=True)
class Edit:
    """A new text at one place: the way to it as in an ImageUse, what is there, what shall be."""

    path: FieldPath
    inside: tuple[Step, ...]
    before: str
    after: str

    @property
    def place(self) -> str:
        """Path and what leads inside, as messages show it."""
        return f"{self.path}" + "".join(map(str, self.inside))


@dataclass(frozen=True, slots=True)
class Change:
    """A whole scalar of an object: where it stands, what it is (any type), and the new text."""

    path: FieldPath
    before: object
    after: str


@dataclass(frozen=True, slots=True)
class _Step:
    """An edit as seen from inside: the steps that are left to its place."""

    steps: tuple[Step, ...]
    edit: Edit


def changes_of(value: object, edits: Iterable[Edit], where: str) -> tuple[Change, ...]:
    """The changes of whole scalars that bring all edits about, in the order of the edits.

    ``value`` is the object; ``where`` is what messages call it. Scalars that stay as they are
    are left out.

    Raises:
        UnrewrittenImage: an edit does not fit its place, or two edits contradict each other.

    """
    by_path: dict[FieldPath, list[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, []).append(edit)
    changes = []
    for path, group in by_path.items():
        before = value_at(value, path)
        try:
            after = _edited(_text(before), [_Step(edit.inside, edit) for edit in group])
        except MisfitError as problem:
            raise _unrewritten(problem, where, group) from problem
        if after != sent_text(before):
            changes.append(Change(path, before, after))
    return tuple(changes)


def edit_text(text: str, edits: Iterable[Edit], where: str) -> str:
    """A text with edits inside of it done; their paths are not looked at.

    Raises:
        UnrewrittenImage: an edit does not fit its place, or two edits contradict each other.

    """
    group = list(edits)
    try:
        return _edited(text, [_Step(edit.inside, edit) for edit in group])
    except MisfitError as problem:
        raise _unrewritten(problem, where, group) from problem


def value_at(value: object, path: FieldPath) -> object:
    """What stands at a path; None where there is nothing."""
    for part in path.parts:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def with_changes(value: object, changes: Iterable[Change]) -> object:
    """The value with the changes made; what is not changed is shared with the old one."""
    for change in changes:
        value = _with(value, change.path.parts, change.after)
    return value


def _with(value: object, parts: Sequence[str | int], after: str) -> object:
    if not parts:
        return after
    part = parts[0]
    if isinstance(value, list) and isinstance(part, int):
        return [
            _with(child, parts[1:], after) if position == part else child
            for position, child in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return {
            key: _with(child, parts[1:], after) if key == part else child
            for key, child in value.items()
        }
    return value


def _unrewritten(problem: MisfitError, where: str, edits: Sequence[Edit]) -> UnrewrittenImage:
    return UnrewrittenImage(
        f"an image reference cannot be replaced: {problem}",
        where=f"{where}#{edits[0].place}",
        details=[f"{edit.place}: {edit.before} → {edit.after}" for edit in edits],
    )


def _text(value: object) -> str:
    text = sent_text(value)
    if text is None:
        raise MisfitError("there is no text")
    return text


def _edited(text: str, steps: Sequence[_Step]) -> str:
    return spliced(text, _splices(text, steps))


def _splices(text: str, steps: Sequence[_Step]) -> set[Splice]:
    """What to replace in a text so that all edits are done."""
    by_first: dict[Step | None, list[_Step]] = {}
    found: set[Splice] = set()
    documents: list[_Step] = []
    for step in steps:
        first = step.steps[0] if step.steps else None
        if isinstance(first, Embedded):
            documents.append(step)
        else:
            by_first.setdefault(first, []).append(step)
    for first, group in by_first.items():
        inner = [_Step(step.steps[1:], step.edit) for step in group]
        found.update(_direct(text, first, inner))
    if documents:
        found.update(_document_splices(text, documents))
    return found


def _direct(text: str, first: Step | None, inner: Sequence[_Step]) -> Iterator[Splice]:
    match first:
        case Span(start, end):
            for splice in _splices(text[start:end], inner):
                yield Splice(splice.start + start, splice.end + start, splice.after)
        case Encoded():
            decoded = read_base64(text)
            if decoded is None:
                raise MisfitError("it is not base64")
            yield Splice(0, len(text), _encoded_like(text, _edited(decoded, inner)))
        case _:
            for step in inner:
                if text != step.edit.before:
                    raise MisfitError(f"there is {text[:200]!r}, not {step.edit.before[:200]!r}")
                yield Splice(0, len(text), step.edit.after)


def _encoded_like(original: str, text: str) -> str:
    """Base64 of a text, broken into lines as the original is."""
    encoded = base64.b64encode(text.encode()).decode()
    lines = original.split()
    if len(lines) < 2:
        return original.replace(lines[0], encoded) if lines else encoded
    width = len(lines[0])
    start = original.index(lines[0])
    between = original[start + width : original.index(lines[1], start + width)]
    body = between.join(encoded[at : at + width] for at in range(0, len(encoded), width))
    return original[:start] + body + original[len(original.rstrip()) :]


def _document_splices(text: str, steps: Sequence[_Step]) -> Iterator[Splice]:
    """The splices in a text that is YAML or JSON, token by token: an alias has its anchor's."""
    places = [step.steps[0] for step in steps if isinstance(step.steps[0], Embedded)]
    groups: dict[Span, tuple[ScalarToken, list[_Step]]] = {}
    tokens = _tokens_at(text, places)
    for step, token in zip(steps, tokens, strict=True):
        groups.setdefault(token.span, (token, []))[1].append(_Step(step.steps[1:], step.edit))
    results: dict[Span, str] = {}
    splices = []
    for span, (token, inner) in groups.items():
        source = text[span.start : span.end]
        value = _value_of(token, source)
        within = _splices(value, inner)
        results[span] = spliced(value, within)
        splices += [
            Splice(splice.start + span.start, splice.end + span.start, splice.after)
            for splice in token_splices(source, token.style, value, within)
        ]
    _check(spliced(text, splices), places, [results[token.span] for token in tokens])
    yield from splices


def _check(text: str, places: Sequence[Embedded], expected: Sequence[str]) -> None:
    """Read the new text: it must say what was meant."""
    for token, value in zip(_tokens_at(text, places), expected, strict=True):
        if _value_of(token, text[token.span.start : token.span.end]) != value:
            raise MisfitError("the embedded text would not be read as it should")


def _tokens_at(text: str, places: Sequence[Embedded]) -> list[ScalarToken]:
    tree = TokenTree(text)
    if tree.token(places[0].document, places[0].path.parts) is None:
        # YAML has no pairs of surrogate escapes, JSON has. Masked, all tokens keep their places.
        tree = TokenTree(_SURROGATE_PAIR.sub(r"\\u0041\\u0041", text))
    tokens = [tree.token(place.document, place.path.parts) for place in places]
    found = [token for token in tokens if token is not None]
    if len(found) != len(places):
        raise MisfitError("its place in the embedded text cannot be told")
    return found


def _value_of(token: ScalarToken, source: str) -> str:
    if token.style is ScalarStyle.DOUBLE_QUOTED and _SURROGATE_PAIR.search(source):
        try:
            return str(json.loads(source))
        except ValueError as error:
            raise MisfitError("it is neither YAML nor JSON") from error
    return sent_text(token.value) or ""
