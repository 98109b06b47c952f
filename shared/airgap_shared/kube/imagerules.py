"""The rules by which image references are found, as data: name, trust, what, why."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Confidence(enum.StrEnum):
    """How sure a rule is that what it finds is an image."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to recognise a reference: what it looks at, and why that is an image."""

    name: str
    confidence: Confidence
    what: str
    why: str


ITEM: Final = object()


@dataclass(frozen=True, slots=True)
class FieldRule(Rule):
    """A field that holds exactly one reference: the end of its path, ``ITEM`` for a position."""

    suffix: tuple[object, ...]

    def matches(self, parts: tuple[str | int, ...]) -> bool:
        """Whether a path ends the way this rule asks for."""
        if len(parts) < len(self.suffix):
            return False
        return all(
            isinstance(part, int) if wanted is ITEM else part == wanted
            for part, wanted in zip(parts[-len(self.suffix) :], self.suffix, strict=True)
        )


def _container_rule(name: str, key: str, why: str) -> FieldRule:
    return FieldRule(name, Confidence.CERTAIN, f"{key}[].image", why, (key, ITEM, "image"))


FIELD_RULES: Final = (
    _container_rule("container", "containers", "the kubelet runs it"),
    _container_rule(
        "init-container", "initContainers", "the kubelet runs it before the containers"
    ),
    _container_rule(
        "ephemeral-container", "ephemeralContainers", "the kubelet runs it for debugging"
    ),
    FieldRule(
        "image-volume",
        Confidence.CERTAIN,
        "volumes[].image.reference",
        "the kubelet mounts it as a volume",
        ("volumes", ITEM, "image", "reference"),
    ),
)

NAMED = Rule(
    "named-field",
    Confidence.LIKELY,
    "a field, variable, flag or parameter whose name speaks of an image",
    "its name says that it holds an image",
)
FULL = Rule(
    "full-reference",
    Confidence.LIKELY,
    "registry/path:tag or registry/path@digest anywhere in a text",
    "it is written like a full image reference",
)
DIGEST = Rule(
    "digest-reference",
    Confidence.LIKELY,
    "name@sha256:… anywhere in a text",
    "it is a name pinned by a digest",
)
URL = Rule(
    "registry-url",
    Confidence.LIKELY,
    "docker:// and oci:// URLs",
    "the URL points into a registry",
)
COMMAND = Rule(
    "command-text",
    Confidence.POSSIBLE,
    "docker run, docker pull and FROM in scripts",
    "a script pulls or builds on it",
)
REPOSITORY = Rule(
    "repository-field",
    Confidence.POSSIBLE,
    "a field, variable or flag named repository that holds registry/path",
    "it names a repository in a registry, without a tag",
)
SPLIT = Rule(
    "split-reference",
    Confidence.LIKELY,
    "repository, image or name beside registry, tag, version or digest",
    "composed of several fields",
)
TEXT_RULES: Final = (NAMED, FULL, DIGEST, URL, COMMAND, REPOSITORY, SPLIT)
RULES: Final[tuple[Rule, ...]] = (*FIELD_RULES, *TEXT_RULES)
