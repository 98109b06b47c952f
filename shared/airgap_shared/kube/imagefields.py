"""Where image references stand in an object: the one traversal.

``create`` finds images with it and ``apply`` rewrites what it found, so the two cannot disagree.
The rules themselves are data in :mod:`airgap_shared.kube.imagerules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from airgap_shared.errors import AirgapError, LimitExceeded
from airgap_shared.kube.embedded import read_base64, read_embedded
from airgap_shared.kube.imagenames import GENERIC_KEYS, is_entry_of_images, names_image
from airgap_shared.kube.imageplaces import note_for_key, note_for_text
from airgap_shared.kube.imagerules import FIELD_RULES, NAMED, SPLIT, FieldRule, Rule
from airgap_shared.kube.imagetokens import (
    PLACEHOLDER_REASON,
    Finding,
    find_full_references,
    find_references,
    is_placeholder,
)
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.splitreferences import compose_reference
from airgap_shared.kube.uses import Embedded, Encoded, FieldPath, ImageUse, Span, Step, Verdict
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.oci.reference import parse_reference

# Aliases and texts inside texts can make one object hold far more text than its file.
SCAN_LIMIT = 64 * 1024 * 1024
_EMBEDDED_LIMIT = 4
# Embedding goes on only above this depth, so the search cannot exhaust the call stack.
_DEPTH_LIMIT = 64
_LONGEST_FLAG = 100
_LAST_KEYS = frozenset(rule.suffix[-1] for rule in FIELD_RULES)
_CRD: Final = "CustomResourceDefinition"
_Parts = tuple[str | int, ...]


def find_images(obj: KubeObject) -> Iterator[ImageUse]:
    """Every image-like text of an object, in document order, each with its verdict.

    Raises:
        LimitExceeded: the object holds more text than anybody would write.

    """
    search = _Search(obj)
    if obj.identity.kind == _CRD:
        search.schema(_Place(), obj.value)
    else:
        search.visit(_Place(), obj.value)
    return iter(search.uses)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the search stands: the path, what leads into a text, and what surrounds it.

    ``note`` says why nothing here can be an image that the application pulls; ``name`` is what a
    value is called; ``above`` holds the mappings around it, outermost first. Within an embedded
    text, ``outer`` is the path to the text and ``parts`` begins at its ``document``.
    """

    parts: _Parts = ()
    outer: FieldPath | None = None
    inside: tuple[Step, ...] = ()
    document: int | None = None
    name: str = ""
    note: str = ""
    depth: int = 0
    above: tuple[Mapping[str, object], ...] = ()
    tokens: TokenTree | None = None

    @property
    def path(self) -> FieldPath:
        """The path from the object's root to a value."""
        return self.outer or FieldPath(self.parts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What leads from that value to this place."""
        if self.document is None:
            return self.inside
        return (*self.inside, self._embedded(self.document))

    def _embedded(self, document: int) -> Embedded:
        path = FieldPath(self.parts)
        token = self.tokens.token(document, self.parts) if self.tokens is not None else None
        if token is None:
            return Embedded(document, path)
        return Embedded(document, path, token.span, token.style)

    def entered(
        self, *steps: Step, document: int | None = None, tokens: TokenTree | None = None
    ) -> _Place:
        """The place behind further steps: a decoding, or a document of an embedded text."""
        return replace(
            self,
            outer=self.path,
            parts=(),
            inside=(*self.steps, *steps),
            document=document,
            tokens=tokens,
        )


class _Search:
    """One search through one object."""

    def __init__(self, obj: KubeObject) -> None:
        self._object = obj
        self._scanned = 0
        self.uses: list[ImageUse] = []

    def visit(self, place: _Place, value: object) -> None:
        """Search a value and everything below it."""
        if isinstance(value, Mapping):
            self._visit_mapping(place, value)
        elif isinstance(value, list):
            self._visit_list(place, value)
        else:
            self._visit_scalar(place, value)

    def schema(self, place: _Place, value: object) -> None:
        """Search a CRD: a schema describes images, only its defaults are values."""
        children: Iterator[tuple[str | int, object]] = (
            iter(value.items())
            if isinstance(value, Mapping)
            else iter(enumerate(value if isinstance(value, list) else ()))
        )
        below = place.parts[-1] if place.parts else ""
        for key, child in children:
            inner = _Place((*place.parts, key), name=key if isinstance(key, str) else place.name)
            if key == "default" and below != "properties":
                self.visit(replace(inner, name=str(below)), child)
            elif isinstance(child, str):
                self._visit_scalar(replace(inner, note="part of a schema"), child)
            else:
                self.schema(inner, child)

    def _visit_mapping(self, place: _Place, mapping: Mapping[str, object]) -> None:
        split = None if place.note else compose_reference(mapping, place.name, place.above)
        if split is not None:
            self._report(place, split.text, SPLIT, Verdict.UNDECIDED, SPLIT.why)
        pieces = split.keys if split is not None else frozenset[str]()
        above = (*place.above, mapping)
        pair_name = _pair_name(mapping)
        for key, child in mapping.items():
            if key in pieces and not isinstance(child, Mapping | list):
                continue
            name = pair_name if pair_name and key in ("value", "default") else key
            if not pair_name and (key in GENERIC_KEYS or is_entry_of_images(place.name, key)):
                name = place.name or key
            note = place.note or note_for_key(key, place.parts)
            self._count(key)
            inner = replace(
                place,
                parts=(*place.parts, key),
                name=name,
                note=note,
                depth=place.depth + 1,
                above=above,
            )
            self.visit(inner, child)

    def _visit_list(self, place: _Place, items: list[object]) -> None:
        before = ""
        for position, child in enumerate(items):
            is_flag = before.startswith("-") and "=" not in before
            name = before.lstrip("-") if is_flag else place.name
            inner = replace(place, parts=(*place.parts, position), depth=place.depth + 1, name=name)
            self.visit(inner, child)
            before = child if isinstance(child, str) and len(child) < _LONGEST_FLAG else ""

    def _visit_scalar(self, place: _Place, value: object) -> None:
        rule = self._field_rule(place)
        if rule is not None:
            self._judge_field(place, value, rule)
        elif isinstance(value, str):
            self._count(value)
            self._visit_text(place, value)
        elif value is not None and names_image(place.name) and not isinstance(value, bool):
            reason = "a number where an image may be meant"
            self._report(place, scalar_text(value) or "", NAMED, Verdict.UNDECIDED, reason)

    def _field_rule(self, place: _Place) -> FieldRule | None:
        parts = place.parts
        if not parts or parts[-1] not in _LAST_KEYS or place.note:
            return None
        return next((rule for rule in FIELD_RULES if rule.matches(parts)), None)

    def _judge_field(self, place: _Place, value: object, rule: FieldRule) -> None:
        text = scalar_text(value) or ""
        verdict, reason = _verdict(value, text, rule)
        if verdict is Verdict.IMAGE and (place.steps or self._object.identity.kind == _CRD):
            verdict, reason = Verdict.UNDECIDED, f"{rule.why}, but it stands inside a text"
        self._report(place, text, rule, verdict, reason)

    def _visit_text(self, place: _Place, text: str) -> None:
        if place.note:
            for finding in find_full_references(text):
                self._report_finding(place, text, finding)
            return
        place, text = self._decoded(place, text)
        if self._visit_embedded(place, text):
            return
        for finding in find_references(text, place.name):
            self._report_finding(place, text, finding)

    def _decoded(self, place: _Place, text: str) -> tuple[_Place, str]:
        """The text behind base64 where an object keeps such: in the data of a Secret."""
        is_data = place.parts[:1] == ("data",) and place.outer is None
        decoded = read_base64(text) if is_data and self._object.identity.kind == "Secret" else None
        if not decoded:
            return place, text
        self._count(decoded)
        return place.entered(Encoded()), decoded

    def _visit_embedded(self, place: _Place, text: str) -> bool:
        """Search the documents that a text holds; False when it holds none."""
        if len(place.steps) >= _EMBEDDED_LIMIT or place.depth > _DEPTH_LIMIT:
            return False
        documents = read_embedded(text)
        tokens = TokenTree(text)
        for index, document in enumerate(documents):
            self.visit(place.entered(document=index, tokens=tokens), document)
        return bool(documents)

    def _report_finding(self, place: _Place, text: str, finding: Finding) -> None:
        verdict, reason = Verdict.UNDECIDED, finding.reason
        note = place.note or note_for_text(finding.text)
        if note:
            verdict, reason = Verdict.IGNORED, note
        span = () if finding.text == text else (Span(finding.start, finding.end),)
        self._report(place, finding.text, finding.rule, verdict, reason, span)

    def _report(
        self,
        place: _Place,
        text: str,
        rule: Rule,
        verdict: Verdict,
        reason: str,
        span: tuple[Span, ...] = (),
    ) -> None:
        steps = (*place.steps, *span)
        self.uses.append(
            ImageUse(text, self._object, place.path, rule.name, verdict, reason, steps)
        )

    def _count(self, text: str) -> None:
        self._scanned += len(text)
        if self._scanned > SCAN_LIMIT:
            raise LimitExceeded(
                f"the object holds more than {SCAN_LIMIT} characters, aliases and embedded texts"
                " expanded",
                where=str(self._object),
            )


def _pair_name(mapping: Mapping[str, object]) -> str:
    """What ``{name: X, value: Y}`` calls Y: a variable, a parameter."""
    if "value" not in mapping and "default" not in mapping:
        return ""
    return scalar_text(mapping.get("name")) or ""


def _verdict(value: object, text: str, rule: FieldRule) -> tuple[Verdict, str]:
    if not text:
        return Verdict.IGNORED, "the field is empty"
    if not isinstance(value, str):
        return Verdict.UNDECIDED, "the field holds no text"
    if text == "auto":
        return Verdict.UNDECIDED, "a placeholder that something in the cluster replaces"
    if is_placeholder(text):
        return Verdict.UNDECIDED, PLACEHOLDER_REASON
    try:
        parse_reference(text)
    except AirgapError as problem:
        return Verdict.UNDECIDED, problem.what
    note = note_for_text(text)
    return (Verdict.UNDECIDED, note) if note else (Verdict.IMAGE, rule.why)
