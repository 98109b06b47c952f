"""Places and texts that look like a reference and are none that the application pulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from airgap_shared.errors import AirgapError
from airgap_shared.kube.imagerules import Rule
from airgap_shared.kube.imagetext import PATTERN_REASON, TARGET_REASON
from airgap_shared.kube.imagetokens import Finding, is_placeholder, placeholder_reason
from airgap_shared.kube.searchplace import Place
from airgap_shared.kube.splitreferences import SplitReference
from airgap_shared.kube.uses import Verdict
from airgap_shared.oci.reference import parse_reference

_DOCUMENTATION: Final = frozenset(
    {
        "_example",
        "description",
        "documentation",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)
_DOCUMENTED: Final = "documentation"
_LABELLED: Final = "labels"
_STATUS: Final = "a status, written by the cluster"
SCHEMA_NOTE: Final = "part of a schema"
#: Reasons that hold for a place, whatever text stands there.
NOTES: Final = frozenset(
    {_DOCUMENTED, _LABELLED, _STATUS, SCHEMA_NOTE, TARGET_REASON, PATTERN_REASON}
)
#: Those under which nothing is run, not even what is written like a container.
INERT: Final = frozenset({_DOCUMENTED, _STATUS, SCHEMA_NOTE})
_LABELS: Final = frozenset({"labels", "matchLabels", "nodeSelector"})
_BUILD_OUTPUTS: Final = frozenset({"output", "destination", "pushTo"})
_PATTERNS: Final = frozenset({"imageReferences", "skipImageReferences", "matchImages", "glob"})
_CLUSTER_SUFFIXES: Final = (".svc", ".svc.cluster.local", ".cluster.local")
_PLACEHOLDER_WORD: Final = "a placeholder that something in the cluster replaces"
_IN_CLUSTER: Final = "its registry is inside the cluster"
_DEFAULT_WITHOUT_TAG: Final = "a default without a tag; the version is said elsewhere"
_INCOMPLETE: Final = "a single word; fields beside it complete it"
_IN_TEXT: Final = "a single word in a text that may not be a container's"
# Fields that complete an image's name, and fields that only a container has.
_COMPLETING: Final = frozenset({"registry", "hub", "repository", "tag", "version", "imageRegistry"})
_SPLIT: Final = frozenset({"registry", "hub", "repository"})
_OF_CONTAINERS: Final = frozenset({"name", "command", "args", "script", "volumeMounts"})


def note_for_key(key: str, parts: tuple[str | int, ...]) -> str:
    """Why what stands under this key is no image to pull; empty when nothing says so.

    ``parts`` is the path to the mapping that has the key.
    """
    if key in _DOCUMENTATION:
        return _DOCUMENTED
    if key in _LABELS:
        return _LABELLED
    if key in _BUILD_OUTPUTS and parts:
        return TARGET_REASON
    if key in _PATTERNS:
        return PATTERN_REASON
    if key == "status" and not parts:
        return _STATUS
    return ""


def judge_field(value: object, text: str, rule: Rule) -> tuple[Verdict, str]:
    """The verdict on a field that holds exactly one reference."""
    if not text:
        return Verdict.IGNORED, "the field is empty"
    if not isinstance(value, str):
        return Verdict.UNDECIDED, "the field holds no text"
    if text == "auto":
        return Verdict.UNDECIDED, _PLACEHOLDER_WORD
    if is_placeholder(text):
        return Verdict.UNDECIDED, placeholder_reason(text)
    if "*" in text:
        return Verdict.IGNORED, PATTERN_REASON
    return judge_text(text, rule.why)


def judge_text(text: str, why: str) -> tuple[Verdict, str]:
    """The verdict on a text that is meant to be a reference."""
    try:
        reference = parse_reference(text)
    except AirgapError as problem:
        return Verdict.UNDECIDED, problem.what
    if reference.registry.partition(":")[0].endswith(_CLUSTER_SUFFIXES):
        return Verdict.IGNORED, _IN_CLUSTER
    return Verdict.IMAGE, why


def judge_split(split: SplitReference, why: str, *, embedded: bool) -> tuple[Verdict, str]:
    """The verdict on a reference that several fields make together.

    What Kubernetes makes of a number is known; what a program makes of one in a text is not.
    """
    if split.doubt:
        return Verdict.UNDECIDED, split.doubt
    if split.retyped and embedded:
        return Verdict.UNDECIDED, f"{split.retyped} to many programs: put it in quotes"
    return judge_text(split.text, f"{why}; {split.retyped}" if split.retyped else why)


def judge_finding(finding: Finding, place: Place) -> tuple[Verdict, str]:
    """The verdict on a part of a text, by where the text stands."""
    if place.note:
        return Verdict.IGNORED, place.note
    if finding.verdict is not Verdict.IMAGE:
        return finding.verdict, finding.reason
    verdict, reason = judge_text(finding.text, finding.reason)
    doubt = _doubt(finding.text, place) if verdict is Verdict.IMAGE else ""
    return (Verdict.UNDECIDED, doubt) if doubt else (verdict, reason)


def _doubt(text: str, place: Place) -> str:
    """Why a person has to say whether this is an image; empty when nobody has to."""
    has_tag = "@" in text or ":" in text.rpartition("/")[2]
    if has_tag:
        return ""
    if place.schema:
        return _DEFAULT_WITHOUT_TAG
    if "/" in text or place.variable:
        return ""
    return _doubt_of_word(place, place.beside, embedded=place.document is not None)


def _is_among_split(place: Place) -> bool:
    """Whether the blocks beside this one say registry and name in fields of their own."""
    around = place.above[-2].mapping.values() if len(place.above) > 1 else ()
    return any(
        isinstance(block, Mapping) and "image" in block and not _SPLIT.isdisjoint(block)
        for block in around
    )


def _doubt_of_word(place: Place, beside: Mapping[str, object], *, embedded: bool) -> str:
    if not _COMPLETING.isdisjoint(beside) or _is_among_split(place):
        return _INCOMPLETE
    return _IN_TEXT if embedded and _OF_CONTAINERS.isdisjoint(beside) else ""
