"""The files that a bundle is while it is being written, and how they get their final names.

A whole bundle is ``NAME.partial`` until it is finished. Of a split one, ``NAME.partial`` is empty
and only locked, and the parts are ``NAME.part-001.partial`` and so on. When these are finished,
the index is written as ``NAME.parts.json.partial``. From then on and until it gets its own name,
last of all, some parts may have their names already; a later run takes these back.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from airgap_shared.bundle.parts import PART_LIMIT, PartIndex, index_name, part_name
from airgap_shared.errors import AirgapError, Locked, OutputNotWritable, UsageError
from airgap_shared.stores.joinedfile import OpenFile
from airgap_shared.stores.outputfaults import output_faults
from airgap_shared.stores.partfiles import existing_parts, load_index
from airgap_shared.stores.places import is_there
from airgap_shared.stores.slicedfile import UNCUT, SlicedFile

_SUFFIX = ".partial"
#: What has the name of a partial file is written to: it must be that file, and no link.
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def locked(path: Path) -> Iterator[OpenFile]:
    """Hold the partial file ``path`` open and locked; it is removed again if it stays empty.

    Raises:
        Locked: another run writes it.
        OutputNotWritable: it cannot be written, or is no regular file.

    """
    with ExitStack() as stack:
        file = _open(path, stack)
        _lock(file)
        try:
            yield file
        finally:
            if file.size == 0:
                path.unlink(missing_ok=True)


class WholeFile:
    """A bundle in the making that is to be one file."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.first = _partial(output)

    @contextmanager
    def opened(self, lock: OpenFile) -> Iterator[SlicedFile]:
        """The file to write, which is the locked one."""
        file = SlicedFile(UNCUT, lambda _: lock)
        file.open_slices(1)
        yield file

    def remove_others(self) -> None:
        """Remove what a run that wrote parts has left."""
        index = _index_path(self.output)
        _remove(_partial_parts(self.output))
        if not index.exists():
            _remove(earlier_parts(self.output))
        _remove([_partial(index)])

    def discard(self) -> None:
        """Remove what was written."""
        _remove([self.first])

    def publish(self) -> tuple[Path, ...]:
        """Give the file its name, in place of an earlier bundle; gives that name."""
        earlier = earlier_files(self.output)
        self.first.replace(self.output)
        sync_folder(self.output.parent)
        _remove(earlier)
        return (self.output,)


class PartFiles:
    """A bundle in the making that is to be parts of ``part_size`` bytes and an index."""

    def __init__(self, output: Path, part_size: int) -> None:
        self.output = output
        self.first = self._part(0)
        self._part_size = part_size
        self._index = _index_path(output)
        self._lock: OpenFile | None = None

    @contextmanager
    def opened(self, lock: OpenFile) -> Iterator[SlicedFile]:
        """The file to write, in as many parts as there are; ``lock`` is held meanwhile."""
        self._lock = lock
        self._take_back()
        with ExitStack() as stack:
            file = SlicedFile(self._part_size, lambda number: self._open_part(number, stack))
            for number in range(PART_LIMIT):
                if not self._part(number).exists():
                    break
                file.open_slices(number + 1)
            try:
                yield file
            finally:
                _remove(path for path in file.unused())

    def remove_others(self) -> None:
        """Remove what a run that wrote a whole file has left."""
        if self._lock is not None:
            os.ftruncate(self._lock.descriptor, 0)

    def discard(self) -> None:
        """Remove what was written."""
        _remove(_partial_parts(self.output))

    def publish(self, index: PartIndex) -> tuple[Path, ...]:
        """Give parts and index their names, in place of an earlier bundle; gives these names.

        At every moment there is either an index whose parts are all there or none, but for the
        moment in which surplus parts of an earlier bundle go.
        """
        final = [self.output.with_name(part.name) for part in index.parts]
        earlier = earlier_files(self.output)
        _write_synced(_partial(self._index), index.to_json())
        sync_folder(self.output.parent)
        _remove([path for path in earlier if path not in final] + [self.output])
        sync_folder(self.output.parent)
        for path in final:
            _partial(path).replace(path)
        _remove(_partial_parts(self.output))
        sync_folder(self.output.parent)
        _partial(self._index).replace(self._index)
        sync_folder(self.output.parent)
        return (*final, self._index)

    def _part(self, number: int) -> Path:
        return _partial(self.output.with_name(part_name(self.output.name, number + 1)))

    def _open_part(self, number: int, stack: ExitStack) -> OpenFile:
        if number >= PART_LIMIT:
            raise UsageError(
                f"the bundle does not fit into {PART_LIMIT} parts of {self._part_size} bytes",
                where="--split",
                next_step="choose a larger size",
            )
        return _open(self._part(number), stack)

    def _take_back(self) -> None:
        """Undo a publication that was interrupted: what is finished is found and checked again."""
        begun = _partial(self._index)
        with output_faults(begun):
            if not begun.exists():
                return
            if not self._index.exists():
                for path in earlier_parts(self.output):
                    if not _partial(path).exists():
                        path.replace(_partial(path))
            begun.unlink()
            sync_folder(self.output.parent)


def partial_files(output: Path) -> list[Path]:
    """Every file that a bundle with this name is while it is being written, whole or in parts."""
    return [*_present([_partial(output)]), *_partial_parts(output)]


def earlier_parts(output: Path) -> tuple[Path, ...]:
    """The files that are parts of a bundle with this name, by an index that is there.

    The index of a publication that was interrupted counts, too.
    """
    index = _index_path(output)
    known = _known(output, index) | _known(output, _partial(index))
    return tuple(path for path in existing_parts(output) if path.name in known)


def earlier_files(output: Path) -> list[Path]:
    """The parts of a bundle with this name, and then its index.

    Removed in this order, what remains at any moment is still known to be a bundle's.
    """
    index = _index_path(output)
    return [*earlier_parts(output), *([index] if _known(output, index) else [])]


def strange_files(output: Path) -> list[Path]:
    """What has the name of a part or of the index, and is none that is known."""
    ours = earlier_files(output)
    return [
        path
        for path in (_index_path(output), *existing_parts(output))
        if os.path.lexists(path) and path not in ours
    ]


def related_files(output: Path) -> list[Path]:
    """Every other file that a run which writes ``output`` may write or replace."""
    index = _index_path(output)
    return [
        _partial(output),
        index,
        _partial(index),
        *existing_parts(output),
        *_partial_parts(output),
    ]


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)


def _index_path(output: Path) -> Path:
    return output.with_name(index_name(output.name))


def _known(output: Path, index: Path) -> set[str]:
    """The names of all parts by this index; none if it is not there, or is no index."""
    try:
        return {part.name for part in load_index(output, index).parts}
    except AirgapError:
        return set()


def _partial_parts(output: Path) -> list[Path]:
    """Every part of a bundle with this name that is still being written."""
    names = (part_name(output.name, number + 1) for number in range(PART_LIMIT))
    return _present(_partial(output.with_name(name)) for name in names)


def _present(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if is_there(path)]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _open(path: Path, stack: ExitStack) -> OpenFile:
    """Open or make a regular file for writing, until the end of ``stack``."""
    with output_faults(path):
        file = OpenFile(path, os.open(path, _OPEN_FLAGS, 0o644))
    stack.callback(file.close)
    if not stat.S_ISREG(os.fstat(file.descriptor).st_mode):
        raise OutputNotWritable("not a regular file", where=str(path))
    return file


def _lock(file: OpenFile) -> None:
    try:
        fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The run that held the lock may have given the file its final name meanwhile.
        held, named = os.fstat(file.descriptor), file.path.stat()
        if not os.path.samestat(held, named):
            raise FileNotFoundError
    except OSError as problem:
        raise Locked(
            "another run is writing this bundle",
            where=str(file.path),
            next_step="wait for it, or choose another --output",
        ) from problem


def _write_synced(path: Path, content: bytes) -> None:
    with ExitStack() as stack:
        file = _open(path, stack)
        os.ftruncate(file.descriptor, 0)
        with os.fdopen(os.dup(file.descriptor), "wb") as stream:
            stream.write(content)
        os.fsync(file.descriptor)
