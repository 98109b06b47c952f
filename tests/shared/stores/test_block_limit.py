"""Blocks that hold nothing, or next to nothing, are not read without end."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from airgap_shared.bundle import frames
from airgap_shared.errors import LimitExceeded
from airgap_shared.stores.frames import FrameReader

#: Tells no content size; the window is 128 KiB.
UNSIZED = frames.MAGIC + b"\x00\x38"
#: No literals, no sequences (RFC 8878, 3.1.1.3).
COMPRESSED_NOTHING = (2 << 3 | 2 << 1).to_bytes(3, "little") + b"\x00\x00"
RUN_OF_NOTHING = (0 << 3 | 1 << 1).to_bytes(3, "little") + b"x"
#: What a reader may take before it gives up, in blocks.
ENOUGH = frames.BLOCK_COUNT_LIMIT + 32


def raw(content: bytes, last: bool = False) -> bytes:
    return frames.compose_block_header(len(content), last) + content


class Endless:
    """A frame of one block over and over; counts what is read of it."""

    def __init__(self, block: bytes, header: bytes = UNSIZED) -> None:
        self.taken = 0
        self._pieces = self._all(header, block)
        self._held = b""

    def read(self, size: int, /) -> bytes:
        self.taken += size
        while len(self._held) < size:
            self._held += next(self._pieces)
        data, self._held = self._held[:size], self._held[size:]
        return data

    def _all(self, header: bytes, block: bytes) -> Iterator[bytes]:
        yield header
        while True:
            yield block


@pytest.mark.parametrize("block", [raw(b""), RUN_OF_NOTHING, COMPRESSED_NOTHING, raw(b"x")])
def test_a_frame_of_next_to_nothing_is_not_read_on(block: bytes) -> None:
    source = Endless(block)
    with pytest.raises(LimitExceeded, match="zstd blocks for"):
        FrameReader(source).exactly(1 << 20)
    assert source.taken < ENOUGH * len(block) + 100


def test_a_stored_frame_of_single_bytes_is_not_read_on() -> None:
    source = Endless(raw(b"x"), frames.compose_stored_header(1 << 20))
    with pytest.raises(LimitExceeded, match="zstd blocks for"):
        FrameReader(source).exactly(1 << 20)
    assert source.taken < ENOUGH * 4 + 100


@pytest.mark.parametrize("block", [raw(b""), RUN_OF_NOTHING, COMPRESSED_NOTHING])
def test_nothing_after_the_content_is_not_read_on(block: bytes) -> None:
    source = Endless(block, UNSIZED + raw(b"content"))
    reader = FrameReader(source)
    with pytest.raises(LimitExceeded, match="zstd blocks for"):
        reader.exactly(7)
        reader.end_frame()
    assert source.taken < ENOUGH * len(block) + 100


def test_frames_of_single_bytes_count_together() -> None:
    source = Endless(UNSIZED + raw(b"x", last=True), b"")
    with pytest.raises(LimitExceeded, match="zstd blocks for"):
        FrameReader(source).exactly(1 << 20)
    assert source.taken < ENOUGH * 10 + 100


@pytest.mark.parametrize("header", [UNSIZED, frames.compose_stored_header(1 << 20)])
def test_blocks_with_enough_in_them_are_read(header: bytes) -> None:
    size = frames.CONTENT_PER_BLOCK
    blocks = [raw(b"x" * size)] * ((1 << 20) // size)
    blocks[-1] = raw(b"x" * size, last=True)
    reader = FrameReader(io.BytesIO(header + b"".join(blocks)))
    assert reader.exactly(1 << 20) == b"x" * (1 << 20)
    reader.end_frame()


def test_every_segment_may_have_some_blocks_for_nothing() -> None:
    blocks = [raw(b"x"), *[raw(b"")] * (frames.BLOCK_COUNT_LIMIT - 2), raw(b"", last=True)]
    reader = FrameReader(io.BytesIO((UNSIZED + b"".join(blocks)) * 3))
    for _ in range(3):
        assert reader.exactly(1) == b"x"
        reader.end_frame()


def test_a_frame_that_no_seek_table_can_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FRAME_LENGTH_LIMIT", 1000)
    reader = FrameReader(io.BytesIO(UNSIZED + raw(b"x" * 1001, last=True)))
    with pytest.raises(LimitExceeded, match="in the file"):
        reader.exactly(1001)
