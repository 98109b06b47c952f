"""Small files that commands read and write."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airgap_shared.bundle.parts import bundle_of_index, bundle_of_part
from airgap_shared.errors import (
    AirgapError,
    DiskFull,
    KeyFileInvalid,
    MediaReadError,
    OutputNotWritable,
    UsageError,
)
from airgap_shared.stores.places import is_regular, is_there

if TYPE_CHECKING:
    from airgap_shared.stores.medium import Medium

#: No file can have such a path: the path is wrong, not the disk.
_NO_SUCH_PLACE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.EINVAL}
)


def read_key_file(path: Path) -> bytes:
    """The content of a key file.

    Raises:
        KeyFileInvalid: it cannot be read, or is far too large to be a key.

    """
    from airgap_shared.trust.keys import KEY_FILE_LIMIT

    try:
        with path.open("rb") as file:
            content = file.read(KEY_FILE_LIMIT + 1)
    except OSError as problem:
        raise KeyFileInvalid(
            f"cannot read the key: {problem.strerror}", where=str(path)
        ) from problem
    if len(content) > KEY_FILE_LIMIT:
        raise KeyFileInvalid("too large to be a key", where=str(path))
    return content


def read_input(path: Path, limit: int) -> bytes:
    """A small file that the user names.

    Raises:
        UsageError: it cannot be read, or has more than ``limit`` bytes.

    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as problem:
        raise UsageError(f"cannot read: {problem.strerror}", where=str(path)) from problem
    if len(content) > limit:
        raise UsageError(f"larger than {limit} bytes", where=str(path))
    return content


@contextmanager
def open_medium(bundle: str) -> Iterator[Medium]:
    """The bundle at a path, or from standard input for ``-``; other than regular files stream.

    A split bundle is named by the name of the whole, of its index, or of any part.
    """
    from airgap_shared.stores.medium import StreamMedium
    from airgap_shared.stores.partfiles import open_bundle_file

    if bundle == "-":
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal", next_step="give a bundle file")
        yield StreamMedium(sys.stdin.buffer)
    elif _is_stream(bundle):
        with _open_stream(bundle) as stream:
            yield StreamMedium(stream, bundle)
    else:
        with open_bundle_file(Path(bundle)) as medium:
            yield medium


def _is_stream(bundle: str) -> bool:
    """Whether this is a pipe or a device, which can be read only once and in order."""
    try:
        mode = Path(bundle).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _open_stream(bundle: str) -> BinaryIO:
    try:
        return Path(bundle).open("rb")
    except OSError as problem:
        raise MediaReadError(
            f"cannot open the bundle: {problem.strerror}", where=bundle
        ) from problem


def refuse_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise :class:`UsageError` when a file to be written is one of those that are read."""
    for given in inputs:
        if is_there(path) and is_there(given) and path.samefile(given):
            raise UsageError(
                f"writing it would destroy {given}, which is read",
                where=str(path),
                changed="it was left as it is",
                next_step="choose another name",
            )


def refuse_stranger(path: Path) -> None:
    """Raise :class:`UsageError` when something is there that does not begin like a bundle."""
    if is_there(path) and not _begins_like_a_bundle(path):
        raise UsageError(
            "the file exists already and is no bundle",
            where=str(path),
            changed="it was left as it is",
            next_step="choose another name",
        )


def refuse_part_name(output: Path) -> None:
    """Refuse to give a bundle a name by which it would be taken for a part of another.

    Raises:
        UsageError: it would.

    """
    bundle = bundle_of_part(output.name) or bundle_of_index(output.name)
    if bundle is not None:
        raise UsageError(
            f"a file of this name is taken for a part of {bundle!r}",
            where=str(output),
            changed="nothing was written",
            next_step="choose another --output",
        )


def refuse_strange_parts(output: Path) -> None:
    """Raise :class:`UsageError` when parts to be written may have the name of something else.

    Parts of an earlier bundle are known by their index.
    """
    from airgap_shared.stores.partialfiles import strange_files

    for path in strange_files(output):
        raise UsageError(
            "the file exists already and is not known to be a bundle's",
            where=str(path),
            changed="it was left as it is",
            next_step="remove it, or choose another name",
        )


def _begins_like_a_bundle(path: Path) -> bool:
    from airgap_shared.bundle.frames import MAGIC

    if not is_regular(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) in (b"", MAGIC)
    except OSError as problem:
        raise UsageError(f"cannot read: {problem.strerror}", where=str(path)) from problem


def write_new_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet, with these permissions from the first byte on.

    Raises:
        UsageError: it exists, or the path can name no new file.
        DiskFull, OutputNotWritable: it cannot be written.

    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as problem:
        raise UsageError(
            "the file exists already",
            where=str(path),
            changed="it was left as it is",
            next_step="choose another name",
        ) from problem
    except OSError as problem:
        raise _not_written(path, problem) from problem
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as problem:
        path.unlink()
        raise _not_written(path, problem) from problem


def write_new_files(files: Iterable[tuple[Path, bytes, int]]) -> None:
    """Write all of these files, each as :func:`write_new_file` does, or none.

    A file is its path, content and permissions.

    Raises:
        UsageError, DiskFull, OutputNotWritable: one cannot be written; those before it are gone.

    """
    written: list[Path] = []
    try:
        for path, content, mode in files:
            write_new_file(path, content, mode)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _not_written(path: Path, problem: OSError) -> AirgapError:
    kind: type[AirgapError] = OutputNotWritable
    advice = "choose another place, or have it made writable"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        kind, advice = DiskFull, "choose another place, or make room"
    elif problem.errno in _NO_SUCH_PLACE:
        kind, advice = UsageError, ""
    what = f"cannot write: {problem.strerror}"
    return kind(what, where=str(path), changed="nothing was written", next_step=advice)
