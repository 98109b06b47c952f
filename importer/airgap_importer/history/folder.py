"""The folder in which this host remembers its imports, and the lock that one import holds.

FOLDER/TARGET/APP/lock           held while an import is at work; never removed
FOLDER/TARGET/APP/state.json     the newest release per channel
FOLDER/TARGET/APP/journal.jsonl  how the last import went
FOLDER/TARGET/APP/receipts/      every import
FOLDER/TARGET/APP/reserve        room on the disk for what an import writes last
FOLDER/audit.jsonl               every import into every target, chained
FOLDER/audit.lock                held while a line is added

TARGET is the beginning of the sha256 of the registry and path.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from airgap_importer.filetree import make_directories, replace_file
from airgap_importer.history.receipt import FORMAT, Receipt
from airgap_importer.history.state import ImportState, parse_state
from airgap_importer.keptfile import read_kept, unreadable
from airgap_shared.errors import AirgapError, DiskFull, Locked, StateCorrupt, StateNotWritable

STATE = "state.json"
JOURNAL = "journal.jsonl"
RECEIPTS = "receipts"
_LOCK = "lock"
_RESERVE = "reserve"
#: Enough for a state with the names of a thousand images, a receipt, and lines of log and journal.
_ROOM = 256 << 10
OPEN_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_TARGET = re.compile(r"[0-9a-f]{16}")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def load_state(folder: Path, target: str, app: str) -> ImportState:
    """What is remembered of an application in a target; an empty state when nothing is.

    Raises:
        StateCorrupt: the file is there but cannot be read or understood.

    """
    path = place_of(folder, target, app) / STATE
    raw = read_kept(path)
    if raw is None:
        return ImportState(target, app)
    state = parse_state(raw, str(path))
    if (state.target, state.app) != (target, app):
        raise StateCorrupt("it is about another application or registry", where=str(path))
    return state


def all_states(folder: Path) -> Iterator[ImportState]:
    """Everything that is remembered, in no particular order.

    Raises:
        StateCorrupt: one of the files cannot be read or understood.

    """
    for place in all_places(folder):
        raw = read_kept(place / STATE)
        if raw is not None:
            yield parse_state(raw, str(place / STATE))


def latest_seen(folder: Path) -> datetime | None:
    """The latest time that the clock showed at any import; damaged states tell nothing here."""
    seen: list[datetime] = []
    paths: list[Path] = []
    with suppress(AirgapError):
        paths += (place / STATE for place in all_places(folder))
    for path in paths:
        with suppress(AirgapError):
            raw = read_kept(path)
            state = parse_state(raw, str(path)) if raw is not None else None
            if state is not None and state.latest_seen is not None:
                seen.append(state.latest_seen)
    return max(seen, default=None)


def place_of(folder: Path, target: str, app: str) -> Path:
    """The folder of one application in one target."""
    return folder / hashlib.sha256(target.encode()).hexdigest()[:16] / app


@contextmanager
def locked_place(folder: Path, target: str, app: str) -> Iterator[Path]:
    """Hold an application in a target for oneself; what the kernel knows ends with the process.

    Raises:
        Locked: another import is at work.
        StateNotWritable, DiskFull: the folder cannot be made or written.

    """
    place = place_of(folder, target, app)
    with ExitStack() as stack:
        with told(place):
            make_directories(place / RECEIPTS)
            # Nobody else may open it: whoever can, can hold it.
            lock = os.open(place / _LOCK, OPEN_LOCK, 0o600)
            stack.callback(os.close, lock)
            _lock(lock, f"{app} in {target}")
        yield place


def check_receipts(place: Path) -> None:
    """Make sure that receipts can be kept.

    Raises:
        StateNotWritable: something else stands in their place.

    """
    with told(place / RECEIPTS):
        os.close(os.open(place / RECEIPTS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def reserve_room(place: Path, state: ImportState) -> None:
    """Keep room on the disk for the state and the records that follow it.

    Raises:
        StateNotWritable, DiskFull: there is none.

    """
    size = _ROOM + 3 * len(state.to_json())
    try:
        with told(place / _RESERVE):
            descriptor = os.open(place / _RESERVE, OPEN_LOCK | os.O_TRUNC | os.O_NONBLOCK, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())
    except AirgapError:
        free_room(place)
        raise


def free_room(place: Path) -> None:
    """Give the room back, if any is kept."""
    with suppress(OSError):
        (place / _RESERVE).unlink()


def write_state(place: Path, state: ImportState) -> None:
    """Replace the state: old or new, never between, and on the disk when this returns.

    Raises:
        StateNotWritable, DiskFull: it could not; the old state is there.

    """
    _replace(place, STATE, state.to_json())


def write_receipt(place: Path, receipt: Receipt, document: bytes) -> None:
    """Keep a receipt.

    Raises:
        StateNotWritable, DiskFull: it could not.

    """
    _replace(place / RECEIPTS, receipt.name, document)


def is_of_later_format(place: Path) -> bool:
    """Whether a newer tool wrote the state: that one can still read it."""
    try:
        document = json.loads(read_kept(place / STATE) or b"{}")
    except (AirgapError, ValueError, RecursionError):
        return False
    found = document.get("format") if isinstance(document, dict) else None
    return isinstance(found, int) and found > FORMAT


def set_aside(place: Path) -> bool:
    """Keep a damaged state under another name, so that a new one can be made.

    Whether it stays under its own name, too, until the new one takes that: if the making fails,
    what is damaged must not have become what is not there. Where it is no file, or the file
    system has no second names, it does not.

    Raises:
        StateNotWritable: it could not.

    """
    state, aside = place / STATE, place / f"{STATE}.damaged"
    second = place / f".{STATE}.damaged"
    with told(place):
        second.unlink(missing_ok=True)
        try:
            os.link(state, second, follow_symlinks=False)
        except OSError:
            state.replace(aside)
            return False
        second.replace(aside)
    return True


@contextmanager
def told(place: Path) -> Iterator[None]:
    """Say in our words what the system says."""
    try:
        yield
    except OSError as problem:
        where = str(problem.filename or place)
        if problem.errno in _NO_SPACE:
            raise DiskFull("no space is left for the state", where=where) from problem
        raise StateNotWritable(
            f"the state cannot be written: {problem.strerror or problem}",
            where=where,
            next_step="name a folder that can be written: --state-dir DIR",
        ) from problem


def _replace(folder: Path, name: str, content: bytes) -> None:
    with told(folder):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_file(opened, name, content)
        finally:
            os.close(opened)


def _lock(lock: int, what: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 100, 0).decode(errors="replace").strip()
        raise Locked(
            f"another import of {what} is at work" + (f" (process {holder})" if holder else ""),
            next_step="wait for it to end, then run again",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def all_places(folder: Path) -> Iterator[Path]:
    """The folders of all applications; one that cannot be looked into is no empty one.

    Folders that are not ours, ``lost+found`` of a disk, say, are not looked into.

    Raises:
        StateCorrupt: a folder cannot be read, or is none.

    """
    for target in _folders(folder):
        if _TARGET.fullmatch(target.name):
            yield from _folders(target)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not entry.is_file())
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise unreadable(folder, problem) from problem
