"""zstd frames as the bundle uses them: stored ones, and the headers of any (RFC 8878)."""

from __future__ import annotations

from dataclasses import dataclass

from airgap_shared.errors import BundleCorrupt, LimitExceeded, NotABundle, WindowTooLarge

MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK_LIMIT = 128 * 1024
#: The seekable format's reference reader takes no frame with more content.
FRAME_LIMIT = 1 << 30
#: The seek table tells the length of a frame in four bytes.
FRAME_LENGTH_LIMIT = (1 << 32) - 1
WINDOW_LIMIT = 1 << 27
#: The seek table is not signed, and is kept in memory.
FRAME_COUNT_LIMIT = 1 << 20
#: Blocks of a segment, whatever it holds, and bytes of content for each block beyond them.
BLOCK_COUNT_LIMIT = 1024
CONTENT_PER_BLOCK = 256
HEADER_START = 5
BLOCK_HEADER = 3
CHECKSUM = 4

#: 8-byte content size, not single-segment, no checksum, no dictionary; window 128 KiB. Single
#: segment would make the window as large as the content, which ``zstd -d`` refuses over 128 MiB.
_STORED_DESCRIPTOR = b"\xc0\x38"


@dataclass(frozen=True, slots=True)
class Frame:
    """The length of a frame in the file and of its content."""

    compressed: int
    content: int


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a frame says of itself; ``content`` is None when it does not say.

    ``stored`` marks the header of a stored member's frame, which holds raw blocks only
    (bundle-spec.md, 2.4).
    """

    size: int
    window: int
    content: int | None
    checksum: bool
    stored: bool


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """Whether a block is raw, the last of its frame, and how many bytes of it follow."""

    raw: bool
    last: bool
    size: int


def compose_stored_header(content: int) -> bytes:
    """The 14 bytes that begin a frame of raw blocks."""
    return MAGIC + _STORED_DESCRIPTOR + content.to_bytes(8, "little")


def compose_block_header(size: int, last: bool) -> bytes:
    """The 3 bytes before a raw block of ``size`` bytes."""
    return (size << 3 | last).to_bytes(BLOCK_HEADER, "little")


def compose_stored_frame(content: bytes) -> bytes:
    """A whole frame that stores up to 128 KiB as they are."""
    return compose_stored_header(len(content)) + compose_block_header(len(content), True) + content


def frame_header_rest(start: bytes) -> int:
    """How many bytes of a frame header follow its first 5 (RFC 8878, 3.1.1.1).

    Raises:
        NotABundle: no zstd frame begins here.
        BundleCorrupt: reserved bits or a dictionary.

    """
    if len(start) != HEADER_START or start[:4] != MAGIC:
        raise NotABundle("no zstd frame where one must begin")
    descriptor = start[4]
    if descriptor & 0x0B:
        raise BundleCorrupt("a zstd frame with a dictionary or reserved bits")
    single = bool(descriptor & 0x20)
    return (0 if single else 1) + _content_width(descriptor)


def parse_frame_header(data: bytes) -> FrameHeader:
    """Read a whole frame header: 5 bytes and as many as :func:`frame_header_rest` says.

    Raises:
        WindowTooLarge: reading the frame would need more than 128 MiB.
        LimitExceeded: it claims more than 1 GiB of content.

    """
    descriptor = data[4]
    width = _content_width(descriptor)
    content = int.from_bytes(data[-width:], "little") if width else None
    if content is not None and width == 2:
        content += 256
    check_frame_content(content or 0)
    if descriptor & 0x20:
        window = content or 0
    else:
        exponent, mantissa = data[5] >> 3, data[5] & 7
        window = (1 << (10 + exponent)) // 8 * (8 + mantissa)
    if window > WINDOW_LIMIT:
        raise WindowTooLarge(f"a zstd frame needs a window of {window} bytes, over {WINDOW_LIMIT}")
    stored = data[4:6] == _STORED_DESCRIPTOR
    return FrameHeader(len(data), window, content, bool(descriptor & 0x04), stored)


def _content_width(descriptor: int) -> int:
    single = bool(descriptor & 0x20)
    return (int(single), 2, 4, 8)[descriptor >> 6]


def parse_block_header(data: bytes) -> BlockHeader:
    """Read a block header (RFC 8878, 3.1.1.2).

    Raises:
        BundleCorrupt: the reserved kind, or more than 128 KiB.

    """
    value = int.from_bytes(data, "little")
    kind, size = value >> 1 & 3, value >> 3
    if kind == 3 or size > BLOCK_LIMIT:
        raise BundleCorrupt("a zstd block that no encoder writes")
    return BlockHeader(kind == 0, bool(value & 1), 1 if kind == 1 else size)


def check_frame_count(count: int) -> None:
    """Raise :class:`LimitExceeded` for more frames than a reader keeps in mind."""
    if count > FRAME_COUNT_LIMIT:
        raise LimitExceeded(f"over {FRAME_COUNT_LIMIT} zstd frames")


def check_block_count(count: int, content: int) -> None:
    """Raise :class:`LimitExceeded` for so many blocks that most hold next to nothing."""
    if count > BLOCK_COUNT_LIMIT + content // CONTENT_PER_BLOCK:
        raise LimitExceeded(f"{count} zstd blocks for {content} bytes of content")


def check_frame_length(size: int) -> None:
    """Raise :class:`LimitExceeded` for a frame that is too long for the seek table."""
    if size > FRAME_LENGTH_LIMIT:
        raise LimitExceeded(f"a zstd frame of {size} bytes in the file, over {FRAME_LENGTH_LIMIT}")


def check_frame_content(size: int) -> None:
    """Raise :class:`LimitExceeded` for a frame with more content than a frame may have."""
    if size > FRAME_LIMIT:
        raise LimitExceeded(f"a zstd frame of {size} bytes or more, over {FRAME_LIMIT}")
