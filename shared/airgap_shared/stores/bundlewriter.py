"""Writing a bundle: metadata first, then the blobs in parallel, each straight into its place.

The file being written is its own journal: every stored block is preceded by a header that no hole
in the file can show, so a later run sees how far each blob came (stores.storedblob).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from airgap_shared.bundle import frames, names, tarheader
from airgap_shared.bundle.frames import Frame
from airgap_shared.bundle.placement import StoredSegment
from airgap_shared.bundle.plan import BundlePlan
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import AirgapError, DiskFull, Locked, OutputNotWritable
from airgap_shared.oci.digest import verified_chunks
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.medium import FileMedium
from airgap_shared.stores.progress import Progress, counted
from airgap_shared.stores.storedblob import Fetch, StoredBlob

#: What has the name of the partial file is written to: it must be that file, and no link.
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_METADATA_LEVEL = 12
_STREAM_LEVEL = 6
_STREAM_FRAME = frames.FRAME_LIMIT // 2
_STREAM_PIECE = 1 << 20


class PartialBundle:
    """The file ``PATH.partial`` while a bundle is being written; locked against a second run."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".partial")
        self._descriptor = -1
        self._began = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the file open and locked.

        Raises:
            Locked: another run writes it.
            OutputNotWritable: the folder or file cannot be written, or is no regular file.

        """
        with _translated(self.path):
            self._descriptor = os.open(self.path, _OPEN_FLAGS, 0o644)
        try:
            self._check_regular()
            self._lock()
            try:
                yield
            finally:
                if os.fstat(self._descriptor).st_size == 0:
                    self.path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)

    def write(self, plan: BundlePlan, fetch: Fetch, jobs: int, progress: Progress) -> None:
        """Write everything, or what an earlier run did not; :meth:`publish` is the last step.

        ``fetch`` is called from up to ``jobs`` threads.

        Raises:
            DiskFull: there is not enough room; the partial file is removed unless an earlier run
                began it.
            OutputNotWritable: the file cannot be written.
            DigestMismatch, SizeMismatch: a source gave other bytes than promised.

        """
        head, written = compose_head(plan)
        segments = _place(plan.stored, len(head))
        progress.begin("bundle", sum(m.size for m in (*plan.stored, *plan.streamed)), "bytes")
        try:
            with _translated(self.path):
                self._prepare(head, segments)
                self._write_stored(plan.stored, segments, fetch, jobs, progress)
                self._write_rest(plan, segments, fetch, written, progress)
                os.fsync(self._descriptor)
        except DiskFull as problem:
            if self._began:
                self.path.unlink(missing_ok=True)
                problem.explain(changed="no bundle was written, and nothing of it is kept")
            elif os.fstat(self._descriptor).st_size:
                problem.explain(changed=f"what an earlier run fetched is kept in {self.path}")
            else:
                problem.explain(changed="nothing was written")
            raise
        finally:
            progress.end()

    def medium(self) -> FileMedium:
        """The file as it is now, for reading: the one held open, whatever has its name."""
        return FileMedium(self.path, self._descriptor)

    def publish(self) -> None:
        """Give the finished file its name."""
        with _translated(self.output):
            self.path.replace(self.output)
            _sync_folder(self.output.parent)

    def _check_regular(self) -> None:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise OutputNotWritable("not a regular file", where=str(self.path))

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The run that held the lock may have given the file its final name meanwhile.
            held, named = os.fstat(self._descriptor), self.path.stat()
            if not os.path.samestat(held, named):
                raise FileNotFoundError
        except OSError as problem:
            raise Locked(
                "another run is writing this bundle",
                where=str(self.path),
                next_step="wait for it, or choose another --output",
            ) from problem

    def _prepare(self, head: bytes, segments: list[StoredSegment]) -> None:
        end = segments[-1].end if segments else len(head)
        self._check_room(end)
        if os.pread(self._descriptor, len(head), 0) != head:
            self._began = True
            os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, end)
        os.pwrite(self._descriptor, head, 0)

    def _check_room(self, end: int) -> None:
        room = os.fstatvfs(self._descriptor)
        present = os.fstat(self._descriptor).st_blocks * 512
        free = room.f_bavail * room.f_frsize + present
        if free < end:
            raise DiskFull(
                f"the bundle needs {end} bytes, {free} are free",
                where=str(self.output.parent),
                next_step="choose another --output, or make room",
            )

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
            stored = StoredBlob(self._descriptor, member, segment)
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
        os.lseek(self._descriptor, 0, os.SEEK_END)
        written += [frame for segment in segments for frame in segment.frames]
        with os.fdopen(os.dup(self._descriptor), "wb", _STREAM_PIECE) as file:
            for member in plan.streamed:
                chunks = counted(fetch(member, 0), progress)
                for frame, data in _compressed_stream(member, chunks):
                    file.write(data)
                    if frame is not None:
                        written.append(frame)
            end = frames.compose_stored_frame(tarheader.END)
            written.append(Frame(len(end), len(tarheader.END)))
            file.write(end + frames.compose_seek_table(written))


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


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except AirgapError:
        raise
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if problem.errno == errno.EFBIG:
                raise DiskFull(
                    "the file system takes no file this large",
                    where=str(path.parent),
                    next_step="write it in parts with --split SIZE, or choose another --output",
                ) from problem
            raise DiskFull(
                "no space left",
                where=str(path.parent),
                next_step="choose another --output, or make room and run again",
            ) from problem
        what = "it is a link" if problem.errno == errno.ELOOP else problem.strerror or problem
        raise OutputNotWritable(f"cannot write the bundle: {what}", where=str(path)) from problem


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
