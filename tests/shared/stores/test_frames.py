from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Iterator
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.bundle import frames
from airgap_shared.bundle.frames import BLOCK_LIMIT, MAGIC, Frame, compose_stored_frame
from airgap_shared.bundle.seektable import SeekTable
from airgap_shared.errors import (
    AirgapError,
    BundleCorrupt,
    BundleTruncated,
    LimitExceeded,
    NotABundle,
    WindowTooLarge,
)
from airgap_shared.stores.frames import FrameReader

MIB = 1 << 20
RANDOM = Random(7).randbytes(3 * MIB)  # noqa: S311 - repeatable on purpose
TEXT = b"some text that repeats itself, some text that does. " * 40_000


def reader_of(raw: bytes) -> FrameReader:
    return FrameReader(io.BytesIO(raw))


def read(raw: bytes, size: int) -> bytes:
    """The content of one frame, and proof that it ends there."""
    reader = reader_of(raw)
    content = reader.exactly(size)
    reader.end_frame()
    assert sum(frame.compressed for frame in reader.frames) == len(raw)
    assert sum(frame.content for frame in reader.frames) == size
    return content


@pytest.mark.parametrize("content", [b"x", TEXT, RANDOM, bytes(2 * MIB), RANDOM[:BLOCK_LIMIT]])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("level", [-5, 1, 19])
def test_frames_of_the_library_are_read(
    content: bytes, checksum: bool, told: bool, level: int
) -> None:
    compressor = zstandard.ZstdCompressor(level, write_checksum=checksum, write_content_size=told)
    assert read(compressor.compress(content), len(content)) == content


@given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_frames_of_every_kind_follow_each_other(contents: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(contents)
    raw = b""
    for content in contents:
        if data.draw(st.booleans()):
            raw += compose_stored_frame(content)
        else:
            raw += zstandard.ZstdCompressor(write_checksum=True).compress(content)
    reader = reader_of(raw)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [
        b"".join(reader.chunks(b - a)) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)
    ]
    assert b"".join(pieces) == whole
    reader.end_frame()
    assert [frame.content for frame in reader.frames] == list(map(len, contents))


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not here")
@pytest.mark.parametrize(
    "options", [["-1"], ["-19", "--no-check"], ["--long=27"], ["--no-content-size"]]
)
def test_frames_of_the_zstd_program_are_read(options: list[str]) -> None:
    done = subprocess.run(["zstd", "-cq", *options], input=TEXT, capture_output=True, check=True)
    assert read(done.stdout, len(TEXT)) == TEXT


def test_a_streamed_frame_that_was_flushed_often_is_read() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    raw = b""
    for _ in range(100):
        raw += compressor.compress(b"abc") + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    raw += compressor.flush()
    assert read(raw, 300) == b"abc" * 100


def test_the_border_of_a_frame_is_proven() -> None:
    raw = zstandard.compress(b"abcdef")
    reader = reader_of(raw)
    assert reader.exactly(3) == b"abc"
    with pytest.raises(BundleCorrupt, match="does not end where a member ends"):
        reader.end_frame()
    stored = reader_of(compose_stored_frame(b"abcdef"))
    stored.exactly(5)
    with pytest.raises(BundleCorrupt):
        stored.end_frame()
    with pytest.raises(BundleTruncated):
        reader_of(raw).exactly(7)


def block(kind: int, size: int, last: bool, body: bytes) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + body


def frame(*blocks: bytes, window: int = 7 << 3) -> bytes:
    """A frame that tells no content size; the window is 128 KiB."""
    return MAGIC + bytes([0, window]) + b"".join(blocks)


def bomb(size: int) -> bytes:
    """Zeros in blocks of four bytes each."""
    count = size // BLOCK_LIMIT
    return frame(*(block(1, BLOCK_LIMIT, number == count - 1, b"\0") for number in range(count)))


def test_a_bomb_is_read_in_small_pieces() -> None:
    raw = bomb(1 << 30)
    assert len(raw) < 40_000
    seen = 0
    for piece in reader_of(raw).chunks(1 << 30):
        assert len(piece) <= MIB
        assert not piece.strip(b"\0")
        seen += len(piece)
        if seen >= 64 * MIB:
            break
    assert seen >= 64 * MIB


def test_a_frame_of_any_making_gives_no_larger_pieces() -> None:
    for raw, size in (
        (zstandard.compress(bytes(20 * MIB), 19), 20 * MIB),
        (bomb(20 * MIB), 20 * MIB),
    ):
        pieces = list(reader_of(raw).chunks(size))
        assert max(map(len, pieces)) <= MIB
        assert sum(map(len, pieces)) == size


def dictionary_frame() -> bytes:
    dictionary = zstandard.train_dictionary(
        2000, [f"some text {n} that repeats itself {n * 7}".encode() for n in range(2000)]
    )
    return zstandard.ZstdCompressor(dict_data=dictionary).compress(b"some text 1 that repeats")


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (dictionary_frame(), BundleCorrupt),
        (frame(block(0, 4, True, b"four"), window=(28 - 10) << 3), WindowTooLarge),
        (frame(block(0, 4, True, b"four"), window=0xFF), WindowTooLarge),
        (zstandard.compress(b""), BundleCorrupt),
        (frame(block(0, 0, True, b"")), BundleCorrupt),
        (frame(block(3, 1, True, b"x")), BundleCorrupt),
        (frame(block(0, BLOCK_LIMIT + 1, True, bytes(BLOCK_LIMIT + 1))), BundleCorrupt),
        (frame(block(1, BLOCK_LIMIT + 1, True, b"x")), BundleCorrupt),
        (frame(block(2, 5, True, b"hello")), BundleCorrupt),
        (frame(block(0, 2048, True, bytes(2048)), window=0), BundleCorrupt),
        (MAGIC + b"\x20\x05" + block(0, 4, True, b"four"), BundleCorrupt),
        (MAGIC + b"\x20\x03" + block(0, 4, True, b"four"), BundleCorrupt),
        (MAGIC + b"\x24\x04" + block(0, 4, True, b"four") + bytes(4), BundleCorrupt),
        (MAGIC + b"\xe0" + struct.pack("<Q", 1 << 28), WindowTooLarge),
        (MAGIC + b"\xc0\x00" + struct.pack("<Q", (1 << 30) + 1), LimitExceeded),
        (frames.compose_stored_header(5) + block(0, 4, True, b"four"), BundleCorrupt),
        (frames.compose_stored_header(3) + block(0, 4, True, b"four"), BundleCorrupt),
        (frames.compose_stored_header(4) + block(1, 4, True, b"4"), BundleCorrupt),
        (
            frames.compose_stored_header(4) + block(0, 0, False, b"") + block(0, 4, True, b"four"),
            BundleCorrupt,
        ),
        (
            frames.compose_stored_header(4) + block(0, 4, False, b"four") + block(0, 0, True, b""),
            BundleCorrupt,
        ),
        (b"PK\x03\x04 a zip file", NotABundle),
        (SeekTable().to_bytes(), NotABundle),
        (b"BZh", NotABundle),
        (b"", BundleTruncated),
        (MAGIC[:3], BundleTruncated),
    ],
)
def test_what_is_no_frame_of_this_format_is_refused(raw: bytes, error: type[AirgapError]) -> None:
    reader = reader_of(raw)
    with pytest.raises(error) as caught:
        reader.exactly(4)
        reader.end_frame()
    assert type(caught.value) is error


def test_after_a_frame_rubbish_is_damage() -> None:
    reader = reader_of(compose_stored_frame(b"abcd") + b"rubbish")
    reader.exactly(4)
    with pytest.raises(BundleCorrupt):
        reader.exactly(1)


@pytest.mark.parametrize(
    "raw",
    [
        compose_stored_frame(b"content"),
        zstandard.ZstdCompressor(write_checksum=True).compress(TEXT[:600]),
        frame(block(1, 9, False, b"x"), block(0, 2, True, b"yz")),
    ],
)
def test_a_cut_anywhere_is_told(raw: bytes) -> None:
    size = len(zstandard.ZstdDecompressor().decompressobj().decompress(raw))
    assert len(read(raw, size)) == size
    for cut in range(len(raw)):
        reader = reader_of(raw[:cut])
        with pytest.raises(BundleTruncated):
            reader.exactly(size)
            reader.end_frame()


@given(st.booleans(), st.data())
@settings(deadline=None)
def test_damage_is_told_or_left_to_the_digest(stored: bool, data: st.DataObject) -> None:
    content = TEXT[:2000]
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    raw = bytearray(compose_stored_frame(content) if stored else compressor.compress(content))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reader = reader_of(bytes(raw))
    try:
        found = reader.exactly(len(content))
        reader.end_frame()
    except (BundleCorrupt, BundleTruncated, NotABundle, LimitExceeded, WindowTooLarge):
        return
    assert len(found) == len(content)
    assert stored or found == content


class Tiny:
    """A source of one stored frame, over and over."""

    def __init__(self, raw: bytes) -> None:
        self._pieces = self._endless(raw)
        self._held = b""

    def read(self, size: int, /) -> bytes:
        while len(self._held) < size:
            self._held += next(self._pieces)
        data, self._held = self._held[:size], self._held[size:]
        return data

    def _endless(self, raw: bytes) -> Iterator[bytes]:
        while True:
            yield raw


def test_the_number_of_frames_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FRAME_COUNT_LIMIT", 50)
    reader = FrameReader(Tiny(compose_stored_frame(b"x")))
    assert reader.exactly(50) == b"x" * 50
    with pytest.raises(LimitExceeded):
        reader.exactly(1)


def test_frames_are_recorded() -> None:
    reader = reader_of(compose_stored_frame(b"abc") + zstandard.compress(b"defg"))
    reader.exactly(7)
    reader.end_frame()
    assert list(reader.frames) == [
        Frame(len(compose_stored_frame(b"abc")), 3),
        Frame(len(zstandard.compress(b"defg")), 4),
    ]


def test_no_memory_for_a_good_frame_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        def decompress(self, data: bytes) -> bytes:
            raise zstandard.ZstdError("Allocation error : not enough memory")

    class Decompressor:  # of its own: a subclass of theirs frees memory that is not its own
        def __init__(self, **_: object) -> None:
            pass

        def decompressobj(self, **_: object) -> Exhausted:
            return Exhausted()

    monkeypatch.setattr(zstandard, "ZstdDecompressor", Decompressor)
    with pytest.raises(MemoryError):
        read(zstandard.ZstdCompressor().compress(TEXT), len(TEXT))
