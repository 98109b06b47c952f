from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.bundle import placement
from airgap_shared.bundle.frames import BLOCK_LIMIT, FRAME_LIMIT
from airgap_shared.bundle.placement import StoredSegment
from airgap_shared.bundle.tarheader import compose_header, padding_of, segment_size

needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not here")

SHORT = "blobs/sha256/" + "0" * 64
LONG = "blobs/sha512/" + "0" * 128
CONTENT = Random(1).randbytes(7 * BLOCK_LIMIT)  # noqa: S311 - repeatable on purpose
SIZES = st.one_of(
    st.integers(0, len(CONTENT)),
    st.integers(0, 7).map(lambda blocks: blocks * BLOCK_LIMIT),
    st.builds(
        lambda blocks, more: blocks * BLOCK_LIMIT + more,
        st.integers(1, 6),
        st.sampled_from([-512, -511, -1, 1, 511, 512, 513]),
    ),
)


@contextmanager
def frames_of(blocks: int) -> Iterator[None]:
    """Frames that hold so few blocks that small content needs several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "BLOCKS_PER_FRAME", blocks)
        yield


def assembled(segment: StoredSegment) -> bytes:
    """The whole segment as a writer puts it together."""
    file = bytearray()
    for block, lead, size in segment.leads(0):
        assert segment.block_offset(block) == segment.offset + len(file)
        file += lead + CONTENT[block * BLOCK_LIMIT :][:size]
    return bytes(file + segment.closing())


def archived(name: str, size: int) -> bytes:
    return compose_header(name, size) + CONTENT[:size] + bytes(padding_of(size))


@given(SIZES, st.integers(1, 5), st.sampled_from([SHORT, LONG]), st.integers(0, 10_000))
@settings(deadline=None)
def test_every_byte_is_where_name_and_size_say(
    size: int, blocks: int, name: str, offset: int
) -> None:
    with frames_of(blocks):
        segment = StoredSegment(name, size, offset)
        raw = assembled(segment)
        assert segment.end == offset + len(raw)
        assert sum(frame.content for frame in segment.frames) == segment_size(name, size)
        reader = zstandard.ZstdDecompressor().stream_reader(
            io.BytesIO(raw), read_across_frames=True
        )
        assert reader.read() == archived(name, size)


@given(SIZES, st.integers(1, 5), st.sampled_from([SHORT, LONG]))
@settings(deadline=None)
def test_the_frames_are_those_foretold(size: int, blocks: int, name: str) -> None:
    with frames_of(blocks):
        segment = StoredSegment(name, size, 0)
        raw, start, content = assembled(segment), 0, 0
        for frame in segment.frames:
            piece = raw[start : start + frame.compressed]
            assert piece[:6] == bytes.fromhex("28b52ffdc038")
            assert zstandard.frame_content_size(piece) == frame.content
            expected = archived(name, size)[content : content + frame.content]
            assert zstandard.ZstdDecompressor().decompress(piece) == expected
            start, content = start + frame.compressed, content + frame.content
        assert start == len(raw)


@needs_zstd
@pytest.mark.parametrize("size", [0, 1, 512, BLOCK_LIMIT, BLOCK_LIMIT + 1, 6 * BLOCK_LIMIT])
def test_the_zstd_program_reads_it(size: int) -> None:
    with frames_of(2):
        raw = assembled(StoredSegment(LONG, size, 0))
    done = subprocess.run(["zstd", "-dcq"], input=raw, capture_output=True, check=True)
    assert done.stdout == archived(LONG, size)


@pytest.mark.parametrize("name", [SHORT, LONG])
@pytest.mark.parametrize("more", [-1, 0, 1, 512])
def test_real_frames_keep_below_the_limit(name: str, more: int) -> None:
    unit = placement.BLOCKS_PER_FRAME * BLOCK_LIMIT
    for count in (1, 2, 300):
        segment = StoredSegment(name, count * unit + more, 77)
        listed = segment.frames
        assert all(0 < frame.content <= FRAME_LIMIT for frame in listed)
        assert sum(frame.content for frame in listed) == segment_size(name, segment.size)
        last = segment.blocks - 1
        tail = len(segment.lead(last)) + (segment.size - last * BLOCK_LIMIT)
        assert segment.block_offset(last) + tail + len(segment.closing()) == segment.end


@given(SIZES.filter(bool), st.integers(1, 5))
def test_no_lead_looks_like_a_hole(size: int, blocks: int) -> None:
    with frames_of(blocks):
        for _, lead, _ in StoredSegment(SHORT, size, 0).leads(0):
            assert any(lead)
