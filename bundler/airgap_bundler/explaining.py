"""Why a reference is, or is not, among the images: every use, or why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airgap_shared.errors import AirgapError
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.uses import FieldPath, ImageUse
from airgap_shared.oci.reference import parse_reference

_MOST_PLACES: Final = 20
_NO_RULE: Final = "no rule takes it for an image here"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One place of a text: which rule found it, the verdict and why; no rule where none did."""

    place: str
    text: str
    rule: str
    verdict: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """The explanation as JSON writes it."""
        return {
            "place": self.place,
            "text": self.text,
            "rule": self.rule,
            "verdict": self.verdict,
            "reason": self.reason,
        }


def explain(
    wanted: str, uses: Sequence[ImageUse], objects: Sequence[KubeObject]
) -> tuple[Explanation, ...]:
    """Every use of a reference; where there is none, the places of the text that no rule took."""
    name = _canonical(wanted)
    found = tuple(
        Explanation(use.place, use.text, use.rule, use.verdict.value, use.reason)
        for use in uses
        if use.text == wanted or (name and _canonical(use.text) == name)
    )
    return found or tuple(_not_found(wanted, uses, objects))


def explanation_text(wanted: str, explanations: Sequence[Explanation]) -> str:
    """The same for people."""
    if not explanations:
        return (
            f"{wanted} does not stand in these manifests\n"
            "  if the application needs it, list it under images in a rules file, or give --image"
        )
    lines = [wanted]
    for entry in explanations:
        rule = f"[{entry.rule}] " if entry.rule else ""
        other = f" as {entry.text}" if entry.text != wanted else ""
        lines += [f"  {entry.verdict}{other}: {rule}{entry.reason}", f"      {entry.place}"]
    return "\n".join(lines)


def _canonical(text: str) -> str:
    try:
        return parse_reference(text).canonical
    except AirgapError:
        return ""


def _not_found(
    wanted: str, uses: Sequence[ImageUse], objects: Sequence[KubeObject]
) -> Iterator[Explanation]:
    """Longer texts that hold it come first, then the fields that it stands in."""
    for use in uses:
        if wanted in use.text:
            yield Explanation(use.place, use.text, use.rule, use.verdict.value, use.reason)
    left = _MOST_PLACES
    for obj in objects:
        for path, text in _texts(obj.value, ()):
            if wanted in text and left:
                left -= 1
                yield Explanation(f"{obj}#{FieldPath(path)}", wanted, "", "not found", _NO_RULE)


def _texts(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _texts(child, (*path, key))
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _texts(child, (*path, position))
