"""Reading zstd frames block by block, so that memory and the end of each frame are certain.

One compressed block holds at most 128 KiB of content (RFC 8878), so feeding the decompressor a
few whole blocks at a time bounds what it can answer, whatever the bytes claim. Blocks without
content, and of hardly any, are counted: no file keeps a reader busy for longer than its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import zstandard

from airgap_shared.bundle import frames
from airgap_shared.bundle.frames import Frame, FrameHeader
from airgap_shared.bundle.seektable import SeekTable
from airgap_shared.errors import BundleCorrupt, BundleTruncated, NotABundle

_BLOCKS_AT_ONCE = 8  # 1 MiB of content
#: What libzstd says where it cannot allocate (zstd, error_private.c).
_NO_MEMORY = "not enough memory"


class ByteSource(Protocol):
    """Bytes in order; a short answer means that there are no more."""

    def read(self, size: int, /) -> bytes: ...


class FrameReader:
    """The content of consecutive frames, and a record of the frames seen."""

    def __init__(self, source: ByteSource) -> None:
        self.frames = SeekTable()
        self._source = source
        self._header: FrameHeader | None = None
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=frames.WINDOW_LIMIT)
        self._frame = self._decompressor.decompressobj()
        self._compressed = self._content = 0
        self._blocks = self._segment = 0
        self._ready = b""

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes of content; for small pieces."""
        content = bytearray()
        for piece in self.chunks(size):
            content += piece
        return bytes(content)

    def chunks(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes of content in pieces of at most 1 MiB.

        Raises:
            BundleTruncated: the source ends before.
            BundleCorrupt, NotABundle, WindowTooLarge, LimitExceeded: no frame of this format.

        """
        while size:
            while not self._ready:
                self._fill()
            piece, self._ready = self._ready[:size], self._ready[size:]
            size -= len(piece)
            yield piece

    def end_frame(self) -> None:
        """Prove that the content read so far, a segment, ends with a frame.

        Raises:
            BundleCorrupt: the frame holds more.

        """
        while self._header is not None and not self._ready:
            self._fill()
        if self._ready:
            raise BundleCorrupt("a zstd frame does not end where a member ends")
        self._blocks = self._segment = 0

    def _fill(self) -> None:
        header = self._header or self._begin()
        if header.stored:
            self._fill_stored()
        else:
            self._fill_compressed(header)

    def _fill_stored(self) -> None:
        """Raw blocks are their own content; nothing needs to be decompressed."""
        block = frames.parse_block_header(self._take(frames.BLOCK_HEADER))
        if not block.raw or not block.size:
            raise BundleCorrupt("a frame of a stored member has a block that no writer makes")
        self._deliver(self._take(block.size), 1)
        if block.last:
            self._end()

    def _fill_compressed(self, header: FrameHeader) -> None:
        pieces: list[bytes] = []
        last = False
        while not last and len(pieces) < 2 * _BLOCKS_AT_ONCE:
            raw = self._take(frames.BLOCK_HEADER)
            block = frames.parse_block_header(raw)
            pieces += (raw, self._take(block.size))
            last = block.last
        blocks = len(pieces) // 2
        if last and header.checksum:
            pieces.append(self._take(frames.CHECKSUM))
        self._deliver(self._decompress(b"".join(pieces)), blocks)
        if last:
            if not self._frame.eof or self._frame.unused_data:
                raise BundleCorrupt("a zstd frame does not end with its last block")
            self._end()

    def _deliver(self, content: bytes, blocks: int) -> None:
        self._ready = content
        self._content += len(content)
        self._segment += len(content)
        self._blocks += blocks
        frames.check_frame_content(self._content)
        frames.check_frame_length(self._compressed)
        frames.check_block_count(self._blocks, self._segment)

    def _begin(self) -> FrameHeader:
        start = self._source.read(frames.HEADER_START)
        if len(start) < frames.HEADER_START and frames.MAGIC.startswith(start[:4]):
            raise BundleTruncated("the file ends before the bundle does")
        try:
            rest = frames.frame_header_rest(start)
        except NotABundle as problem:
            if len(self.frames):
                raise BundleCorrupt(problem.what) from problem
            raise
        self._compressed, self._content = len(start), 0
        header = start + self._take(rest)
        self._header = frames.parse_frame_header(header)
        if not self._header.stored:
            self._frame = self._decompressor.decompressobj()
            self._decompress(header)
        return self._header

    def _end(self) -> None:
        header = self._header
        if header is None or self._content == 0 or header.content not in (None, self._content):
            raise BundleCorrupt("a zstd frame does not hold what its header says")
        self.frames.append(Frame(self._compressed, self._content))
        frames.check_frame_count(len(self.frames))
        self._header = None

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._frame.decompress(data)
        except zstandard.ZstdError as problem:
            if _NO_MEMORY in str(problem):
                raise MemoryError from problem
            raise BundleCorrupt("a zstd frame is damaged") from problem

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise BundleTruncated("the file ends before the bundle does")
        self._compressed += size
        return data
