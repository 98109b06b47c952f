"""The two ways to get at a bundle's members: any order from a file, one pass from a pipe.

Both hand out a member only after its header was compared with the one the statement implies, and
its last bytes only after its digest was found right.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from airgap_shared.bundle import names, tarheader
from airgap_shared.bundle.seektable import FOOTER_SIZE, SeekTable, seek_table_size
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import (
    BadPadding,
    BundleCorrupt,
    BundleFormatError,
    BundleTruncated,
    ContentRefused,
    IntegrityError,
    MediaReadError,
    NotABundle,
    PolicyError,
    SignatureError,
    TrailingData,
    UsageError,
)
from airgap_shared.oci.digest import verified_chunks
from airgap_shared.stores.endings import explain_ending
from airgap_shared.stores.frames import FrameReader
from airgap_shared.stores.joinedfile import JoinedFile, OpenFile
from airgap_shared.trust.envelope import ENVELOPE_LIMIT

_READ_SIZE = 1 << 19
_OF_A_BUNDLE = (BundleFormatError, SignatureError, PolicyError, IntegrityError, ContentRefused)


class Medium(Protocol):
    """Where a bundle is read from."""

    name: str
    random_access: bool

    def read_envelope(self) -> bytes:
        """The first member; called once, before anything else."""

    def expect(self, members: Sequence[Member]) -> None:
        """Take the signed list of members, and refuse a file that cannot hold just them."""

    def read(self, position: int) -> Iterator[bytes]:
        """The verified content of the member at ``position`` of the list, in pieces."""

    def finish(self) -> None:
        """Prove that nothing but the end of the archive follows the last member."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where a segment's frames stand in the file."""

    start: int
    end: int


def read_member(reader: FrameReader, member: Member) -> Iterator[bytes]:
    """One member from a reader that stands at its header (bundle-spec.md, Verification, 11).

    Raises:
        MemberMismatch, BadPadding, BundleCorrupt, BundleTruncated: the archive is not as signed.
        SizeMismatch, DigestMismatch: the content is not.

    """
    header = reader.exactly(tarheader.header_size(member.path))
    tarheader.check_header(header, member.path, member.size)
    yield from verified_chunks(
        reader.chunks(member.size), member.digest, member.size, where=member.path
    )
    if any(reader.exactly(tarheader.padding_of(member.size))):
        raise BadPadding("the padding is not zero", where=member.path)
    reader.end_frame()


def _read_envelope(reader: FrameReader) -> bytes:
    header = reader.exactly(tarheader.header_size(names.ENVELOPE))
    size = tarheader.claimed_size(header, names.ENVELOPE, ENVELOPE_LIMIT)
    content = reader.exactly(size)
    if any(reader.exactly(tarheader.padding_of(size))):
        raise BadPadding("the padding is not zero", where=names.ENVELOPE)
    reader.end_frame()
    return content


def _read_end(reader: FrameReader) -> None:
    if reader.exactly(len(tarheader.END)) != tarheader.END:
        raise BadPadding("the archive does not end with two zero blocks")
    reader.end_frame()


def _open_file(path: Path) -> JoinedFile:
    try:
        if path.is_dir():
            raise MediaReadError(
                "this is a folder, not a bundle", where=str(path), next_step="name the bundle file"
            )
        return JoinedFile([OpenFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))])
    except OSError as problem:
        raise MediaReadError(
            f"cannot open the bundle: {problem.strerror}", where=str(path)
        ) from problem


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say what bundle it is that an error is about which has no better place."""
    try:
        yield
    except _OF_A_BUNDLE as problem:
        problem.explain(where=name)
        raise


def _copy_again(parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return f"the damage is in {parts[0]}: copy it again"
    return (
        f"the damage is in {' or '.join(parts)}: compare their sha256sum with the index,"
        " and copy the one that differs again"
    )


class FileMedium:
    """A bundle in regular files: opened once, read by position, from several threads."""

    random_access = True

    def __init__(self, path: Path, opened: JoinedFile | None = None) -> None:
        """Open a file, or read what is ``opened`` already, which stays open."""
        self.name = str(path)
        self._file = _open_file(path) if opened is None else opened
        self._owned = opened is None
        self._size = self._file.size
        self._members: tuple[Member, ...] = ()
        self._extents: list[_Extent] = []
        self._envelope_frames = SeekTable()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned:
            self._file.close()

    def read_envelope(self) -> bytes:
        reader = FrameReader(_Extract(self, _Extent(0, self._size)))
        with naming(self.name):
            content = _read_envelope(reader)
        self._envelope_frames = reader.frames
        return content

    def expect(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        found = self._read_seek_table()
        if not found.begins_with(self._envelope_frames):
            raise BundleCorrupt("the seek table does not fit the file", where=self.name)
        envelope = sum(frame.content for frame in self._envelope_frames)
        sizes = [tarheader.segment_size(member.path, member.size) for member in members]
        _, *self._extents = _locate(found, [envelope, *sizes, len(tarheader.END)], self.name)

    def read(self, position: int) -> Iterator[bytes]:
        extent = self._extents[position]
        source = _Extract(self, extent)
        member = self._members[position]
        with self._blaming(extent):
            try:
                yield from read_member(FrameReader(source), member)
            except NotABundle as problem:
                raise BundleCorrupt(problem.what, where=member.path) from problem
            source.check_consumed()

    def finish(self) -> None:
        source = _Extract(self, self._extents[-1])
        with self._blaming(self._extents[-1]):
            _read_end(FrameReader(source))
            source.check_consumed()
        if changed := self._file.changed():
            raise BundleCorrupt("the file changed while it was read", where=str(changed))

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes of the file; fewer only at its end."""
        return self._file.read_at(offset, size)

    @property
    def size(self) -> int:
        """The size of the bundle in bytes."""
        return self._size

    def raw_chunks(self) -> Iterator[bytes]:
        """The bytes of the bundle as they are, not verified.

        Raises:
            BundleTruncated: a file has become shorter.

        """
        source = _Extract(self, _Extent(0, self._size))
        for offset in range(0, self._size, _READ_SIZE):
            wanted = min(_READ_SIZE, self._size - offset)
            chunk = source.read(wanted)
            if len(chunk) < wanted:
                raise BundleTruncated("the file changed while it was read", where=self.name)
            yield chunk

    @contextmanager
    def _blaming(self, extent: _Extent) -> Iterator[None]:
        """Name the file in which something is damaged, and the parts of a split bundle."""
        try:
            with naming(self.name):
                yield
        except (BundleFormatError, IntegrityError) as problem:
            if self._file.is_split():
                paths = self._file.paths_at(extent.start, extent.end)
                problem.explain(next_step=_copy_again([path.name for path in paths]))
            raise

    def _read_seek_table(self) -> SeekTable:
        footer = self.read_at(max(0, self._size - FOOTER_SIZE), FOOTER_SIZE)
        try:
            size = seek_table_size(footer)
            if size > self._size:
                raise BundleCorrupt("the seek table is larger than the file")
            table = SeekTable.parse(self._read_all(self._size - size, size))
        except BundleCorrupt as problem:
            raise explain_ending(self.read_at, self._size, self.name) from problem
        if table.length + size != self._size:
            raise explain_ending(self.read_at, self._size, self.name)
        return table

    def _read_all(self, offset: int, size: int) -> bytes:
        source = _Extract(self, _Extent(offset, offset + size))
        return source.read(size)


class _Extract:
    """A part of a file as a source; read ahead in pieces of 1 MiB."""

    def __init__(self, medium: FileMedium, extent: _Extent) -> None:
        self._medium = medium
        self._offset = extent.start
        self._end = extent.end
        self._buffer = b""
        self._position = 0

    def read(self, size: int, /) -> bytes:
        end = self._position + size
        if end <= len(self._buffer):
            data = self._buffer[self._position : end]
            self._position = end
            return data
        pieces = [memoryview(self._buffer)[self._position :]]
        missing = size - len(pieces[0])
        while missing:
            self._buffer = self._medium.read_at(
                self._offset, min(_READ_SIZE, self._end - self._offset)
            )
            self._offset += len(self._buffer)
            self._position = min(missing, len(self._buffer))
            pieces.append(memoryview(self._buffer)[: self._position])
            missing -= self._position
            if not self._buffer:
                break
        return b"".join(pieces)

    def check_consumed(self) -> None:
        """Raise unless everything of this part has been read."""
        if self._offset != self._end or self._position != len(self._buffer):
            raise BundleCorrupt(
                "a member does not fill the frames the seek table gives it", where=self._medium.name
            )


def _locate(found: SeekTable, sizes: Sequence[int], name: str) -> list[_Extent]:
    """Give each segment its frames; frames must begin and end where segments do."""
    extents: list[_Extent] = []
    listed = iter(found)
    start = 0
    for size in sizes:
        begin, missing = start, size
        while missing > 0 and (frame := next(listed, None)) is not None:
            missing -= frame.content
            start += frame.compressed
        if missing:
            raise BundleCorrupt("the seek table does not fit the signed statement", where=name)
        extents.append(_Extent(begin, start))
    if next(listed, None) is not None:
        raise TrailingData("the seek table lists frames after the last member", where=name)
    return extents


class _Piped:
    """A pipe or device as a source."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._offset = 0

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(size)
            self._offset += len(data)
            return data
        except OSError as problem:
            raise MediaReadError(
                f"cannot read the bundle at byte {self._offset}: {problem.strerror or problem}",
                where=self._name,
                next_step="copy the bundle again, to another disk if need be",
            ) from problem


class StreamMedium:
    """A bundle from a pipe: each member once, in order."""

    random_access = False

    def __init__(self, stream: BinaryIO, name: str = "standard input") -> None:
        self.name = name
        self._stream = _Piped(stream, name)
        self._reader = FrameReader(self._stream)
        self._members: tuple[Member, ...] = ()
        self._next = 0

    def read_envelope(self) -> bytes:
        with naming(self.name):
            return _read_envelope(self._reader)

    def expect(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def read(self, position: int) -> Iterator[bytes]:
        if position != self._next:
            raise UsageError(
                "a bundle from a pipe can be read only once, in order",
                next_step="give the bundle as a file",
            )
        # Before the first byte: a member that was begun cannot be begun again either.
        self._next += 1
        with naming(self.name):
            yield from read_member(self._reader, self._members[position])

    def finish(self) -> None:
        with naming(self.name):
            _read_end(self._reader)
        expected = self._reader.frames.to_bytes()
        found = self._stream.read(len(expected))
        if len(found) < len(expected):
            raise BundleTruncated("the file ends before its seek table does", where=self.name)
        if found != expected:
            raise BundleCorrupt("the seek table does not fit the frames before it", where=self.name)
        if self._stream.read(1):
            raise TrailingData("something follows the end of the bundle", where=self.name)
