"""Writing a bundle: metadata first, then the blobs in parallel, each straight into its place.

The file being written is its own journal: every stored block is preceded by a header that no hole
in the file can show, so a later run sees how far each blob came (stores.storedblob).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from airgap_shared.bundle import frames, names, tarheader
from airgap_shared.bundle.frames import Frame
from airgap_shared.bundle.parts import PartIndex, part_name
from airgap_shared.bundle.placement import StoredSegment
from airgap_shared.bundle.plan import BundlePlan
from airgap_shared.bundle.seektable import SeekTable
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import DiskFull
from airgap_shared.oci.digest import Digest, verified_chunks
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.fingerprints import index_parts
from airgap_shared.stores.joinedfile import OpenFile
from airgap_shared.stores.medium import FileMedium
from airgap_shared.stores.outputfaults import output_faults
from airgap_shared.stores.partialfiles import PartFiles, WholeFile, locked, partial_files
from airgap_shared.stores.progress import NoProgress, Progress, counted
from airgap_shared.stores.slicedfile import SlicedFile
from airgap_shared.stores.storedblob import Fetch, StoredBlob
from airgap_shared.trust.envelope import parse_envelope

_QUIET = NoProgress()
_METADATA_LEVEL = 12
_STREAM_LEVEL = 6
_STREAM_FRAME = frames.FRAME_LIMIT // 2
_STREAM_PIECE = 1 << 20


class PartialBundle:
    """A bundle while it is being written, whole or in parts; locked against a second run."""

    def __init__(self, output: Path, part_size: int | None = None) -> None:
        self.output = output
        self._partial = output.with_name(output.name + ".partial")
        self._files: WholeFile | PartFiles = (
            WholeFile(output) if part_size is None else PartFiles(output, part_size)
        )
        self._lock: OpenFile
        self._file: SlicedFile
        self._began = False

    @property
    def path(self) -> Path:
        """The file that holds the beginning."""
        return self._files.first

    @property
    def size(self) -> int:
        """How large it is now, in bytes."""
        return self._file.size

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the files open and locked.

        Raises:
            Locked: another run writes it.
            OutputNotWritable: the folder or a file cannot be written, or is no regular file.

        """
        with locked(self._partial) as self._lock, self._files.opened(self._lock) as self._file:
            yield

    def write(self, plan: BundlePlan, fetch: Fetch, jobs: int, progress: Progress) -> None:
        """Write everything, or what an earlier run did not; then comes :meth:`sync`.

        ``fetch`` is called from up to ``jobs`` threads.

        Raises:
            DiskFull: there is not enough room; what was written is removed unless an earlier run
                began it.
            OutputNotWritable: a file cannot be written.
            DigestMismatch, SizeMismatch: a source gave other bytes than promised.
            UsageError: there would be too many parts.

        """
        head, written = compose_head(plan)
        segments = _place(plan.stored, len(head))
        progress.begin("bundle", sum(m.size for m in (*plan.stored, *plan.streamed)), "bytes")
        try:
            with self._giving_up():
                self._prepare(head, segments)
                self._write_stored(plan.stored, segments, fetch, jobs, progress)
                self._write_rest(plan, segments, fetch, written, progress)
        finally:
            progress.end()

    def sync(self) -> None:
        """Have all that was written on the disk; it is on its way there since it was written.

        Raises:
            DiskFull, OutputNotWritable: as :meth:`write`.

        """
        with self._giving_up():
            self._file.sync()

    def copy(self, source: FileMedium, progress: Progress) -> None:
        """Write a bundle that is finished; a copy that stops is not gone on with, but removed."""
        progress.begin("copy", source.size, "bytes")
        try:
            with output_faults(self.path):
                self._make_room(source.size)
                self._file.truncate(0)
                with self._file.appender(_STREAM_PIECE) as file:
                    for chunk in counted(source.raw_chunks(), progress):
                        file.write(chunk)
                self._file.sync()
        except BaseException:
            self._files.discard()
            raise
        finally:
            progress.end()

    def medium(self) -> FileMedium:
        """What is there now, for reading: the files held open, whatever has their names."""
        return FileMedium(self.path, self._file.joined())

    def publish(self, jobs: int = 1, progress: Progress = _QUIET) -> tuple[Path, ...]:
        """Give what is finished its name, in place of an earlier bundle; gives all its files."""
        with output_faults(self.output):
            if isinstance(self._files, WholeFile):
                return self._files.publish()
            return self._files.publish(self._index(jobs, progress))

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """What cannot be written is told; what was begun on a full disk is not kept."""
        try:
            with output_faults(self.path):
                yield
        except DiskFull as problem:
            if self._began:
                self._files.discard()
                problem.explain(changed="no bundle was written, and nothing of it is kept")
            elif self._file.size:
                problem.explain(changed=f"what an earlier run fetched is kept in {self.path}")
            else:
                problem.explain(changed="nothing was written")
            raise

    def _index(self, jobs: int, progress: Progress) -> PartIndex:
        with self.medium() as medium:
            statement = Digest.of(parse_envelope(medium.read_envelope()).payload)
        files = self._file.slices
        names = [part_name(self.output.name, number) for number in range(1, len(files) + 1)]
        return index_parts(files, names, statement, jobs, progress)

    def _prepare(self, head: bytes, segments: list[StoredSegment]) -> None:
        end = segments[-1].end if segments else len(head)
        self._make_room(end)
        if self._file.read_at(0, len(head)) != head:
            self._began = True
            self._file.truncate(0)
        self._file.truncate(end)
        self._file.write_at(0, [head])

    def _make_room(self, end: int) -> None:
        room = os.fstatvfs(self._lock.descriptor)
        present = sum(path.stat().st_blocks * 512 for path in partial_files(self.output))
        free = room.f_bavail * room.f_frsize + present
        if free < end:
            raise DiskFull(
                f"the bundle needs {end} bytes, {free} are free",
                where=str(self.output.parent),
                next_step="choose another --output, or make room",
            )
        self._files.remove_others()

    def _write_stored(
        self,
        members: tuple[Member, ...],
        segments: list[StoredSegment],
        fetch: Fetch,
        jobs: int,
        progress: Progress,
    ) -> None:
        blobs = sorted(zip(members, segments, strict=True), key=lambda pair: -pair[0].size)

        def write(blob: tuple[Member, StoredSegment], stop: Stop) -> None:
            member, segment = blob
            stored = StoredBlob(self._file, member, segment)
            stored.write(lambda wanted, start: stop.guard(fetch(wanted, start)), progress)

        for_each(blobs, write, jobs)

    def _write_rest(
        self,
        plan: BundlePlan,
        segments: list[StoredSegment],
        fetch: Fetch,
        written: list[Frame],
        progress: Progress,
    ) -> None:
        written += [frame for segment in segments for frame in segment.frames]
        with self._file.appender(_STREAM_PIECE) as file:
            for member in plan.streamed:
                chunks = counted(fetch(member, 0), progress)
                for frame, data in _compressed_stream(member, chunks):
                    file.write(data)
                    if frame is not None:
                        written.append(frame)
            end = frames.compose_stored_frame(tarheader.END)
            written.append(Frame(len(end), len(tarheader.END)))
            file.write(end + SeekTable(written).to_bytes())


def compose_head(plan: BundlePlan) -> tuple[bytes, list[Frame]]:
    """Everything before the first stored blob, and its frames.

    The same for the same plan, so that a later run can tell whether a partial file is its own.
    """
    content = [(names.ENVELOPE, plan.envelope)]
    content += [(member.path, plan.content[member.path]) for member in plan.in_memory]
    head: list[bytes] = []
    written: list[Frame] = []
    for path, data in content:
        segment = tarheader.compose_header(path, len(data)) + data
        segment += bytes(tarheader.padding_of(len(data)))
        compressor = zstandard.ZstdCompressor(_METADATA_LEVEL, write_checksum=True)
        frame = compressor.compress(segment)
        head.append(frame)
        written.append(Frame(len(frame), len(segment)))
    return b"".join(head), written


def _place(members: tuple[Member, ...], offset: int) -> list[StoredSegment]:
    segments: list[StoredSegment] = []
    for member in members:
        segments.append(StoredSegment(member.path, member.size, offset))
        offset = segments[-1].end
    return segments


def _compressed_stream(
    member: Member, chunks: Iterator[bytes]
) -> Iterator[tuple[Frame | None, bytes]]:
    """Compress a member while it passes; a frame is given with the last of its bytes."""
    remaining = tarheader.segment_size(member.path, member.size)
    pieces = _pieces(member, chunks)
    while remaining:
        size = min(remaining, _STREAM_FRAME)
        compressor = zstandard.ZstdCompressor(_STREAM_LEVEL, write_checksum=True)
        frame = compressor.compressobj(size=size)
        done = length = 0
        while done < size:
            piece = next(pieces)
            done += len(piece)
            data = frame.compress(piece)
            length += len(data)
            yield None, data
        data = frame.flush()
        yield Frame(length + len(data), size), data
        remaining -= size


def _pieces(member: Member, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Header, content and padding cut at multiples of 1 MiB, so that frames can end there.

    The cuts do not depend on how the content arrives, and so neither do the compressed bytes.
    """
    held = bytearray(tarheader.compose_header(member.path, member.size))
    for chunk in verified_chunks(chunks, member.digest, member.size, member.path):
        held += chunk
        while len(held) >= _STREAM_PIECE:
            yield bytes(held[:_STREAM_PIECE])
            del held[:_STREAM_PIECE]
    held += bytes(tarheader.padding_of(member.size))
    for start in range(0, len(held), _STREAM_PIECE):
        yield bytes(held[start : start + _STREAM_PIECE])
