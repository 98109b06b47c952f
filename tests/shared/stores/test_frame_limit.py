"""A frame that does not say how much it holds is measured while it is read."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import zstandard

from airgap_shared.bundle import frames
from airgap_shared.errors import LimitExceeded
from airgap_shared.stores.frames import FrameReader

MIB = 1 << 20


def unsized(size: int) -> bytes:
    """Zeros in a frame without a content size."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(bytes(size))


def raw_blocks(size: int) -> bytes:
    """A stored frame whose header lies."""
    blocks = [min(frames.BLOCK_LIMIT, size - at) for at in range(0, size, frames.BLOCK_LIMIT)]
    return frames.compose_stored_header(1) + b"".join(
        frames.compose_block_header(length, number == len(blocks) - 1) + bytes(length)
        for number, length in enumerate(blocks)
    )


@pytest.mark.parametrize("compose", [unsized, raw_blocks])
def test_a_frame_is_refused_as_soon_as_it_holds_too_much(
    compose: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FRAME_LIMIT", 4 * MIB)
    reader = FrameReader(io.BytesIO(compose(8 * MIB)))
    seen = 0
    with pytest.raises(LimitExceeded, match="over 4194304"):
        for chunk in reader.chunks(8 * MIB):
            seen += len(chunk)
    assert seen <= 4 * MIB


def test_a_frame_may_hold_as_much_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FRAME_LIMIT", 4 * MIB)
    reader = FrameReader(io.BytesIO(unsized(4 * MIB)))
    assert sum(map(len, reader.chunks(4 * MIB))) == 4 * MIB
    reader.end_frame()
