"""Files that are read as one: a whole bundle is one file, a split one has a file for each part."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from airgap_shared.errors import MediaReadError


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor, and the path it was opened by; the path is for messages only."""

    path: Path
    descriptor: int

    @property
    def size(self) -> int:
        """The size in bytes, now."""
        return os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


class JoinedFile:
    """Open files read as if they were one, by position and from any thread.

    Where each begins is settled by the sizes they have when they are joined. A file that shrinks
    later reads as cut off, and never as the beginning of the next.
    """

    def __init__(self, files: Sequence[OpenFile]) -> None:
        self._files = tuple(files)
        self._ends = tuple(accumulate(file.size for file in self._files)) or (0,)
        self._starts = (0, *self._ends[:-1])

    @property
    def size(self) -> int:
        """The size of all together, in bytes."""
        return self._ends[-1]

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end, or where a file has shrunk.

        Raises:
            MediaReadError: a file cannot be read there.

        """
        if offset >= self.size:
            return b""
        number = self._number(offset)
        data = self._read(number, offset, size)
        while len(data) < size and self._ends[number] == offset + len(data) < self.size:
            number += 1
            data += self._read(number, self._starts[number], size - len(data))
        return data

    def paths_at(self, start: int, end: int) -> tuple[Path, ...]:
        """The files that hold the bytes from ``start`` up to ``end``."""
        first, last = self._number(start), self._number(max(start, end - 1))
        return tuple(file.path for file in self._files[first : last + 1])

    def changed(self) -> Path | None:
        """A file that has another size now than when it was joined."""
        sizes = [end - start for start, end in zip(self._starts, self._ends, strict=True)]
        return next(
            (
                file.path
                for file, size in zip(self._files, sizes, strict=False)
                if file.size != size
            ),
            None,
        )

    def is_split(self) -> bool:
        """Whether there is more than one file."""
        return len(self._files) > 1

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()

    def _number(self, offset: int) -> int:
        return bisect_right(self._starts, offset) - 1

    def _read(self, number: int, offset: int, size: int) -> bytes:
        file, position = self._files[number], offset - self._starts[number]
        try:
            return os.pread(file.descriptor, min(size, self._ends[number] - offset), position)
        except OSError as problem:
            raise MediaReadError(
                f"cannot read the bundle at byte {position}: {problem.strerror}",
                where=str(file.path),
                next_step="copy the bundle again, to another disk if need be",
            ) from problem
