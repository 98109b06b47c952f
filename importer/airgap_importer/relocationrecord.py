"""The map that is kept beside the overlay, so that names stay from release to release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.assignments import Assignment
from airgap_importer.keptfile import check_format, read_kept
from airgap_importer.relocation import FORMAT, Relocation, Target
from airgap_shared.errors import StateCorrupt
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.reference import parse_reference


@dataclass(frozen=True, slots=True)
class RelocationRecord:
    """Every assignment that imports into this overlay directory ever made."""

    assignments: frozenset[Assignment] = frozenset()

    def in_target(self, target: Target) -> Mapping[str, str]:
        """Source names to repositories, as they were given in this target."""
        return {
            entry.name: entry.repository
            for entry in sorted(self.assignments)
            if (entry.registry, entry.path) == (target.registry, target.path)
            and entry.repository.startswith(target.repository(""))
        }

    def document_with(self, relocation: Relocation, target: Target) -> dict[str, object]:
        """The record after an import: its images, and what was assigned besides.

        Without the latter, a later source could be given the repository of a former one.
        """
        current = {
            Assignment(image.source.name, target.registry, target.path, image.destination)
            for image in relocation.images.values()
        }
        former = sorted(self.assignments - current)
        return {
            **relocation.to_document(),
            "path": target.path,
            "former": [entry.to_document() for entry in former],
        }


def load_relocation_record(path: Path) -> RelocationRecord:
    """Read the record of earlier imports; empty when there was none.

    Raises:
        StateCorrupt: the file is there but cannot be read or understood, or is of a newer tool.

    """
    where = str(path)
    raw = read_kept(path)
    if raw is None:
        return RelocationRecord()
    fields = parse_record(raw, where)
    current = fields.optional_text("path")
    found = [
        _assignment(parse_reference(entry.text("source"), entry.place).name, entry, current)
        for entry in fields.records("images")
    ]
    if "former" in fields:
        found += [
            _assignment(entry.text("name"), entry, entry.optional_text("path"))
            for entry in fields.records("former")
        ]
    return RelocationRecord(frozenset(found))


def parse_record(raw: bytes, where: str) -> Fields:
    """The fields of a record of the format that this tool writes; the first named none.

    Raises:
        StateCorrupt: it is none.

    """
    fields = Fields(parse_json(raw, where, StateCorrupt), where, StateCorrupt)
    if "format" in fields:
        check_format(fields, FORMAT, StateCorrupt)
    return fields


def _assignment(name: str, entry: Fields, path: str | None) -> Assignment:
    """One entry; the first versions of this tool wrote no path, and only one more component."""
    registry, repository = entry.text("registry"), entry.text("repository")
    pushed = entry.optional_text("pushed")
    if pushed is not None:
        registry, _, repository = pushed.partition("/")
    if path is None:
        path = repository.rpartition("/")[0]
    return Assignment(name, registry, path, repository)
