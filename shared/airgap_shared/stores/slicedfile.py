"""A file that is written as one and kept in slices of equal size."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from airgap_shared.stores.joinedfile import JoinedFile, OpenFile

#: The slice size of a file that is not cut.
UNCUT = 1 << 62

Buffer = bytes | memoryview


class SlicedFile:
    """Open files, all but the last of ``slice_size`` bytes, that are written as one by position.

    ``open_slice`` opens another one, counted from 0; who opened them closes them. It is called
    when :meth:`truncate` or an :meth:`appender` needs one more. What :meth:`truncate` made room
    for can be read and written from any thread.
    """

    def __init__(self, slice_size: int, open_slice: Callable[[int], OpenFile]) -> None:
        self.slice_size = slice_size
        self._open_slice = open_slice
        self._slices: list[OpenFile] = []

    @property
    def size(self) -> int:
        """Up to where there is something, in bytes."""
        sizes = [min(file.size, self.slice_size) for file in self._slices]
        return max(
            (number * self.slice_size + size for number, size in enumerate(sizes) if size),
            default=0,
        )

    @property
    def slices(self) -> tuple[OpenFile, ...]:
        """The files that hold something, and those between them."""
        return tuple(self._slices[: -(-self.size // self.slice_size)])

    def unused(self) -> tuple[Path, ...]:
        """The files that were opened and hold nothing, at the end."""
        return tuple(file.path for file in self._slices[len(self.slices) :])

    def open_slices(self, count: int) -> None:
        """Have at least the first ``count`` slices open."""
        while len(self._slices) < count:
            self._slices.append(self._open_slice(len(self._slices)))

    def joined(self) -> JoinedFile:
        """All of it as it is now, for reading; the descriptors stay these."""
        return JoinedFile(self.slices or self._slices[:1])

    def truncate(self, size: int) -> None:
        """Make it as large as this; what is new reads as zeros."""
        self.open_slices(-(-size // self.slice_size))
        for number, file in enumerate(self._slices):
            rest = size - number * self.slice_size
            os.ftruncate(file.descriptor, max(0, min(rest, self.slice_size)))

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer where a slice ends early."""
        data = b""
        for number, start, length in self._ranges(offset, size):
            if number >= len(self._slices):
                break
            piece = os.pread(self._slices[number].descriptor, length, start)
            data += piece
            if len(piece) < length:
                break
        return data

    def write_at(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Write all of the buffers, one after another, from ``offset`` on."""
        size = sum(map(len, buffers))
        if not size:
            return
        number, start = divmod(offset, self.slice_size)
        if start + size <= self.slice_size:
            _write(self._slices[number].descriptor, start, buffers, size)
            return
        # Only a write across a border is put together first.
        data = memoryview(b"".join(buffers))
        for number, start, length in self._ranges(offset, size):
            _write(self._slices[number].descriptor, start, [data[:length]], length)
            data = data[length:]

    def appender(self, buffered: int) -> io.BufferedWriter:
        """A stream that collects so many bytes at a time and writes them at the end.

        Nobody else may write while it is open.
        """
        return io.BufferedWriter(_Appender(self), buffered)

    def send_to_disk(self, offset: int, size: int) -> None:
        """Have this range on its way to the disk, without waiting, so that :meth:`sync` is short.

        Linux writes nothing of a large file before a tenth of all memory waits to be written.
        """
        for number, start, length in self._ranges(offset, size):
            # The advice has what is changed written, and dropped only what is not. A file system
            # that does not take it leaves all of it to sync.
            with suppress(OSError):
                os.posix_fadvise(
                    self._slices[number].descriptor, start, length, os.POSIX_FADV_DONTNEED
                )

    def sync(self) -> None:
        """Have everything on the disk."""
        for file in self._slices:
            os.fsync(file.descriptor)

    def _ranges(self, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Cut a range at the borders: number of the slice, start in it, length."""
        while size:
            number, start = divmod(offset, self.slice_size)
            length = min(size, self.slice_size - start)
            yield number, start, length
            offset, size = offset + length, size - length


class _Appender(io.RawIOBase):
    """The end of a sliced file as a raw stream."""

    def __init__(self, file: SlicedFile) -> None:
        self._file = file
        self._offset = file.size

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        end = self._offset + len(view)
        self._file.open_slices(-(-end // self._file.slice_size))
        self._file.write_at(self._offset, [view])
        self._offset = end
        return len(view)


def _write(descriptor: int, offset: int, buffers: Sequence[Buffer], size: int) -> None:
    written = os.pwritev(descriptor, buffers, offset)
    if written == size:
        return
    rest = memoryview(b"".join(buffers))[written:]
    offset += written
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
