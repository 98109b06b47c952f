"""Why a file does not end like a bundle: found by walking through its frames, unread."""

from __future__ import annotations

import struct
from collections.abc import Callable

from airgap_shared.bundle import frames
from airgap_shared.errors import (
    AirgapError,
    BundleCorrupt,
    BundleFormatError,
    BundleTruncated,
    TrailingData,
)

_SKIPPABLE = struct.Struct("<II")
_SKIPPABLE_MAGIC = 0x184D2A5E
#: Blocks in any file, and bytes of it for each one more: one of tiny blocks is not worth the walk.
_BLOCKS = 1 << 17
_BYTES = 1 << 10

#: Up to so many bytes at an offset; fewer at the end of the file.
ReadAt = Callable[[int, int], bytes]


class _Budget:
    """How many blocks may still be walked through, all frames together."""

    def __init__(self) -> None:
        self._spent = 0

    def spend(self, offset: int) -> None:
        self._spent += 1
        if self._spent > _BLOCKS + offset // _BYTES:
            raise BundleCorrupt("too many zstd blocks")


def explain_ending(read_at: ReadAt, size: int, where: str) -> BundleFormatError:
    """The error for a file of ``size`` bytes whose end is not the seek table of its frames."""
    try:
        offset = _after_frames(read_at)
        magic, length = _SKIPPABLE.unpack(_exactly(read_at, offset, _SKIPPABLE.size))
    except AirgapError as problem:
        kind = BundleTruncated if isinstance(problem, BundleTruncated) else BundleCorrupt
        return kind(problem.what, where=where, next_step="copy the bundle again")
    end = offset + _SKIPPABLE.size + length
    if magic != _SKIPPABLE_MAGIC or end == size:
        return BundleCorrupt("the seek table does not fit the file", where=where)
    if end > size:
        return BundleTruncated(
            "the file ends before its seek table does",
            where=where,
            next_step="copy the bundle again",
        )
    return TrailingData(f"{size - end} bytes follow the end of the bundle", where=where)


def _after_frames(read_at: ReadAt) -> int:
    offset = 0
    budget = _Budget()
    while read_at(offset, len(frames.MAGIC)) == frames.MAGIC:
        offset = _after_frame(read_at, offset, budget)
    return offset


def _after_frame(read_at: ReadAt, offset: int, budget: _Budget) -> int:
    start = _exactly(read_at, offset, frames.HEADER_START)
    size = len(start) + frames.frame_header_rest(start)
    header = frames.parse_frame_header(_exactly(read_at, offset, size))
    offset += size
    last = False
    while not last:
        budget.spend(offset)
        block = frames.parse_block_header(_exactly(read_at, offset, frames.BLOCK_HEADER))
        offset += frames.BLOCK_HEADER + block.size
        last = block.last
    return offset + (frames.CHECKSUM if header.checksum else 0)


def _exactly(read_at: ReadAt, offset: int, size: int) -> bytes:
    data = read_at(offset, size)
    if len(data) != size:
        raise BundleTruncated("the file ends before the bundle does")
    return data
