"""Where image references stand in an object: the one traversal.

``create`` finds images with it and ``apply`` rewrites what it found, so the two cannot disagree.
The rules themselves are data in :mod:`airgap_shared.kube.imagerules`; those of the user come as a
:class:`~airgap_shared.kube.ruleset.RuleSet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from airgap_shared.errors import LimitExceeded
from airgap_shared.kube.embedded import read_base64, read_embedded
from airgap_shared.kube.imagenames import GENERIC_KEYS, is_entry_of_images, names_image
from airgap_shared.kube.imageplaces import (
    INERT,
    SCHEMA_NOTE,
    judge_field,
    judge_finding,
    judge_split,
    note_for_key,
)
from airgap_shared.kube.imagerules import FIELD_RULES, NAMED, SPLIT, FieldRule, Rule
from airgap_shared.kube.imagetext import find_references
from airgap_shared.kube.imagetokens import Finding, find_full_references
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.placeholders import Placeholders
from airgap_shared.kube.ruleset import DEFAULT_RULES, RuleSet
from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.searchplace import Block, Parts, Place
from airgap_shared.kube.splitreferences import (
    Part,
    SplitReference,
    compose_families,
    compose_reference,
)
from airgap_shared.kube.uses import Encoded, ImageUse, Piece, Span, Step, Verdict
from airgap_shared.kube.yamlscalars import scalar_text

# Aliases and texts inside texts can make one object hold far more text than its file.
SCAN_LIMIT = 64 * 1024 * 1024
_EMBEDDED_LIMIT = 4
# Embedding goes on only above this depth, so the search cannot exhaust the call stack.
_DEPTH_LIMIT = 64
_LONGEST_FLAG = 100
_LAST_KEYS = frozenset(rule.suffix[-1] for rule in FIELD_RULES)
_CRD: Final = "CustomResourceDefinition"
_CRD_GROUP: Final = "apiextensions.k8s.io/"
# Fields whose values are base64 (api/core/v1/types.go).
_BASE64: Final = {"Secret": "data", "ConfigMap": "binaryData"}
# OpenShift's way to point at an image: {kind: DockerImage, name: …}.
_IMAGE_KINDS: Final = frozenset({"DockerImage"})


def find_images(obj: KubeObject, rules: RuleSet = DEFAULT_RULES) -> Iterator[ImageUse]:
    """Every image-like text of an object, in document order, each with its verdict.

    Raises:
        LimitExceeded: the object holds more text than anybody would write.

    """
    search = _Search(obj, rules)
    search.document(Place(), obj.value)
    return iter(rules.decide(search.uses()))


class _Search:
    """One search through one object."""

    def __init__(self, obj: KubeObject, rules: RuleSet) -> None:
        self._object = obj
        self._rules = rules.of(obj)
        self._scanned = 0
        self._uses: list[ImageUse] = []
        self._placeholders = Placeholders()
        self._pieces: set[tuple[Parts, tuple[Step, ...], int | None]] = set()

    def uses(self) -> list[ImageUse]:
        """What was found, templates that the object itself fills in told apart."""
        self._add_splits()
        return self._placeholders.settled(self._uses)

    def document(self, place: Place, value: object) -> None:
        """Search a whole document."""
        if isinstance(value, Mapping) and _is_schema(value):
            self._schema(place, value)
        else:
            self._visit(place, value)

    def _visit(self, place: Place, value: object) -> None:
        if isinstance(value, Mapping):
            self._visit_mapping(place, value)
        elif isinstance(value, list):
            self._visit_list(place, value)
        else:
            self._visit_scalar(place, value)

    def _schema(self, place: Place, value: object) -> None:
        """Search a CRD: a schema describes images, only its defaults are values."""
        children: Iterator[tuple[str | int, object]] = (
            iter(value.items())
            if isinstance(value, Mapping)
            else iter(enumerate(value if isinstance(value, list) else ()))
        )
        below = place.parts[-1] if place.parts else ""
        for key, child in children:
            if key == "default" and below != "properties":
                self._visit(replace(place.below(key), name=str(below), schema=True), child)
            elif isinstance(child, str):
                self._count(child)
                for finding in find_full_references(child):
                    noted = replace(place.below(key), note=SCHEMA_NOTE)
                    self._report_finding(noted, child, finding)
            elif isinstance(child, Mapping | list):
                self._schema(place.below(key), child)

    def _visit_mapping(self, place: Place, mapping: Mapping[str, object]) -> None:
        above = (*place.above, Block(mapping, place))
        if not place.note:
            self._visit_pieces(place, mapping, above)
        pair_name = _pair_name(mapping)
        for key, child in mapping.items():
            is_pair = bool(pair_name) and key in ("value", "default")
            name = pair_name if is_pair else key
            if not pair_name and (key in GENERIC_KEYS or is_entry_of_images(place.name, key)):
                name = place.name or key
            if key == "name" and mapping.get("kind") in _IMAGE_KINDS:
                name = "image"
            self._count(key)
            inner = replace(
                place,
                parts=(*place.parts, key),
                name=name,
                variable=is_pair,
                note=place.note or note_for_key(key, place.parts),
                depth=place.depth + 1,
                above=above,
            )
            self._visit(inner, child)

    def _visit_pieces(
        self, place: Place, mapping: Mapping[str, object], above: tuple[Block, ...]
    ) -> None:
        """Report the references that the fields of a mapping make together."""
        around = tuple(block.mapping for block in place.above)
        split = compose_reference(mapping, place.name, around)
        if split is not None:
            self._report_split(place, split, above)
            return
        for family in compose_families(mapping):
            self._report_split(place, family, above)

    def _visit_list(self, place: Place, items: list[object]) -> None:
        if not place.note:
            self._visit_variables(place, items)
        before = ""
        for position, child in enumerate(items):
            is_flag = before.startswith("-") and "=" not in before
            inner = replace(
                place,
                parts=(*place.parts, position),
                depth=place.depth + 1,
                name=before.lstrip("-") if is_flag else place.name,
                variable=is_flag,
            )
            self._visit(inner, child)
            before = child if isinstance(child, str) and len(child) < _LONGEST_FLAG else ""

    def _visit_variables(self, place: Place, items: list[object]) -> None:
        """Report the references that variables make together: ``X_IMAGE`` and ``X_TAG``."""
        positions: dict[str, int] = {}
        values: dict[str, object] = {}
        for position, item in enumerate(items):
            name = _pair_name(item) if isinstance(item, Mapping) else ""
            value = item.get("value") if name and isinstance(item, Mapping) else None
            if scalar_text(value) and name not in values:
                positions[name], values[name] = position, value
        for split in compose_families(values):
            parts = tuple(
                replace(part, keys=(positions[str(part.keys[0])], "value")) for part in split.parts
            )
            self._report_split(place, replace(split, parts=parts), (Block({}, place),))

    def _visit_scalar(self, place: Place, value: object) -> None:
        if self._pieces and (place.parts, place.inside, place.document) in self._pieces:
            return
        rule = self._field_rule(place)
        if rule is not None:
            text = scalar_text(value) or ""
            self._report(place, text, rule, judge_field(value, text, rule))
        elif isinstance(value, str):
            self._count(value)
            self._visit_text(place, value)
        elif value is not None and names_image(place.name) and not isinstance(value, bool):
            verdict = Verdict.UNDECIDED, "a number where an image may be meant"
            self._report(place, scalar_text(value) or "", NAMED, verdict)

    def _field_rule(self, place: Place) -> Rule | None:
        if place.note in INERT or not place.parts:
            return None
        if self._rules.fields and place.outer is None and not place.note:
            own = self._rules.field_at(place.parts)
            if own is not None:
                return own
        return _built_in_rule(place.parts)

    def _visit_text(self, place: Place, text: str) -> None:
        if place.note:
            for finding in find_full_references(text):
                self._report_finding(place, text, finding)
            return
        place, text = self._decoded(place, text)
        if self._visit_embedded(place, text):
            return
        findings = find_references(text, place.name, variable=place.variable)
        for finding in self._rules.with_declared(text, findings):
            self._report_finding(place, text, finding)

    def _decoded(self, place: Place, text: str) -> tuple[Place, str]:
        """The text behind base64 where an object keeps such."""
        field = _BASE64.get(self._object.identity.kind)
        is_data = field is not None and place.parts[:1] == (field,) and place.outer is None
        decoded = read_base64(text) if is_data else None
        if not decoded:
            return place, text
        self._count(decoded)
        return place.entered(Encoded()), decoded

    def _visit_embedded(self, place: Place, text: str) -> bool:
        """Search the documents that a text holds; False when it holds none."""
        if len(place.steps) >= _EMBEDDED_LIMIT or place.depth > _DEPTH_LIMIT:
            return False
        documents = read_embedded(text)
        tokens = TokenTree(text)
        for index, document in enumerate(documents):
            self.document(place.entered(document=index, tokens=tokens), document)
        return bool(documents)

    def _report_finding(self, place: Place, text: str, finding: Finding) -> None:
        span = () if finding.text == text else (Span(finding.start, finding.end),)
        self._report(place, finding.text, finding.rule, judge_finding(finding, place), span)

    def _report_split(
        self, place: Place, split: SplitReference, above: tuple[Block, ...], rule: Rule = SPLIT
    ) -> None:
        pieces = tuple(_piece(part, above[-1 - part.level].place) for part in split.parts)
        for part in split.parts:
            if part.level == 0:
                self._pieces.add(((*place.parts, *part.keys), place.inside, place.document))
        verdict = judge_split(split, rule.why, embedded=place.document is not None)
        if verdict[0] is Verdict.IMAGE:
            self._placeholders.supply(*(str(part.keys[-1]) for part in split.parts))
        use = ImageUse(
            split.text, self._object, place.path, rule.name, *verdict, place.steps, pieces
        )
        self._uses.append(use)

    def _add_splits(self) -> None:
        """Report what the user's rules say about fields that belong together."""
        root = Place()
        for rule, split in self._rules.splits_of(self._object.value):
            self._report_split(root, split, (Block(self._object.value, root),), rule)

    def _report(
        self,
        place: Place,
        text: str,
        rule: Rule,
        verdict: tuple[Verdict, str],
        span: tuple[Span, ...] = (),
    ) -> None:
        if verdict[0] is Verdict.IMAGE:
            self._placeholders.supply(place.name)
        self._uses.append(
            ImageUse(text, self._object, place.path, rule.name, *verdict, (*place.steps, *span))
        )

    def _count(self, text: str) -> None:
        self._scanned += len(text)
        if self._scanned > SCAN_LIMIT:
            raise LimitExceeded(
                f"the object holds more than {SCAN_LIMIT} characters, aliases and embedded texts"
                " expanded",
                where=str(self._object),
            )


def _is_schema(document: Mapping[str, object]) -> bool:
    """Whether this is a CRD: others may call a kind of their own so."""
    version = document.get("apiVersion")
    is_theirs = isinstance(version, str) and version.startswith(_CRD_GROUP)
    return is_theirs and document.get("kind") == _CRD


def _built_in_rule(parts: Parts) -> FieldRule | None:
    if parts[-1] not in _LAST_KEYS:
        return None
    return next((rule for rule in FIELD_RULES if rule.matches(parts)), None)


def _piece(part: Part, place: Place) -> Piece:
    field = place.below(*part.keys)
    span = (Span(part.skipped, part.skipped + len(part.text)),) if part.skipped else ()
    return Piece(part.role, field.path, (*field.steps, *span), part.text)


def _pair_name(mapping: Mapping[str, object]) -> str:
    """What ``{name: X, value: Y}`` calls Y: a variable, a parameter."""
    if "value" not in mapping and "default" not in mapping:
        return ""
    return scalar_text(mapping.get("name")) or ""
