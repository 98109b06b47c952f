"""The audit log: every import on this host, each line chained to the one before by its sha256.

A line that is changed, taken out or put in between breaks the chain. The digest of the line of an
import is in its receipt, so that lines cannot be cut off the end unseen either.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airgap_importer.filetree import make_directories, sync_directory
from airgap_importer.history.folder import OPEN_LOCK, told
from airgap_importer.history.receipt import Receipt
from airgap_importer.keptfile import read_kept
from airgap_shared.errors import ContentRefused, Locked, StateCorrupt, StateNotWritable
from airgap_shared.oci.fields import Fields, parse_json

AUDIT = "audit.jsonl"
_LOCK = "audit.lock"
#: So long other imports may take for their lines, in seconds.
_PATIENCE = 2.0
_ADVICE = "compare with a copy, and with the receipts in the registries"
_DAMAGED = (
    "find out what damaged the audit log and keep the file; with another name for it, the next "
    "import begins a new one, and audit tells that lines are missing"
)
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
        Locked: somebody else holds the log for long.

    """
    path = folder / AUDIT
    with _held(folder) as file:
        whole = _whole(file.read())
        number, previous = _last(whole.splitlines(), str(path))
        entry = {"n": number + 1, "prev": previous, **facts}
        line = json.dumps(entry, sort_keys=True).encode()
        file.truncate(len(whole))
        file.seek(len(whole))
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if not whole:
        with told(path):
            sync_directory(folder)
    return AuditEntry(number + 1, _digest(line), entry)


def check_log(folder: Path) -> None:
    """Make sure that a line can be added, as far as that can be told without adding one.

    Raises:
        StateNotWritable, StateCorrupt, Locked: as :func:`append_entry`.

    """
    with _held(folder) as file:
        _last(_whole(file.read()).splitlines(), str(folder / AUDIT))


def check_end(entries: Iterable[AuditEntry], receipts: Iterable[Receipt]) -> None:
    """Make sure that the log has the line of each import that is remembered.

    Raises:
        StateCorrupt: one is missing: the end was cut off, or another log stands there.

    """
    digests = {entry.digest for entry in entries}
    for receipt in receipts:
        if receipt.audit and receipt.audit not in digests:
            raise StateCorrupt(
                f"the line about {receipt.app} {receipt.version} ({receipt.channel}, sequence "
                f"{receipt.sequence}) is missing, and with it perhaps all that followed",
                where=AUDIT,
                next_step=_ADVICE,
            )


def read_entries(folder: Path) -> list[AuditEntry]:
    """Every line, the chain verified.

    Raises:
        StateCorrupt: a line is damaged, missing, or was put in; it says which.

    """
    path = folder / AUDIT
    content = read_kept(path) or b""
    entries: list[AuditEntry] = []
    previous = _NOTHING
    for number, line in enumerate(_whole(content).splitlines(), 1):
        fields = _parse(line, f"{path}:{number}")
        if (fields.count("n"), fields.text("prev")) != (number, previous):
            raise StateCorrupt(
                "the chain is broken: a line before was changed, taken out or put in",
                where=f"{path}:{number}",
                next_step=_ADVICE,
            )
        previous = _digest(line)
        entries.append(AuditEntry(number, previous, fields.mapping))
    return entries


@contextmanager
def _held(folder: Path) -> Iterator[BinaryIO]:
    """The log, open for reading and writing and held against everybody else."""
    path = folder / AUDIT
    with told(path):
        make_directories(folder)
        with _locked(folder), os.fdopen(_open(path), "r+b") as file:
            yield file


def _whole(content: bytes) -> bytes:
    """The lines that were written to their end."""
    return content[: content.rfind(b"\n") + 1]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the log. Adding a line takes a moment: whoever holds it for long is no import."""
    path = folder / _LOCK
    # Nobody else may open it: whoever can, can hold it.
    lock = os.open(path, OPEN_LOCK, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _got(lock):
            if time.monotonic() > deadline:
                raise Locked(
                    "another process holds the audit log",
                    where=str(path),
                    next_step="wait for it to end, then run again",
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _got(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    """A descriptor of the log, which must be a file of its own."""
    descriptor = os.open(path, OPEN_LOCK | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StateNotWritable("the audit log is no regular file", where=str(path))
    return descriptor


def _last(lines: list[bytes], where: str) -> tuple[int, str]:
    if not lines:
        return 0, _NOTHING
    number = _parse(lines[-1], f"{where}:{len(lines)}").mapping.get("n")
    if isinstance(number, bool | float) or number != len(lines):
        raise StateCorrupt(
            "its last line has another number", where=f"{where}:{len(lines)}", next_step=_DAMAGED
        )
    return len(lines), _digest(lines[-1])


def _parse(line: bytes, where: str) -> Fields:
    try:
        return Fields(parse_json(line, where, StateCorrupt), where, StateCorrupt)
    except (ContentRefused, StateCorrupt) as problem:
        raise StateCorrupt(problem.what, where=where, next_step=_DAMAGED) from problem


def _digest(line: bytes) -> str:
    return f"sha256:{hashlib.sha256(line).hexdigest()}"
