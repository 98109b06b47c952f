"""What an import wrote down beside its overlay, as far as mirrors are made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from airgap_importer.relocationrecord import parse_record
from airgap_shared.errors import AirgapError, StateCorrupt
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.reference import Reference, parse_reference


@dataclass(frozen=True, slots=True)
class MirroredImage:
    """An image by the name that the application uses and by the one it is pulled by here."""

    source: Reference
    target: Reference


@dataclass(frozen=True, slots=True)
class SetField:
    """A field of a split reference, and what it has to hold.

    ``document`` leads from the object to the document that the field is in; empty for the object
    itself. ``path`` is the way from that document's root. ``whole`` is False where the value is
    only a part of the field, behind the scheme of a URL.
    """

    document: str
    path: tuple[str | int, ...]
    value: str
    whole: bool


@dataclass(frozen=True, slots=True)
class SplitImage:
    """A reference that is split over fields: where it stands, and those fields."""

    file: str
    object: str
    source: str
    target: str
    fields: tuple[SetField, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """The application, its images and split references; whether the registry has no TLS."""

    app: str
    plain_http: bool
    images: tuple[MirroredImage, ...]
    splits: tuple[SplitImage, ...]


def parse_records(app: str, relocation: bytes, coverage: bytes, where: str = "") -> Records:
    """Read ``relocation.json`` and ``coverage.json``; ``where`` is the folder they are in.

    Raises:
        StateCorrupt: one of them is not as apply writes it.

    """
    try:
        return _parse(app, relocation, coverage, f"{where}/" if where else "")
    except StateCorrupt:
        raise
    except AirgapError as problem:
        raise StateCorrupt(problem.what, where=problem.where) from problem


def _parse(app: str, relocation: bytes, coverage: bytes, folder: str) -> Records:
    name = f"{folder}relocation.json"
    fields = parse_record(relocation, name)
    images = tuple(
        MirroredImage(
            parse_reference(entry.text("source"), entry.place),
            parse_reference(entry.text("reference"), entry.place),
        )
        for entry in fields.records("images")
    )
    name = f"{folder}coverage.json"
    covered = Fields(parse_json(coverage, name, StateCorrupt), name, StateCorrupt)
    return Records(
        app, fields.optional_flag("plainHttp"), images, tuple(_splits(covered.records("images")))
    )


def _splits(entries: tuple[Fields, ...]) -> Iterator[SplitImage]:
    for entry in entries:
        if "fields" not in entry:
            continue
        file, _, place = entry.text("place").partition("#")
        yield SplitImage(
            file,
            place.partition("#")[0],
            entry.text("source"),
            entry.text("target"),
            tuple(_field(part) for part in entry.records("fields")),
        )


def _field(entry: Fields) -> SetField:
    path = entry.mapping.get("path")
    if not isinstance(path, list) or not path:
        _refuse_path(entry)
    for part in path:
        if isinstance(part, bool) or not isinstance(part, str | int):
            _refuse_path(entry)
    return SetField(
        entry.optional_text("document") or "",
        tuple(path),
        entry.text("value"),
        entry.optional_flag("whole"),
    )


def _refuse_path(entry: Fields) -> NoReturn:
    entry.refuse("expected keys and positions", "path")
