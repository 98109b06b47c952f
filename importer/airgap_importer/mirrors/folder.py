"""Mirror configurations beside an overlay: made of its records, and written among them."""

from __future__ import annotations

from pathlib import Path

from airgap_importer.keptfile import read_kept
from airgap_importer.mirrors.configurations import Configurations
from airgap_importer.mirrors.records import Records, parse_records
from airgap_importer.overlaymarker import STATE, application_of
from airgap_shared.errors import OverlayNotOurs

#: Where the configurations are, below the folder of the records.
FOLDER = "mirrors"
_RELOCATION = "relocation.json"
_COVERAGE = "coverage.json"


def load_records(directory: Path) -> Records:
    """What the last import into an overlay directory wrote down.

    Raises:
        OverlayNotOurs: it is no overlay directory of this tool, or no import came to its end.
        StateCorrupt: a record cannot be read or understood.

    """
    state = directory / STATE
    app = application_of(directory)
    return parse_records(app, _read(state / _RELOCATION), _read(state / _COVERAGE), str(state))


def written_text(found: Configurations, directory: Path) -> str:
    """Where the files are, and what they leave out."""
    folder = directory / STATE / FOLDER
    return "\n".join(
        [f"mirror configurations in {folder}:", *(f"  {path}" for path in sorted(found.files))]
    )


def _read(path: Path) -> bytes:
    content = read_kept(path)
    if content is None:
        raise OverlayNotOurs(
            "no import into this directory has come to its end",
            where=str(path),
            next_step="run airgap-import apply first",
        )
    return content
