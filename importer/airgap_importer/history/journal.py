"""The journal of one import: how far it came, for people. Nothing is decided by it.

What is in the registry is asked of the registry; a torn or missing journal does no harm.
One line an event: JSON, a tab, and the CRC-32 of the JSON as eight hexadecimal digits.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.history.folder import JOURNAL, told
from airgap_importer.keptfile import read_kept
from airgap_shared.errors import StateCorrupt

#: A pipe in its place is an error at once, and no wait for a reader.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Begun:
    """An import that began: the application, the registry and path, and the version."""

    app: str
    target: str
    version: str


@dataclass(frozen=True, slots=True)
class Unfinished(Begun):
    """An import that began and did not end, and the last phase it reached."""

    phase: str

    def to_document(self) -> dict[str, str]:
        """The import as JSON has it."""
        return {"version": self.version, "phase": self.phase}

    def __str__(self) -> str:
        return f"an import of {self.version} began and did not end (last: {self.phase})"


class Journal:
    """A journal that is being written; it begins anew with every import."""

    def __init__(self, place: Path) -> None:
        self._path = place / JOURNAL

    def begin(self, begun: Begun, statement: str) -> None:
        """Forget the last import and note the beginning of this one.

        Raises:
            StateNotWritable, DiskFull: it cannot be written.

        """
        facts = {"app": begun.app, "target": begun.target, "version": begun.version}
        self._write({"ev": "start", "statement": statement, **facts}, os.O_TRUNC)

    def note(self, event: str, **facts: object) -> None:
        """Add an event, on the disk when this returns.

        Raises:
            StateNotWritable, DiskFull: it cannot be written.

        """
        self._write({"ev": event, **facts}, 0)

    def _write(self, event: Mapping[str, object], mode: int) -> None:
        text = json.dumps(event, sort_keys=True)
        line = f"{text}\t{zlib.crc32(text.encode()):08x}\n".encode()
        with told(self._path):
            descriptor = os.open(self._path, _FLAGS | mode, 0o644)
            with os.fdopen(descriptor, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())


def unfinished(place: Path) -> Unfinished | None:
    """The import that the journal leaves open; None when the last one ended, or none began."""
    events = _events(place / JOURNAL)
    if not events or events[0].get("ev") != "start" or events[-1].get("ev") == "end":
        return None
    phases = [str(event.get("phase")) for event in events if event.get("ev") == "phase"]
    app, target, version = (str(events[0].get(key, "")) for key in ("app", "target", "version"))
    return Unfinished(app, target, version, phases[-1] if phases else "start")


def _events(path: Path) -> list[Mapping[str, object]]:
    """The events up to the first line that is damaged."""
    try:
        lines = (read_kept(path) or b"").split(b"\n")[:-1]
    except StateCorrupt:
        return []
    found: list[Mapping[str, object]] = []
    for line in lines:
        text, _, check = line.rpartition(b"\t")
        if check != f"{zlib.crc32(text):08x}".encode():
            break
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(event, dict):
            break
        found.append(event)
    return found
