from __future__ import annotations

import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle import frames
from airgap_shared.errors import (
    AirgapError,
    BundleCorrupt,
    LimitExceeded,
    NotABundle,
    WindowTooLarge,
)


def header_of(frame: bytes) -> frames.FrameHeader:
    rest = frames.frame_header_rest(frame[: frames.HEADER_START])
    return frames.parse_frame_header(frame[: frames.HEADER_START + rest])


@given(st.binary(max_size=frames.BLOCK_LIMIT).map(lambda data: data + b"."))
def test_a_stored_frame_is_a_zstd_frame(content: bytes) -> None:
    frame = frames.compose_stored_frame(content)
    assert zstandard.decompress(frame) == content
    header = header_of(frame)
    assert (header.size, header.content, header.checksum, header.stored) == (
        14,
        len(content),
        False,
        True,
    )
    assert header.window == frames.BLOCK_LIMIT


@given(
    st.integers(0, 70_000),
    st.sampled_from([1, 3, 19]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([10, 17, 22, 27]),
)
def test_headers_are_read_as_the_library_reads_them(
    size: int, level: int, checksum: bool, told: bool, window: int
) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=window, write_checksum=checksum, write_content_size=told
    )
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(bytes(size))
    found, known = header_of(frame), zstandard.get_frame_parameters(frame)
    unknown = zstandard.CONTENTSIZE_UNKNOWN
    assert found.window == known.window_size
    assert (unknown if found.content is None else found.content) == known.content_size
    assert found.checksum == known.has_checksum == checksum
    assert found.size == zstandard.frame_header_size(frame)
    assert not found.stored


@pytest.mark.parametrize(
    ("start", "error"),
    [
        (b"", NotABundle),
        (b"\x28\xb5\x2f\xfd", NotABundle),
        (b"\x1f\x8b\x08\x00\x00", NotABundle),
        (b"\x28\xb5\x2f\xfe\x00", NotABundle),
        (b"\x5e\x2a\x4d\x18\x00", NotABundle),
        (frames.MAGIC + b"\x01", BundleCorrupt),
        (frames.MAGIC + b"\x02", BundleCorrupt),
        (frames.MAGIC + b"\x03", BundleCorrupt),
        (frames.MAGIC + b"\x08", BundleCorrupt),
    ],
)
def test_what_begins_no_frame_of_a_bundle_is_refused(
    start: bytes, error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        frames.frame_header_rest(start)


def frame_header(descriptor: int, rest: bytes) -> frames.FrameHeader:
    start = frames.MAGIC + bytes([descriptor])
    assert frames.frame_header_rest(start) == len(rest)
    return frames.parse_frame_header(start + rest)


def test_windows_are_bounded() -> None:
    largest = (27 - 10) << 3
    assert frame_header(0x00, bytes([largest])).window == frames.WINDOW_LIMIT
    for window in (largest + 1, largest + 8, 0xFF):
        with pytest.raises(WindowTooLarge):
            frame_header(0x00, bytes([window]))
    assert frame_header(0xE0, struct.pack("<Q", 1 << 27)).window == 1 << 27
    with pytest.raises(WindowTooLarge):
        frame_header(0xE0, struct.pack("<Q", (1 << 27) + 1))


@pytest.mark.parametrize(
    ("descriptor", "window", "layout", "extra"),
    [
        (0x20, b"", "<B", 0),
        (0x40, b"\0", "<H", 256),
        (0x80, b"\0", "<I", 0),
        (0xC0, b"\0", "<Q", 0),
    ],
)
def test_content_sizes_of_every_width(
    descriptor: int, window: bytes, layout: str, extra: int
) -> None:
    header = frame_header(descriptor, window + struct.pack(layout, 200))
    assert header.content == 200 + extra


def test_content_is_bounded() -> None:
    assert frame_header(0xC0, b"\0" + struct.pack("<Q", 1 << 30)).content == 1 << 30
    for size in ((1 << 30) + 1, 2**64 - 1):
        with pytest.raises(LimitExceeded):
            frame_header(0xC0, b"\0" + struct.pack("<Q", size))


@given(st.integers(1, frames.BLOCK_LIMIT), st.booleans())
def test_raw_block_headers_are_written_and_read(size: int, last: bool) -> None:
    found = frames.parse_block_header(frames.compose_block_header(size, last))
    assert (found.raw, found.last, found.size) == (True, last, size)


@given(st.binary(min_size=3, max_size=3))
def test_any_three_bytes_are_a_bounded_block_or_refused(data: bytes) -> None:
    value = int.from_bytes(data, "little")
    kind, size = value >> 1 & 3, value >> 3
    if kind == 3 or size > frames.BLOCK_LIMIT:
        with pytest.raises(BundleCorrupt):
            frames.parse_block_header(data)
    else:
        found = frames.parse_block_header(data)
        assert found.size == (1 if kind == 1 else size)
        assert (found.raw, found.last) == (kind == 0, bool(value & 1))
