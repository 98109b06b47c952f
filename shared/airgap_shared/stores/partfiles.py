"""Opening a bundle by any of its names: the whole file, or all of its parts through their index.

Parts are looked at from both ends before anything else is read, so that a missing or foreign one
is told at once and by name. What they hold is verified as that of any bundle is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airgap_shared.bundle.parts import (
    INDEX_LIMIT,
    Fingerprint,
    Part,
    PartIndex,
    bundle_of_index,
    bundle_of_part,
    index_name,
    parse_part_index,
)
from airgap_shared.errors import MediaReadError, PartIndexInvalid, PartMissing
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.fingerprints import take_fingerprint
from airgap_shared.stores.joinedfile import JoinedFile, OpenFile
from airgap_shared.stores.medium import FileMedium
from airgap_shared.trust.envelope import parse_envelope

#: A pipe or a device that has the name of a part must not be waited for.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def open_bundle_file(path: Path) -> Iterator[FileMedium]:
    """The bundle named by its own name, by that of its index, or by that of any part.

    Raises:
        PartMissing: a part, or the index, is not there, or is not the one that belongs there.
        PartIndexInvalid: the index cannot be read, or is that of another bundle.
        MediaReadError: a file cannot be read.

    """
    bundle = split_bundle(path)
    if bundle is None:
        with FileMedium(path) as medium:
            yield medium
        return
    with ExitStack() as stack:
        joined = _open_parts(bundle, load_index(bundle), stack)
        yield FileMedium(bundle, joined)


def split_bundle(path: Path) -> Path | None:
    """The split bundle that ``path`` names, by any of its names; None if it names no split one."""
    named = bundle_of_index(path.name) or bundle_of_part(path.name)
    if named is not None:
        return path.with_name(named)
    # A link that leads nowhere is there, and a name that is too long is not.
    if not path.name or os.path.lexists(path):
        return None
    return path if existing_parts(path) or os.path.lexists(_index_path(path)) else None


def existing_parts(bundle: Path) -> tuple[Path, ...]:
    """Every file beside ``bundle`` that has the name of one of its parts, in order."""
    try:
        with os.scandir(bundle.parent) as entries:
            found = [entry.name for entry in entries if bundle_of_part(entry.name) == bundle.name]
    except OSError:
        return ()
    return tuple(bundle.with_name(name) for name in sorted(found))


def load_index(bundle: Path, index: Path | None = None) -> PartIndex:
    """The index beside ``bundle``, or the one in another file.

    Raises:
        PartMissing: there is none.
        PartIndexInvalid: it cannot be understood.
        MediaReadError: it cannot be read.

    """
    path = index or _index_path(bundle)
    with ExitStack() as stack:
        try:
            file = _open_regular(path, stack)
            raw = os.pread(file.descriptor, INDEX_LIMIT + 1, 0)
        except FileNotFoundError as problem:
            raise PartMissing(
                f"the index of the parts is missing: {problem.strerror}",
                where=str(path),
                next_step="copy it, too, into the folder of the parts; or join the parts:"
                f" cat {bundle.name}.part-* > {bundle.name}",
            ) from problem
        except OSError as problem:
            raise MediaReadError(
                f"cannot read the index of the parts: {problem.strerror}", where=str(path)
            ) from problem
    if len(raw) > INDEX_LIMIT:
        raise PartIndexInvalid(f"an index of over {INDEX_LIMIT} bytes", where=str(path))
    return parse_part_index(raw, bundle.name, str(path))


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a part."""

    what: str
    path: Path


def _index_path(bundle: Path) -> Path:
    return bundle.with_name(index_name(bundle.name))


def _open_parts(bundle: Path, index: PartIndex, stack: ExitStack) -> JoinedFile:
    opened: list[OpenFile] = []
    faults: list[_Fault] = []
    for number in range(len(index.parts)):
        path = bundle.with_name(index.parts[number].name)
        fault = _judge(path, index.parts, number, opened, stack)
        if fault:
            faults.append(_Fault(f"part {number + 1} of {len(index.parts)} {fault}", path))
    if faults:
        raise _missing(faults, len(index.parts), _index_path(bundle))
    joined = JoinedFile(opened)
    _check_statement(bundle, index, joined)
    return joined


def _judge(
    path: Path, parts: Sequence[Part], number: int, opened: list[OpenFile], stack: ExitStack
) -> str:
    """Open a part, and say what is wrong with it; nothing if it is the right one."""
    try:
        file = _open_regular(path, stack)
        found = take_fingerprint(file)
    except FileNotFoundError as problem:
        return f"is missing: {problem.strerror}"
    except OSError as problem:
        raise MediaReadError(
            f"cannot read a part of the bundle: {problem.strerror}",
            where=str(path),
            next_step="copy it again, to another disk if need be",
        ) from problem
    opened.append(file)
    return _difference(found, parts, number)


def _difference(found: Fingerprint, parts: Sequence[Part], number: int) -> str:
    wanted = parts[number].fingerprint
    if found == wanted:
        return ""
    for part in parts:
        if part.fingerprint == found:
            return f"holds what belongs into {part.name}"
    if found.size < wanted.size and (found.head == wanted.head or not found.size):
        return f"was cut off: it has {found.size} of {wanted.size} bytes"
    if found.size > wanted.size:
        return f"has {found.size} bytes, {found.size - wanted.size} more than it should"
    if found.size == wanted.size and found.head == wanted.head:
        return "ends with other bytes than it should: it is damaged, or was not copied to its end"
    return "is of another bundle, or damaged"


def _missing(faults: Sequence[_Fault], count: int, index: Path) -> PartMissing:
    first = faults[0]
    again = f"copy {first.path.name} again into this folder"
    if len(faults) > 1:
        again = "copy these parts again into this folder"
    if len(faults) == count:
        again = f"make sure that {index.name} belongs to these parts, and copy them again"
    details = [f"{fault.what} ({fault.path})" for fault in faults] if len(faults) > 1 else []
    return PartMissing(first.what, where=str(first.path), next_step=again, details=details)


def _check_statement(bundle: Path, index: PartIndex, joined: JoinedFile) -> None:
    envelope = parse_envelope(FileMedium(bundle, joined).read_envelope())
    if Digest.of(envelope.payload) != index.statement:
        raise PartIndexInvalid(
            "the index names another statement than the one that is signed in the parts",
            where=str(_index_path(bundle)),
            next_step=f"copy {index_name(bundle.name)} again",
        )


def _open_regular(path: Path, stack: ExitStack) -> OpenFile:
    """Open a file for reading, until the end of ``stack``; a pipe or folder does not count."""
    file = OpenFile(path, os.open(path, _OPEN_FLAGS))
    stack.callback(file.close)
    if not stat.S_ISREG(os.fstat(file.descriptor).st_mode):
        raise FileNotFoundError(errno.ENOENT, "what has its name is no regular file")
    return file
