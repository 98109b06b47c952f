"""The audit log: every import on this host, each line chained to the one before by its sha256.

A line that is changed, taken out or put in between breaks the chain. The digest of the last line
goes into the receipt in the registry, so that lines cannot be cut off the end unseen either.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.filetree import make_directories, sync_directory
from airgap_importer.history.folder import told
from airgap_shared.errors import ContentRefused, StateCorrupt
from airgap_shared.oci.fields import Fields, parse_json

AUDIT = "audit.jsonl"
_NOTHING = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line: its number from 1, its digest, and what it says."""

    number: int
    digest: str
    facts: Mapping[str, object]


def append_entry(folder: Path, facts: Mapping[str, object]) -> AuditEntry:
    """Add a line; on the disk when this returns.

    A last line that a crash cut short was never acknowledged, and gives way.

    Raises:
        StateNotWritable, DiskFull: it cannot be written.
        StateCorrupt: the last line is none of ours.

    """
    path = folder / AUDIT
    with told(path):
        make_directories(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o644), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            lines = content[:whole].splitlines()
            number, previous = _last(lines, str(path))
            entry = {"n": number + 1, "prev": previous, **facts}
            line = json.dumps(entry, sort_keys=True).encode()
            file.truncate(whole)
            file.seek(whole)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if not lines:
            sync_directory(folder)
    return AuditEntry(number + 1, _digest(line), entry)


def read_entries(folder: Path) -> list[AuditEntry]:
    """Every line, the chain verified.

    Raises:
        StateCorrupt: a line is damaged, missing, or was put in; it says which.

    """
    path = folder / AUDIT
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise StateCorrupt(f"cannot be read: {problem.strerror}", where=str(path)) from problem
    entries: list[AuditEntry] = []
    previous = _NOTHING
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        fields = _parse(line, f"{path}:{number}")
        if (fields.count("n"), fields.text("prev")) != (number, previous):
            raise StateCorrupt(
                "the chain is broken: a line before was changed, taken out or put in",
                where=f"{path}:{number}",
                next_step="compare with a copy, and with the receipts in the registries",
            )
        previous = _digest(line)
        entries.append(AuditEntry(number, previous, fields.mapping))
    return entries


def _last(lines: list[bytes], where: str) -> tuple[int, str]:
    if not lines:
        return 0, _NOTHING
    if _parse(lines[-1], f"{where}:{len(lines)}").count("n") != len(lines):
        raise StateCorrupt("its last line has another number", where=f"{where}:{len(lines)}")
    return len(lines), _digest(lines[-1])


def _parse(line: bytes, where: str) -> Fields:
    try:
        return Fields(parse_json(line, where, StateCorrupt), where, StateCorrupt)
    except ContentRefused as problem:
        raise StateCorrupt(problem.what, where=where) from problem


def _digest(line: bytes) -> str:
    return f"sha256:{hashlib.sha256(line).hexdigest()}"
