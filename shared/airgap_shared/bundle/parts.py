"""A bundle in parts: their names and the index beside them (bundle-spec.md, section 13).

The parts are slices of the bundle file; joined in order they are that file. The index says early
and by name which part is missing or wrong. It is not signed, and nothing is trusted because of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from airgap_shared.errors import ContentRefused, PartIndexInvalid
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json

INDEX_FORMAT = 1
INDEX_LIMIT = 1024 * 1024
#: All parts are open at once, beside connections; 1,024 files is what a process usually may open.
PART_LIMIT = 500
#: How much of either end of a part is looked at before anything else is read.
END_SIZE = 64 * 1024

_INDEX_SUFFIX = ".parts.json"
_PART = re.compile(r"(.+)\.part-[0-9]{3}", re.DOTALL)
_INDEX = re.compile(r"(.+)\.parts\.json", re.DOTALL)


def part_name(bundle: str, number: int) -> str:
    """The file name of part ``number``, from 1 on, of the bundle with this file name."""
    return f"{bundle}.part-{number:03}"


def index_name(bundle: str) -> str:
    """The file name of the index."""
    return bundle + _INDEX_SUFFIX


def bundle_of_part(name: str) -> str | None:
    """The name of the bundle of which a file with this name is a part; None if it is none."""
    found = _PART.fullmatch(name)
    return found[1] if found else None


def bundle_of_index(name: str) -> str | None:
    """The name of the bundle of which a file with this name is the index; None if it is none."""
    found = _INDEX.fullmatch(name)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells parts apart without reading them: size, sha256 of the first and last 64 KiB."""

    size: int
    head: Digest
    tail: Digest


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its file name, its fingerprint, and the sha256 of all of it."""

    name: str
    fingerprint: Fingerprint
    digest: Digest


@dataclass(frozen=True, slots=True)
class PartIndex:
    """All parts of a bundle in order, and the digest of the statement signed in it."""

    statement: Digest
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """The size of the bundle in bytes."""
        return sum(part.fingerprint.size for part in self.parts)

    def to_json(self) -> bytes:
        """The content of the index file."""
        document = {
            "format": INDEX_FORMAT,
            "statement": str(self.statement),
            "size": self.size,
            "parts": [
                {
                    "name": part.name,
                    "size": part.fingerprint.size,
                    "digest": str(part.digest),
                    "head": str(part.fingerprint.head),
                    "tail": str(part.fingerprint.tail),
                }
                for part in self.parts
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def parse_part_index(raw: bytes, bundle: str, where: str) -> PartIndex:
    """Read the index of the bundle with this file name.

    Raises:
        PartIndexInvalid: it is not such an index, or that of a bundle with another name.

    """
    try:
        fields = Fields(parse_json(raw, where, PartIndexInvalid), where, PartIndexInvalid)
        if fields.count("format") != INDEX_FORMAT:
            fields.refuse("an index of a format that this version does not know", "format")
        index = PartIndex(_sha256(fields, "statement"), _parse_parts(fields, bundle))
        if index.size != fields.count("size"):
            fields.refuse("the parts do not add up to the size of the bundle", "size")
    except ContentRefused as problem:
        raise PartIndexInvalid(problem.what, where=problem.where) from problem
    return index


def _parse_parts(fields: Fields, bundle: str) -> tuple[Part, ...]:
    records = fields.records("parts")
    if not 1 <= len(records) <= PART_LIMIT:
        fields.refuse(f"{len(records)} parts, not 1 to {PART_LIMIT}", "parts")
    _check_names(records, bundle)
    return tuple(_parse_part(record) for record in records)


def _check_names(records: Iterable[Fields], bundle: str) -> None:
    """No name is taken from an index: it only says what follows from its own."""
    for number, record in enumerate(records, 1):
        name = part_name(bundle, number)
        if record.text("name") != name:
            record.refuse(f"expected {name}; parts and index keep the names they were made with")


def _parse_part(record: Fields) -> Part:
    size = record.count("size")
    if not size:
        record.refuse("a part cannot be empty", "size")
    fingerprint = Fingerprint(size, _sha256(record, "head"), _sha256(record, "tail"))
    return Part(record.text("name"), fingerprint, _sha256(record, "digest"))


def _sha256(record: Fields, key: str) -> Digest:
    digest = record.digest(key)
    if digest.algorithm != "sha256":
        record.refuse("expected a sha256 digest", key)
    return digest
