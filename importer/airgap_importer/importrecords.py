"""What is kept of an import beside the overlay, composed once from what is known at its end. Pure.

The mirror configurations are made from the very bytes that a later command will read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from airgap_importer.assignments import merged
from airgap_importer.coverage import Coverage
from airgap_importer.mirrors.configurations import Configurations, compose_configurations
from airgap_importer.mirrors.records import parse_records
from airgap_importer.outputs import Outputs
from airgap_importer.relocation import Relocation, Target
from airgap_importer.relocationrecord import RelocationRecord


@dataclass(frozen=True, slots=True)
class ImportRecords:
    """Two files as bytes, the mirror configurations, and every name that was ever given."""

    relocation: bytes
    coverage: bytes
    mirrors: Configurations
    names: Mapping[str, str]


def compose_records(
    app: str,
    relocation: Relocation,
    target: Target,
    earlier: RelocationRecord,
    coverage: Coverage,
    outputs: Outputs,
) -> ImportRecords:
    """The records of an import, with what ``earlier`` ones assigned besides."""
    document = earlier.document_with(relocation, target)
    relocated = encode_record({**document, "plainHttp": outputs.plain_http})
    covered = encode_record(coverage.to_document())
    mirrors = compose_configurations(parse_records(app, relocated, covered), outputs.kinds)
    current = {image.source.name: image.destination for image in relocation.images.values()}
    names = merged(current, earlier.in_target(target))
    return ImportRecords(relocated, covered, mirrors, names)


def encode_record(document: Mapping[str, object]) -> bytes:
    """A record as it stands in a file: JSON with sorted keys, and a line end."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
