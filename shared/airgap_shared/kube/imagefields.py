"""Where image references stand in an object: the one traversal, its rules as data.

``create`` finds images with it and ``apply`` rewrites what it found, so the two cannot disagree.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airgap_shared.errors import AirgapError
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.uses import FieldPath, ImageUse, Verdict
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.oci.reference import parse_reference


class Confidence(enum.StrEnum):
    """How sure a rule is that what it finds is an image."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


ITEM: Final = object()


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field that holds one image reference: the end of its path, ``ITEM`` for a list position."""

    name: str
    confidence: Confidence
    suffix: tuple[object, ...]
    why: str

    def matches(self, parts: tuple[str | int, ...]) -> bool:
        """Whether a path ends the way this rule asks for."""
        if len(parts) < len(self.suffix):
            return False
        return all(
            isinstance(part, int) if wanted is ITEM else part == wanted
            for part, wanted in zip(parts[-len(self.suffix) :], self.suffix, strict=True)
        )


FIELD_RULES: Final = (
    FieldRule(
        "container", Confidence.CERTAIN, ("containers", ITEM, "image"), "the kubelet runs it"
    ),
    FieldRule(
        "init-container",
        Confidence.CERTAIN,
        ("initContainers", ITEM, "image"),
        "the kubelet runs it before the containers",
    ),
    FieldRule(
        "ephemeral-container",
        Confidence.CERTAIN,
        ("ephemeralContainers", ITEM, "image"),
        "the kubelet runs it for debugging",
    ),
    FieldRule(
        "image-volume",
        Confidence.CERTAIN,
        ("volumes", ITEM, "image", "reference"),
        "the kubelet mounts it as a volume",
    ),
)
_LAST_KEYS = frozenset(rule.suffix[-1] for rule in FIELD_RULES)

_TEMPLATE = re.compile(r"\{\{|\$\(|\$\{|\$[A-Za-z_]|^ko://|^<[^<>]*>$|%[sv]")


def find_images(obj: KubeObject) -> Iterator[ImageUse]:
    """Every image-like text of an object, in document order, each with its verdict."""
    yield from _walk(obj, obj.value, ())


def _walk(obj: KubeObject, value: object, parts: tuple[str | int, ...]) -> Iterator[ImageUse]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _walk(obj, child, (*parts, key))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _walk(obj, child, (*parts, position))
    else:
        rule = _field_rule(obj, parts)
        if rule is not None:
            yield _judged(obj, value, parts, rule)


def _field_rule(obj: KubeObject, parts: tuple[str | int, ...]) -> FieldRule | None:
    if not parts or parts[-1] not in _LAST_KEYS or obj.identity.kind == "CustomResourceDefinition":
        return None
    return next((rule for rule in FIELD_RULES if rule.matches(parts)), None)


def _judged(
    obj: KubeObject, value: object, parts: tuple[str | int, ...], rule: FieldRule
) -> ImageUse:
    text = scalar_text(value) or ""
    verdict, reason = _verdict(value, text, rule)
    return ImageUse(text, obj, FieldPath(parts), rule.name, verdict, reason)


def _verdict(value: object, text: str, rule: FieldRule) -> tuple[Verdict, str]:
    if not text:
        return Verdict.IGNORED, "the field is empty"
    if not isinstance(value, str):
        return Verdict.UNDECIDED, "the field holds no text"
    if text == "auto":
        return Verdict.UNDECIDED, "a placeholder that something in the cluster replaces"
    if _TEMPLATE.search(text):
        return Verdict.UNDECIDED, "a template that something replaces later"
    try:
        parse_reference(text)
    except AirgapError as problem:
        return Verdict.UNDECIDED, problem.what
    return Verdict.IMAGE, rule.why
