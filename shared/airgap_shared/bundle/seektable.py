"""The seek table: the lengths of all frames, which end the file (zstd seekable format 0.1.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Self

from airgap_shared.bundle.frames import Frame, check_frame_count
from airgap_shared.errors import BundleCorrupt

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_ENTRY = struct.Struct("<II")
_HEADER = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
FOOTER_SIZE = _FOOTER.size


class SeekTable:
    """Frames in order, in eight bytes each: a file may have a million of them, unsigned."""

    def __init__(self, frames: Iterable[Frame] = ()) -> None:
        self._entries = bytearray()
        for frame in frames:
            self.append(frame)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a whole seek table.

        Raises:
            BundleCorrupt: it is not byte for byte what a writer composes for its own entries.

        """
        body = raw[_HEADER.size : -_FOOTER.size]
        if len(raw) < _HEADER.size + _FOOTER.size or len(body) % _ENTRY.size:
            raise BundleCorrupt("the seek table is cut short")
        table = cls()
        table._entries += body
        if raw != table.to_bytes():
            raise BundleCorrupt("the seek table is damaged")
        return table

    def append(self, frame: Frame) -> None:
        """Add the frame that comes next in the file."""
        self._entries += _ENTRY.pack(frame.compressed, frame.content)

    @property
    def length(self) -> int:
        """How many bytes of the file all its frames take."""
        return sum(compressed for compressed, _ in _ENTRY.iter_unpack(self._entries))

    def to_bytes(self) -> bytes:
        """The skippable frame that ends the file."""
        header = _HEADER.pack(_SKIPPABLE, len(self._entries) + _FOOTER.size)
        return header + self._entries + _FOOTER.pack(len(self), 0, _SEEKABLE)

    def begins_with(self, other: SeekTable) -> bool:
        """Whether all frames of the other are the first ones of this."""
        return self._entries.startswith(other._entries)

    def __len__(self) -> int:
        return len(self._entries) // _ENTRY.size

    def __iter__(self) -> Iterator[Frame]:
        for compressed, content in _ENTRY.iter_unpack(self._entries):
            yield Frame(compressed, content)


def seek_table_size(footer: bytes) -> int:
    """The length of the whole seek table, from its last 9 bytes.

    Raises:
        BundleCorrupt: there is no seek table without checksums.
        LimitExceeded: it would list more than 2**20 frames.

    """
    count: int
    if len(footer) != FOOTER_SIZE:
        raise BundleCorrupt("the file is too short for a seek table")
    count, descriptor, magic = _FOOTER.unpack(footer)
    if magic != _SEEKABLE or descriptor != 0:
        raise BundleCorrupt("the file does not end with a seek table")
    check_frame_count(count)
    return _HEADER.size + count * _ENTRY.size + _FOOTER.size
