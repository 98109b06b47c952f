"""Writing one stored member into its place, and going on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airgap_shared.bundle.frames import BLOCK_LIMIT
from airgap_shared.bundle.placement import StoredSegment
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import DigestMismatch, SizeMismatch
from airgap_shared.oci.digest import Hasher
from airgap_shared.stores.progress import Progress
from airgap_shared.stores.slicedfile import SlicedFile

#: Content blocks written by one system call; also what is read again after an interruption,
#: because a killed process may have left its last write half done.
BLOCKS_PER_WRITE = 8

#: So many blocks are sent to the disk together.
_BLOCKS_TO_DISK = 8 * BLOCKS_PER_WRITE

#: Content of a member from an offset on.
Fetch = Callable[[Member, int], Iterator[bytes]]


class StoredBlob:
    """One member on its way into ``file``, which has room for it."""

    def __init__(self, file: SlicedFile, member: Member, segment: StoredSegment) -> None:
        self._file = file
        self._member = member
        self._segment = segment

    def write(self, fetch: Fetch, progress: Progress) -> None:
        """Fetch what is missing, and prove size and digest of the whole.

        What an earlier run left is hashed and kept; if the result is wrong, the member is fetched
        once more from its start.

        Raises:
            DigestMismatch, SizeMismatch: the source gave other bytes than promised.

        """
        done, hasher = self._present(progress)
        try:
            self._fetch(fetch, done, hasher, progress)
        except (DigestMismatch, SizeMismatch):
            if not done:
                raise
            progress.advance(-self._member.size)
            self._fetch(fetch, 0, self._member.digest.hasher(), progress)

    def _fetch(self, fetch: Fetch, first: int, hasher: Hasher, progress: Progress) -> None:
        start = min(first * BLOCK_LIMIT, self._member.size)
        block = first
        chunks = fetch(self._member, start) if start < self._member.size else iter(())
        for piece in _aligned(chunks, self._member.size - start, self._member.path):
            hasher.update(piece)
            block = self._write_blocks(block, piece)
            progress.advance(len(piece))
        self._member.digest.compare(hasher, self._member.path)
        closing = self._segment.closing()
        self._file.write_at(self._segment.end - len(closing), [closing])
        self._send_to_disk(block - block % _BLOCKS_TO_DISK, self._segment.end)

    def _write_blocks(self, block: int, piece: memoryview) -> int:
        offset = self._segment.block_offset(block)
        buffers: list[bytes | memoryview] = []
        for start in range(0, len(piece), BLOCK_LIMIT):
            buffers += (self._segment.lead(block), piece[start : start + BLOCK_LIMIT])
            block += 1
        self._file.write_at(offset, buffers)
        if block % _BLOCKS_TO_DISK == 0:
            self._send_to_disk(block - _BLOCKS_TO_DISK, self._segment.block_offset(block))
        return block

    def _send_to_disk(self, block: int, end: int) -> None:
        start = self._segment.block_offset(block)
        self._file.send_to_disk(start, end - start)

    def _present(self, progress: Progress) -> tuple[int, Hasher]:
        """How many content blocks can be kept, and their hash."""
        hasher = self._member.digest.hasher()
        blocks = self._written_blocks()
        keep = blocks if blocks == self._segment.blocks else max(0, blocks - BLOCKS_PER_WRITE)
        for block in range(keep):
            offset = self._segment.block_offset(block) + len(self._segment.lead(block))
            size = min(BLOCK_LIMIT, self._member.size - block * BLOCK_LIMIT)
            content = self._file.read_at(offset, size)
            hasher.update(content)
            progress.advance(len(content))
        return keep, hasher

    def _written_blocks(self) -> int:
        """Count the blocks whose lead was written: a hole in the file reads as zeros."""
        for block, lead, _ in self._segment.leads(0):
            if self._file.read_at(self._segment.block_offset(block), len(lead)) != lead:
                return block
        return self._segment.blocks


def _aligned(chunks: Iterator[bytes], size: int, where: str) -> Iterator[memoryview]:
    """The same content cut at multiples of what one write takes; exactly ``size`` bytes."""
    unit = BLOCKS_PER_WRITE * BLOCK_LIMIT
    held = bytearray()
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise SizeMismatch(f"content is longer than the {size} bytes promised", where=where)
        if not held and len(chunk) == unit:
            yield memoryview(chunk)
            continue
        held += chunk
        while len(held) >= unit:
            yield memoryview(bytes(held[:unit]))
            del held[:unit]
    if seen != size:
        raise SizeMismatch(f"content ends {size - seen} bytes early", where=where)
    if held:
        yield memoryview(bytes(held))
