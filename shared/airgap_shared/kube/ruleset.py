"""The user's own rules: what is an image, what is none, and in which fields images stand."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from airgap_shared.kube.imageplaces import NOTES
from airgap_shared.kube.imagerules import Confidence, Rule
from airgap_shared.kube.imagetokens import Finding, is_placeholder
from airgap_shared.kube.objects import KubeObject, ObjectIdentity
from airgap_shared.kube.pathpattern import PathPattern
from airgap_shared.kube.searchplace import Parts
from airgap_shared.kube.splitreferences import SplitReference, compose_texts, part_of
from airgap_shared.kube.uses import ImageUse, PieceRole, Verdict

DECLARED: Final = Rule(
    "declared",
    Confidence.CERTAIN,
    "a text that the rules file lists under images",
    "the rules file says that it is an image",
)
OWN_FIELD: Final = Rule(
    "own-field",
    Confidence.CERTAIN,
    "a field that the rules file lists under fields",
    "the rules file says that this field holds an image",
)
OWN_SPLIT: Final = Rule(
    "own-split",
    Confidence.CERTAIN,
    "fields that the rules file lists under split",
    "the rules file says that these fields make an image",
)
USER_RULES: Final = (DECLARED, OWN_FIELD, OWN_SPLIT)
_INSIDE_NAME = re.compile(r"[\w./:@-]")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects a rule is for; an empty kind or group is any."""

    kind: str = ""
    group: str | None = None

    def holds(self, identity: ObjectIdentity) -> bool:
        """Whether the rule is for such an object."""
        return self.kind in ("", identity.kind) and self.group in (None, identity.group)


@dataclass(frozen=True, slots=True)
class DeclaredImage:
    """A text that is an image wherever it stands, and that is needed even where it does not."""

    text: str
    reason: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class IgnoredText:
    """Texts, or places, that hold no image to bundle; ``*`` stands for anything in both."""

    text: str
    place: str
    reason: str

    def covers(self, use: ImageUse) -> bool:
        """Whether the rule is about this use."""
        return (not self.text or fnmatch.fnmatchcase(use.text, self.text)) and (
            not self.place or fnmatch.fnmatchcase(use.place, _literal_brackets(self.place))
        )


@dataclass(frozen=True, slots=True)
class OwnField:
    """A field of somebody's own resources that holds one reference."""

    path: PathPattern
    scope: Scope


@dataclass(frozen=True, slots=True)
class OwnSplit:
    """Fields that make a reference together; the same ``*`` stands for the same in all of them."""

    paths: tuple[tuple[PieceRole, PathPattern], ...]
    scope: Scope


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of one rules file."""

    images: tuple[DeclaredImage, ...] = ()
    ignored: tuple[IgnoredText, ...] = ()
    fields: tuple[OwnField, ...] = ()
    splits: tuple[OwnSplit, ...] = ()

    def of(self, obj: KubeObject) -> RuleSet:
        """The rules that are for this object."""
        if not (self.fields or self.splits):
            return self
        return replace(
            self,
            fields=tuple(own for own in self.fields if own.scope.holds(obj.identity)),
            splits=tuple(own for own in self.splits if own.scope.holds(obj.identity)),
        )

    def field_at(self, path: Parts) -> Rule | None:
        """The rule for a field at this path."""
        return OWN_FIELD if any(own.path.matches(path) for own in self.fields) else None

    def splits_of(self, value: Mapping[str, object]) -> Iterator[tuple[Rule, SplitReference]]:
        """The references that the fields of an object make, as the user describes them."""
        for own in self.splits:
            for split in _splits(own, value):
                yield OWN_SPLIT, split

    def with_declared(self, text: str, findings: Sequence[Finding]) -> Sequence[Finding]:
        """The findings in a text, and those declared texts in it that no other rule found."""
        if not self.images:
            return findings
        found = list(findings)
        for declared in self.images:
            for start in _occurrences(text, declared.text):
                end = start + len(declared.text)
                if all(end <= other.start or other.end <= start for other in found):
                    reason = declared.reason or DECLARED.why
                    found.append(Finding(declared.text, start, end, DECLARED, reason))
        return sorted(found, key=lambda finding: finding.start)

    def decide(self, uses: Iterable[ImageUse]) -> list[ImageUse]:
        """The uses with the user's verdicts: ignored places, then images, then ignored texts."""
        if not (self.images or self.ignored):
            return list(uses)
        declared = {image.text: image.reason or DECLARED.why for image in self.images}
        return [self._decided(use, declared) for use in uses]

    def _decided(self, use: ImageUse, declared: Mapping[str, str]) -> ImageUse:
        ignored = next((rule for rule in self.ignored if rule.covers(use)), None)
        if ignored is not None and (ignored.place or use.text not in declared):
            return replace(use, verdict=Verdict.IGNORED, reason=ignored.reason)
        # A description stays one, whatever it mentions.
        if use.text in declared and use.reason not in NOTES and use.verdict is not Verdict.IMAGE:
            return replace(use, verdict=Verdict.IMAGE, reason=declared[use.text])
        return use


DEFAULT_RULES: Final = RuleSet()


def _literal_brackets(pattern: str) -> str:
    """Places have list positions in brackets, which fnmatch would read as sets."""
    return pattern.replace("[", "[[]")


def _occurrences(text: str, wanted: str) -> Iterator[int]:
    """Where a declared text stands on its own: not as a part of a longer name."""
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        before, after = text[start - 1 : start] if start else "", text[end : end + 1]
        if not _INSIDE_NAME.match(before) and not _INSIDE_NAME.match(after):
            yield start
        start = text.find(wanted, end)


def _splits(own: OwnSplit, value: Mapping[str, object]) -> Iterator[SplitReference]:
    (_, lead), *others = own.paths
    for path, child in lead.found_in(value):
        first = part_of(own.paths[0][0], path, child)
        if first is None:
            continue
        stars = _stars(lead, path)
        parts = [first]
        for role, pattern in others:
            at = _bound(pattern, stars)
            found = part_of(role, at, _value_at(value, at))
            if found is not None:
                parts.append(found)
        order = list(PieceRole)
        parts.sort(key=lambda part: order.index(part.role))
        composed = compose_texts({part.role: part.text for part in parts})
        doubt = "a template that something replaces later" if is_placeholder(composed) else ""
        yield SplitReference(composed, tuple(parts), doubt)


def _stars(pattern: PathPattern, path: Parts) -> list[str | int]:
    return [
        step
        for part, step in zip(pattern.parts, path, strict=True)
        if not isinstance(part, str | int)
    ]


def _bound(pattern: PathPattern, stars: Sequence[str | int]) -> Parts:
    """The path that a pattern names when its stars are known, the first ones first."""
    remaining = iter(stars)
    return tuple(
        part if isinstance(part, str | int) else next(remaining, "") for part in pattern.parts
    )


def _value_at(value: object, path: Parts) -> object:
    for step in path:
        if isinstance(value, Mapping) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
