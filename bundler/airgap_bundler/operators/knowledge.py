"""What well-known operators are known to pull, and which of it an application lacks.

The table is known.yaml beside this module. It only reports: nothing is bundled because of it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from airgap_shared.errors import InternalError
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.pathpattern import PathPattern, parse_path_pattern
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.kube.yamltext import read_documents
from airgap_shared.oci.reference import Reference, parse_reference

_TABLE: Final = "known.yaml"
_HOLE = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Recognition:
    """How an operator is told: by the repository of its own image, or by a kind of object.

    An object counts only when ``without`` holds nothing in it. ``version`` is a path in it.
    """

    image: str = ""
    kind: str = ""
    group: str = ""
    without: PathPattern | None = None
    version: PathPattern | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact was read, and when; ``verified`` when its author looked at the source itself."""

    project: str
    file: str
    date: str
    verified: bool


@dataclass(frozen=True, slots=True)
class KnownOperator:
    """What one operator pulls: patterns with ``{version}`` (the operator's tag, or a field)."""

    name: str
    when: Recognition
    pulls: tuple[str, ...]
    why: str
    source: Source


@dataclass(frozen=True, slots=True)
class Needed:
    """An image that an application is known to need and does not list.

    ``reference`` has ``*`` or a word in braces where nobody can know it from the manifests.
    """

    operator: str
    reference: str
    place: str
    why: str
    source: Source

    def to_json(self) -> dict[str, object]:
        """The entry as reports write it."""
        return {
            "operator": self.operator,
            "reference": self.reference,
            "place": self.place,
            "reason": self.why,
            "source": f"{self.source.project} {self.source.file} ({self.source.date})",
            "verified": self.source.verified,
        }


def load_knowledge() -> tuple[KnownOperator, ...]:
    """The packaged table."""
    text = resources.files(__package__ or "").joinpath(_TABLE).read_text(encoding="utf-8")
    return parse_knowledge(text)


def parse_knowledge(text: str) -> tuple[KnownOperator, ...]:
    """Read a table.

    Raises:
        InternalError: it has mistakes; the table is part of the program.

    """
    (document,) = read_documents(text, _TABLE)
    try:
        table = document.value
        entries = table["operators"] if isinstance(table, Mapping) else ()
        return tuple(_operator(entry) for entry in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise InternalError(f"the table of operators has mistakes: {error!r}") from error


def needed_images(
    known: Sequence[KnownOperator],
    found: Iterable[tuple[KubeObject, Sequence[ImageUse]]],
    references: Sequence[Reference],
) -> tuple[Needed, ...]:
    """What the operators among these objects are known to pull and nobody lists.

    ``found`` holds each object with its uses; ``references`` are the images that are bundled,
    those that the user declared included.
    """
    needed: dict[tuple[str, str], Needed] = {}
    for obj, uses in found:
        images = tuple(parse_reference(use.text) for use in uses if use.verdict is Verdict.IMAGE)
        for entry in (entry for operator in known for entry in _pulled(operator, obj, images)):
            if not any(_satisfies(reference, entry.reference) for reference in references):
                needed.setdefault((entry.operator, entry.reference), entry)
    return tuple(needed[key] for key in sorted(needed))


def _pulled(
    operator: KnownOperator, obj: KubeObject, images: Sequence[Reference]
) -> Iterator[Needed]:
    for version in _recognised(operator.when, obj, images):
        for pattern in operator.pulls:
            text = pattern.replace("{version}", version or "{version}")
            yield Needed(operator.name, text, str(obj), operator.why, operator.source)


def _operator(entry: Mapping[str, object]) -> KnownOperator:
    when, source = entry["when"], entry["source"]
    if not isinstance(when, Mapping) or not isinstance(source, Mapping):
        raise TypeError("when and source are mappings")
    pulls = entry["pulls"]
    return KnownOperator(
        str(entry["name"]),
        Recognition(
            str(when.get("image", "")),
            str(when.get("kind", "")),
            str(when.get("group", "")),
            _path(when.get("without")),
            _path(when.get("version")),
        ),
        tuple(map(str, pulls)) if isinstance(pulls, list) else (),
        str(entry["why"]),
        Source(
            str(source["project"]),
            str(source["file"]),
            str(source["date"]),
            source["verified"] is True,
        ),
    )


def _path(text: object) -> PathPattern | None:
    return None if text is None else parse_path_pattern(str(text))


def _recognised(when: Recognition, obj: KubeObject, images: Sequence[Reference]) -> Iterator[str]:
    """The versions that the object asks for; an empty text when it says none."""
    if when.image:
        for reference in images:
            if fnmatch.fnmatchcase(reference.repository, when.image):
                yield reference.tag or ""
        return
    if (obj.identity.kind, obj.identity.group) != (when.kind, when.group):
        return
    if when.without is not None and any(True for _ in when.without.found_in(obj.value)):
        return
    versions = list(when.version.found_in(obj.value)) if when.version is not None else []
    yield (scalar_text(versions[0][1]) or "") if versions else ""


def _satisfies(reference: Reference, needed: str) -> bool:
    """Whether a bundled image is what is needed, in whichever registry it is."""
    pattern = _HOLE.sub("*", needed)
    if "/" not in pattern:
        return False
    name, colon, tag = pattern.rpartition(":")
    if not colon or "/" in tag:
        name, tag = pattern, "*"
    repository = name.partition("/")[2] if "." in name.partition("/")[0] else name
    return fnmatch.fnmatchcase(reference.repository, repository) and (
        fnmatch.fnmatchcase(reference.tag or "", tag) or reference.digest is not None
    )
