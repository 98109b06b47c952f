"""However a damaged file is cut into frames and blocks, only so many are walked through."""

from __future__ import annotations

import pytest

from airgap_shared.bundle import frames
from airgap_shared.bundle.seektable import SeekTable
from airgap_shared.errors import BundleCorrupt, TrailingData
from airgap_shared.stores import endings


def frame_of(blocks: int) -> bytes:
    """A frame of raw blocks of one byte."""
    return frames.compose_stored_header(blocks) + b"".join(
        frames.compose_block_header(1, number == blocks - 1) + b"x" for number in range(blocks)
    )


@pytest.mark.parametrize(("count", "blocks"), [(1000, 1), (1, 1000), (30, 30)])
def test_frames_and_blocks_have_one_budget(
    count: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_BLOCKS", 100)
    file = frame_of(blocks) * count
    reads = 0

    def read_at(offset: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return file[offset : offset + size]

    problem = endings.explain_ending(read_at, len(file), "bundle")
    assert isinstance(problem, BundleCorrupt)
    assert "too many" in problem.what
    assert reads < 500


def test_a_file_of_blocks_of_the_usual_size_is_walked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endings, "_BLOCKS", 10)
    blocks = (frames.compose_block_header(2000, False) + bytes(2000)) * 100
    file = frames.compose_stored_header(202_000) + blocks
    file += frames.compose_block_header(2000, True) + bytes(2000) + SeekTable().to_bytes()

    def read_at(offset: int, size: int) -> bytes:
        return file[offset : offset + size]

    problem = endings.explain_ending(read_at, len(file) + 1, "bundle")
    assert isinstance(problem, TrailingData)
