"""The map that is kept beside the overlay, so that names stay from release to release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.relocation import Relocation, Target
from airgap_shared.errors import StateCorrupt
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.reference import parse_reference


@dataclass(frozen=True, slots=True, order=True)
class Assignment:
    """The repository that a source name was given in a registry."""

    name: str
    registry: str
    repository: str

    def to_document(self) -> dict[str, str]:
        """The assignment as JSON writes it."""
        return {"name": self.name, "registry": self.registry, "repository": self.repository}


@dataclass(frozen=True, slots=True)
class RelocationRecord:
    """Every assignment that imports into this overlay directory ever made."""

    assignments: frozenset[Assignment] = frozenset()

    def in_target(self, target: Target) -> Mapping[str, str]:
        """Source names to repositories, as they were given in this target."""
        return {
            entry.name: entry.repository
            for entry in sorted(self.assignments)
            if entry.registry == target.registry
            and entry.repository.rpartition("/")[0] == target.path
        }

    def document_with(self, relocation: Relocation) -> dict[str, object]:
        """The record after an import: its images, and what was assigned besides.

        Without the latter, a later source could be given the repository of a former one.
        """
        current = {
            Assignment(image.source.name, image.registry, image.repository)
            for image in relocation.images.values()
        }
        former = sorted(self.assignments - current)
        return {
            **relocation.to_document(),
            "former": [entry.to_document() for entry in former],
        }


def load_relocation_record(path: Path) -> RelocationRecord:
    """Read the record of earlier imports; empty when there was none.

    Raises:
        StateCorrupt: the file is there but cannot be read or understood.

    """
    where = str(path)
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return RelocationRecord()
    except OSError as problem:
        raise StateCorrupt(f"cannot be read: {problem.strerror}", where=where) from problem
    fields = Fields(parse_json(raw, where, StateCorrupt), where, StateCorrupt)
    named = [
        (parse_reference(entry.text("source"), entry.place).name, entry)
        for entry in fields.records("images")
    ]
    if "former" in fields:
        named += [(entry.text("name"), entry) for entry in fields.records("former")]
    return RelocationRecord(
        frozenset(
            Assignment(name, entry.text("registry"), entry.text("repository"))
            for name, entry in named
        )
    )
