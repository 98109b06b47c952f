from __future__ import annotations

import struct
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle.frames import FRAME_COUNT_LIMIT, Frame
from airgap_shared.bundle.seektable import FOOTER_SIZE, SeekTable, seek_table_size
from airgap_shared.errors import BundleCorrupt, LimitExceeded

U32 = st.integers(0, 2**32 - 1)
FRAMES = st.lists(st.builds(Frame, U32, U32), max_size=20)


@given(FRAMES)
def test_a_seek_table_is_written_and_read(listed: list[Frame]) -> None:
    raw = SeekTable(listed).to_bytes()
    assert seek_table_size(raw[-FOOTER_SIZE:]) == len(raw)
    table = SeekTable.parse(raw)
    assert list(table) == listed
    assert len(table) == len(listed)
    assert table.length == sum(frame.compressed for frame in listed)
    assert table.to_bytes() == raw
    content = zstandard.compress(b"content")
    assert zstandard.ZstdDecompressor().decompress(content + raw) == b"content"


def test_the_seek_table_by_its_specification() -> None:
    raw = SeekTable([Frame(0x11223344, 0x55667788)]).to_bytes()
    assert raw.hex() == "5e2a4d181100000044332211887766550100000000b1ea928f"


@given(FRAMES, st.data())
def test_a_damaged_seek_table_is_refused_or_another_list(
    listed: list[Frame], data: st.DataObject
) -> None:
    raw = bytearray(SeekTable(listed).to_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    entries = range(8, len(raw) - FOOTER_SIZE)
    if position in entries:
        assert list(SeekTable.parse(bytes(raw))) != listed
    else:
        with pytest.raises(BundleCorrupt):
            SeekTable.parse(bytes(raw))


@given(FRAMES, st.data())
def test_a_seek_table_of_another_length_is_refused(
    listed: list[Frame], data: st.DataObject
) -> None:
    raw = SeekTable(listed).to_bytes()
    cut = data.draw(st.integers(0, len(raw) - 1))
    for found in (raw[:cut], raw[cut + 1 :], raw + b"\0", b"\0" + raw):
        with pytest.raises(BundleCorrupt):
            SeekTable.parse(found)


@pytest.mark.parametrize(
    "footer",
    [
        b"",
        bytes(8),
        bytes(9),
        struct.pack("<IBI", 1, 0x80, 0x8F92EAB1),
        struct.pack("<IBI", 1, 1, 0x8F92EAB1),
        struct.pack("<IBI", 1, 0, 0x8F92EAB0),
    ],
)
def test_a_file_without_a_seek_table(footer: bytes) -> None:
    with pytest.raises(BundleCorrupt):
        seek_table_size(footer)


def test_a_seek_table_cannot_claim_memory() -> None:
    limit = FRAME_COUNT_LIMIT
    assert seek_table_size(struct.pack("<IBI", limit, 0, 0x8F92EAB1)) == 17 + 8 * limit
    for count in (limit + 1, 2**32 - 1):
        with pytest.raises(LimitExceeded):
            seek_table_size(struct.pack("<IBI", count, 0, 0x8F92EAB1))


@given(FRAMES, FRAMES)
def test_the_beginning_of_a_seek_table(first: list[Frame], other: list[Frame]) -> None:
    whole = SeekTable([*first, *other])
    assert whole.begins_with(SeekTable(first))
    assert whole.begins_with(SeekTable(other)) is ([*first, *other][: len(other)] == other)
    assert not SeekTable(first).begins_with(SeekTable([*first, Frame(1, 1)]))


def test_a_seek_table_of_the_largest_size_is_kept_as_small_as_it_is() -> None:
    raw = SeekTable([Frame(0, 0xFFFFFFF0)]).to_bytes()
    entry = raw[8:16]
    raw = (
        struct.pack("<II", 0x184D2A5E, len(entry) * FRAME_COUNT_LIMIT + FOOTER_SIZE)
        + entry * FRAME_COUNT_LIMIT
        + struct.pack("<IBI", FRAME_COUNT_LIMIT, 0, 0x8F92EAB1)
    )
    tracemalloc.start()
    try:
        table = SeekTable.parse(raw)
        assert sum(frame.content for frame in table) == 0xFFFFFFF0 * FRAME_COUNT_LIMIT
        assert tracemalloc.get_traced_memory()[1] < 5 * len(raw)
    finally:
        tracemalloc.stop()
