"""Assignments: which repository a source was given, remembered so that it keeps it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_shared.oci.fields import Fields
from airgap_shared.oci.reference import is_valid_repository

#: The repository below a target's path that has the receipts; no source is given it.
RECEIPTS = "airgap-receipts"
#: More text than this is not remembered on the host and in the registry, in characters.
_REMEMBERED = 2 << 20


@dataclass(frozen=True, slots=True, order=True)
class Assignment:
    """The repository that a source name was given below a path of a registry."""

    name: str
    registry: str
    path: str
    repository: str

    def to_document(self) -> dict[str, str]:
        """The assignment as JSON writes it."""
        return {
            "name": self.name,
            "registry": self.registry,
            "path": self.path,
            "repository": self.repository,
        }


def merged(*sources: Mapping[str, str]) -> dict[str, str]:
    """Several memories of one target as one, source names to repositories.

    Of two that contradict each other the first counts; a repository is never given twice.
    """
    result: dict[str, str] = {}
    for source in sources:
        taken = set(result.values())
        for name, repository in sorted(source.items()):
            if name not in result and repository not in taken:
                result[name] = repository
                taken.add(repository)
    return result


def remembered(assignments: Mapping[str, str]) -> dict[str, str]:
    """What is to be kept on the host and in the registry: all, or nothing where that is too much.

    Beside the overlay all of them are always kept.
    """
    size = sum(len(name) + len(repository) + 8 for name, repository in assignments.items())
    return dict(assignments) if size <= _REMEMBERED else {}


def parse_assignments(fields: Fields, key: str, target: str) -> dict[str, str]:
    """Read what is remembered of one target (``REGISTRY/PATH``); absent counts as nothing.

    Raises:
        AirgapError: of the kind of ``fields``; a repository is not below the target's path,
            or is that of the receipts.

    """
    found = dict(fields.text_map(key))
    path = target.partition("/")[2]
    for name, repository in found.items():
        below = repository.removeprefix(f"{path}/") if path else repository
        inside = not path or below != repository
        if not inside or below == RECEIPTS or not is_valid_repository(repository):
            fields.refuse("not a repository of the target", f"{key}.{name[:100]}")
    return found
