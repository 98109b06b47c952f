"""Where a stored member's bytes stand in the file: known from its name and size alone.

A stored segment is one or more zstd frames of raw blocks. The first block holds the tar header,
then come content blocks of 128 KiB (the last may be shorter), then a block with the
padding if there is any. A frame holds at most :data:`BLOCKS_PER_FRAME` content blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airgap_shared.bundle.frames import (
    BLOCK_HEADER,
    BLOCK_LIMIT,
    Frame,
    compose_block_header,
    compose_stored_header,
)
from airgap_shared.bundle.tarheader import compose_header, header_size, padding_of

#: Leaves room for the tar header and the padding under the seekable format's 1 GiB.
BLOCKS_PER_FRAME = 8_184
_FRAME_HEADER = 14
_FULL_BLOCK = BLOCK_LIMIT + BLOCK_HEADER


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A member stored without compression, beginning at ``offset`` in the file."""

    name: str
    size: int
    offset: int

    @property
    def blocks(self) -> int:
        """How many content blocks there are."""
        return -(-self.size // BLOCK_LIMIT)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of this segment, in order."""
        return tuple(self._frame(number) for number in range(self._frame_count))

    @property
    def end(self) -> int:
        """The offset after the last byte of this segment."""
        return self.offset + sum(frame.compressed for frame in self.frames)

    def block_offset(self, block: int) -> int:
        """Where the bytes before content block ``block`` begin (see :meth:`lead`)."""
        full, position = divmod(block, BLOCKS_PER_FRAME)
        start = self.offset + full * (_FRAME_HEADER + BLOCKS_PER_FRAME * _FULL_BLOCK)
        header = BLOCK_HEADER + header_size(self.name)
        start += header if full else 0
        if not position:
            return start
        return start + _FRAME_HEADER + (0 if full else header) + position * _FULL_BLOCK

    def lead(self, block: int) -> bytes:
        """Everything between the content of the block before and that of ``block``."""
        number, position = divmod(block, BLOCKS_PER_FRAME)
        opening = self._opening(number) if position == 0 else b""
        size = min(BLOCK_LIMIT, self.size - block * BLOCK_LIMIT)
        return opening + compose_block_header(size, self._ends_frame(block))

    def closing(self) -> bytes:
        """Everything after the content of the last block."""
        if not self.size:
            return self._opening(0)
        padding = padding_of(self.size)
        return compose_block_header(padding, True) + bytes(padding) if padding else b""

    def leads(self, first: int) -> Iterator[tuple[int, bytes, int]]:
        """For each content block from ``first``: its number, its lead, the size of its content."""
        for block in range(first, self.blocks):
            yield block, self.lead(block), min(BLOCK_LIMIT, self.size - block * BLOCK_LIMIT)

    @property
    def _frame_count(self) -> int:
        return max(1, -(-self.blocks // BLOCKS_PER_FRAME))

    def _ends_frame(self, block: int) -> bool:
        if block == self.blocks - 1:
            return not padding_of(self.size)
        return block % BLOCKS_PER_FRAME == BLOCKS_PER_FRAME - 1

    def _opening(self, number: int) -> bytes:
        opening = compose_stored_header(self._frame(number).content)
        if number == 0:
            header = compose_header(self.name, self.size)
            opening += compose_block_header(len(header), not self.size) + header
        return opening

    def _frame(self, number: int) -> Frame:
        blocks = min(BLOCKS_PER_FRAME, self.blocks - number * BLOCKS_PER_FRAME)
        content = min(
            BLOCKS_PER_FRAME * BLOCK_LIMIT, self.size - number * BLOCKS_PER_FRAME * BLOCK_LIMIT
        )
        if number == 0:
            content += header_size(self.name)
            blocks += 1
        padding = padding_of(self.size)
        if padding and number == self._frame_count - 1:
            content += padding
            blocks += 1
        return Frame(_FRAME_HEADER + blocks * BLOCK_HEADER + content, content)
