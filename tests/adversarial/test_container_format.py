"""Group B: files that are not, byte for byte, what was signed and packed."""

from __future__ import annotations

import io
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airgap_shared.bundle.admission import Gate
from airgap_shared.errors import AirgapError
from airgap_shared.stores.medium import FileMedium, StreamMedium
from airgap_shared.stores.opening import open_bundle
from airgap_shared.trust.keys import parse_public_key
from airgap_shared.trust.policy import TrustPolicy
from support.budget import FULL, budget
from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.figures import Figure
from support.hostile import (
    BLOCK,
    END,
    ENVELOPE,
    ZSTD_MAGIC,
    Draft,
    Key,
    assemble,
    blob_path,
    frame_of,
    header_of,
    pack,
    padded,
    seek_table,
    segment_of,
    stored_frame,
    with_checksum,
)
from support.images import digest_of, make_image, opaque_layer
from support.in_process import run_here, state_of
from support.journey import deployment, refused, succeeded
from support.judging import judge_cost, judge_failure, judge_success
from support.victim import Victim

_LAYER = bytes(range(256))
_FORMAT = 10
Segments = list[bytes]
Attack = Callable[[Segments], Segments]


@pytest.fixture(scope="module")
def draft() -> Draft:
    """A small honest bundle: one image, one file."""
    image = make_image([opaque_layer(_LAYER)])
    return Draft.of({"docker.io/team/app:1": image}, {"app.yaml": deployment("web", "team/app:1")})


@pytest.fixture(scope="module")
def segments(draft: Draft, key: Key) -> Segments:
    """What it is packed from: the envelope, the members, the end."""
    return draft.segments(key)


def _file_of(segments: Segments) -> bytes:
    """The file: metadata compressed, blobs stored, as our own writer does."""
    return assemble(
        [
            (stored_frame(s) if s.startswith(b"blobs/") else frame_of(s, 19), len(s))
            for s in segments
        ]
    )


@pytest.fixture(scope="module")
def honest(segments: Segments) -> bytes:
    """The small bundle as a file."""
    return _file_of(segments)


@pytest.fixture(scope="module")
def tiny_segments(key: Key) -> Segments:
    """A member of each kind, as small as can be: for what is done to every bit."""
    layer = opaque_layer(b"layer")
    draft = Draft.of({"docker.io/a/b:1": make_image([layer])}, {"a": "kind: List\n"})
    return draft.segments(key)


@pytest.fixture(scope="module")
def tiny(tiny_segments: Segments) -> bytes:
    """The smallest bundle as a file."""
    return _file_of(tiny_segments)


class Reader:
    """The verifier of every command, without the command around it."""

    def __init__(self, folder: Path, key: Key) -> None:
        self._file = folder / "candidate"
        policy = TrustPolicy.of_keys((parse_public_key(key.public_pem),))
        self._gate = Gate(policy, datetime(2026, 6, 1, tzinfo=UTC))

    def from_file(self, data: bytes) -> dict[str, bytes] | str:
        """Content by path if every byte is as signed; otherwise the name of the error."""
        self._file.write_bytes(data)
        with FileMedium(self._file) as medium:
            return self._outcome(medium)

    def from_pipe(self, data: bytes) -> dict[str, bytes] | str:
        """The same, read once in order."""
        return self._outcome(StreamMedium(io.BytesIO(data)))

    def _outcome(self, medium: FileMedium | StreamMedium) -> dict[str, bytes] | str:
        try:
            bundle = open_bundle(medium, self._gate)
            found = {file.path: file.content for file in bundle.files}
            found |= {str(d): manifest.raw for d, manifest in bundle.graph.manifests.items()}
            for position, member in bundle.blobs():
                found[str(member.digest)] = b"".join(bundle.blob_chunks(position))
            medium.finish()
        except AirgapError as problem:
            assert problem.exit_code in (10, 11, 13, 14), repr(problem)
            return problem.name
        return found


@pytest.fixture
def reader(tmp_path: Path, key: Key) -> Reader:
    return Reader(tmp_path, key)


class Importing:
    """Imports into one namespace of a registry of its own that is emptied after each success."""

    def __init__(self, victim: Victim, draft: Draft, honest: bytes) -> None:
        self._victim = victim
        self._signed = draft.digests
        self._empty = victim.scene()
        self._expected = self._import(honest, piped=False)
        assert self._expected

    def tries(self, data: bytes, *, piped: bool) -> bool:
        """Whether an import succeeded; then it did what the honest one does, else nothing."""
        done = self._victim.apply(data, piped=piped, namespace="one")
        if done.code == 0:
            assert self._judged(done) == self._expected
            return True
        assert done.code in (10, 11, 13, 14), done.err
        after = self._victim.scene()
        judge_failure(done, self._empty, after, self._signed)
        if after.registry.blobs:
            self._clear()
        return False

    def _import(self, data: bytes, *, piped: bool) -> frozenset[tuple[str, str, str]]:
        return self._judged(self._victim.apply(data, piped=piped, namespace="one"))

    def _judged(self, done: Finished) -> frozenset[tuple[str, str, str]]:
        tags = judge_success(done, self._empty, self._victim.scene(), self._signed)
        self._clear()
        return tags

    def _clear(self) -> None:
        shutil.rmtree(self._victim.registry.storage.root / "docker", ignore_errors=True)
        shutil.rmtree(self._victim.folder / "deploy", ignore_errors=True)
        shutil.rmtree(state_of(self._victim.folder), ignore_errors=True)


@pytest.fixture
def importing(
    registry: DockerRegistry,
    make_proxy: MakeProxy,
    tmp_path: Path,
    key: Key,
    draft: Draft,
    honest: bytes,
) -> Importing:
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "vendor.pub").write_bytes(key.public_pem)
    return Importing(Victim(folder, registry, make_proxy(registry.host)), draft, honest)


def _content(reader: Reader, data: bytes) -> dict[str, bytes]:
    """What an honest file holds."""
    found = reader.from_file(data)
    assert isinstance(found, dict)
    assert reader.from_pipe(data) == found
    return found


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def _sendable(draft: Draft, number: int) -> frozenset[str] | None:
    """What may have been sent before the segment at ``number`` is read: blobs, nothing earlier."""
    first = next(n for n, member in enumerate(draft.members, 1) if member.role == "blob")
    return draft.digests if number >= first else None


def _with(segments: Segments, number: int, segment: bytes) -> Segments:
    return [*segments[:number], segment, *segments[number + 1 :]]


class TestB01:
    """A file that ends early."""

    def test_every_length_is_refused(self, reader: Reader, tiny: bytes, figure: Figure) -> None:
        for length in range(0, len(tiny), 1 if FULL else 3):
            cut = tiny[:length]
            short = {"BundleTruncated"} | ({"NotABundle"} if length < 5 else set())
            assert reader.from_file(cut) in short, length
            assert reader.from_pipe(cut) in short, length
        tried = len(range(0, len(tiny), 1 if FULL else 3))
        figure("truncations of a small bundle, all of them refused", tried)

    def test_nothing_is_pushed(self, victim: Victim, draft: Draft, honest: bytes) -> None:
        for length in (len(honest) * part // 8 for part in range(1, 8)):
            victim.resists(honest[:length], _FORMAT, "BundleTruncated", signed=draft.digests)

    def test_an_empty_file_and_nothing_at_all(self, victim: Victim) -> None:
        victim.resists(b"", _FORMAT, "BundleTruncated", "NotABundle")
        victim.resists(b"\x28", _FORMAT, "BundleTruncated", "NotABundle")


class TestB02:
    """One flipped bit, anywhere."""

    @pytest.mark.parametrize("part", range(4))
    def test_is_found_or_changes_nothing(
        self, reader: Reader, tiny: bytes, part: int, figure: Figure
    ) -> None:
        """Every bit once, in the normal run one of each byte; by turns from a file and a pipe."""
        content = _content(reader, tiny)
        harmless = tried = 0
        for at in range(part, len(tiny), 4):
            for bit in range(8) if FULL else (at // 4 % 8,):
                tried += 1
                changed = _flipped(tiny, at, bit)
                read = reader.from_pipe if (at // 4 + bit) % 2 else reader.from_file
                found = read(changed)
                if not isinstance(found, str):
                    assert found == content, (at, bit)
                    harmless += 1
        # Bits that RFC 8878 leaves unused, windows, other encodings of the same content.
        assert harmless < len(tiny) * 2 // 50
        figure("bits of a small bundle flipped, one at a time: tried", tried)
        figure("bits of a small bundle flipped: refused", tried - harmless)
        figure("bits of a small bundle flipped: not part of the content, which was right", harmless)

    @pytest.mark.parametrize("part", range(10))
    def test_is_not_seen_in_the_registry(
        self, importing: Importing, honest: bytes, part: int, figure: Figure
    ) -> None:
        """Random bits, each through a whole import, by turns from a file and from a pipe."""
        source = random.Random(part)  # noqa: S311
        tried = budget(10, 1000, promised=True)
        accepted = 0
        for number in range(tried):
            changed = _flipped(honest, source.randrange(len(honest)), source.randrange(8))
            accepted += importing.tries(changed, piped=number % 2 == 1)
        figure("random bits flipped, each through a whole import: tried", tried)
        figure("random bits flipped, each through a whole import: refused", tried - accepted)
        figure("random bits flipped, each through a whole import: harmless", accepted)


def test_b03_every_changed_byte_of_the_archive(
    reader: Reader, tiny_segments: Segments, tiny: bytes, figure: Figure
) -> None:
    content = _content(reader, tiny)
    step = 1 if FULL else 3
    harmless = tried = 0
    for number, segment in enumerate(tiny_segments):
        frames = [(frame_of(one, 1), len(one)) for one in tiny_segments]
        for at in range(number % step, len(segment), step):
            tried += 1
            changed = _flipped(segment, at, at % 8)
            frames[number] = (frame_of(changed, 1), len(changed))
            data = assemble(frames)
            found = reader.from_pipe(data) if at % 2 else reader.from_file(data)
            if isinstance(found, dict):
                # The envelope's key id is a hint, and what it does not define is ignored.
                assert (number, found) == (0, content), (number, at)
                harmless += 1
    figure("bytes of the archive changed and compressed again: tried", tried)
    figure("bytes of the archive changed and compressed again: refused", tried - harmless)


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_b03_random_bytes_through_a_whole_import(
    importing: Importing, segments: Segments, way: str, figure: Figure
) -> None:
    source = random.Random(way)  # noqa: S311
    tried = budget(15, 500)
    accepted = 0
    for _ in range(tried):
        number = source.randrange(len(segments))
        changed = _flipped(
            segments[number], source.randrange(len(segments[number])), source.randrange(8)
        )
        data = pack(_with(segments, number, changed))
        accepted += importing.tries(data, piped=way == "pipe")
    figure("bytes of the archive changed, each through a whole import: tried", tried)
    figure("bytes of the archive changed, each through a whole import: harmless", accepted)


def test_b04_every_block_dropped_doubled_or_swapped(
    reader: Reader, segments: Segments, figure: Figure
) -> None:
    tried = 0
    for number, segment in enumerate(segments):
        blocks = [segment[at : at + BLOCK] for at in range(0, len(segment), BLOCK)]
        for at in range(len(blocks)):
            for changed in (
                [*blocks[:at], *blocks[at + 1 :]],
                [*blocks[: at + 1], *blocks[at:]],
                [*blocks[:at], *reversed(blocks[at : at + 2]), *blocks[at + 2 :]],
            ):
                if changed == blocks:
                    continue
                hostile = _with(segments, number, b"".join(changed))
                data = pack([one for one in hostile if one])
                assert isinstance(reader.from_file(data), str), (number, at)
                assert isinstance(reader.from_pipe(data), str), (number, at)
                tried += 1
    figure("blocks of the archive dropped, doubled or swapped: all refused", tried)


@pytest.mark.parametrize("change", ["drop", "double", "swap"])
def test_b04_blocks_through_a_whole_import(
    victim: Victim, draft: Draft, segments: Segments, change: str
) -> None:
    for number in (0, 3, len(segments) - 2):
        blocks = [
            segments[number][at : at + BLOCK] for at in range(0, len(segments[number]), BLOCK)
        ]
        changed = {
            "drop": blocks[:-1],
            "double": [blocks[0], *blocks],
            "swap": [*blocks[1:], blocks[0]],
        }[change]
        data = pack(_with(segments, number, b"".join(changed)))
        names = (
            *("NotABundle", "EnvelopeInvalid", "BundleCorrupt", "BundleTruncated", "BadPadding"),
            *("MemberMismatch", "TrailingData", "DigestMismatch"),
        )
        victim.resists(data, (10, 13), *names, signed=draft.digests)


class TestB05:
    """More than the bundle."""

    @pytest.mark.parametrize(
        "extra",
        [
            b"\x00",
            b"garbage that is longer than a footer",
            frame_of(b"one more frame"),
            struct.pack("<II", 0x184D2A50, 4) + b"skip",
            seek_table([]),
            bytes(1 << 20),
        ],
        ids=["a byte", "garbage", "a frame", "a skippable frame", "a seek table", "zeros"],
    )
    def test_after_its_end(self, victim: Victim, draft: Draft, honest: bytes, extra: bytes) -> None:
        victim.resists(honest + extra, _FORMAT, "TrailingData", signed=draft.digests)

    def test_itself_again(self, victim: Victim, draft: Draft, honest: bytes) -> None:
        names = ("TrailingData", "BundleTruncated")
        victim.resists(honest * 2, _FORMAT, *names, signed=draft.digests)

    @pytest.mark.parametrize("listed", [True, False])
    def test_a_frame_before_the_seek_table(
        self, victim: Victim, draft: Draft, segments: Segments, listed: bool
    ) -> None:
        extra = segment_of("extra", b"extra")
        frames = [(frame_of(one), len(one)) for one in segments]
        sizes = [(len(frame), size) for frame, size in frames]
        table = seek_table([*sizes, (len(frame_of(extra)), len(extra))] if listed else sizes)
        data = b"".join(frame for frame, _ in frames) + frame_of(extra) + table
        names = ("TrailingData", "BundleCorrupt", "BundleTruncated")
        victim.resists(data, _FORMAT, *names, signed=draft.digests)

    @pytest.mark.parametrize("place", range(7))
    @pytest.mark.parametrize(
        "extra",
        [struct.pack("<II", 0x184D2A50, 4) + b"skip", frame_of(b"")],
        ids=["skippable", "empty"],
    )
    def test_a_frame_without_content_in_between(
        self, victim: Victim, draft: Draft, segments: Segments, place: int, extra: bytes
    ) -> None:
        assert len(segments) >= 7
        frames = [(frame_of(one), len(one)) for one in segments]
        frames.insert(place, (extra, 0))
        names = ("BundleCorrupt", "NotABundle", "BundleTruncated")
        victim.resists(assemble(frames), _FORMAT, *names, signed=draft.digests)


class TestB06:
    """Content without end in a small file."""

    @staticmethod
    def _zeros(size: int) -> bytes:
        """A frame of so many zero bytes: a run-length block for each 128 KiB (RFC 8878)."""
        count = size // 131_072
        blocks = [131_072 << 3 | 1 << 1 | (number == count - 1) for number in range(count)]
        return (
            ZSTD_MAGIC
            + b"\x00\x38"
            + b"".join(block.to_bytes(3, "little") + b"\x00" for block in blocks)
        )

    def test_as_the_first_member(self, victim: Victim) -> None:
        data = self._zeros(1 << 32)
        assert len(data) < 150_000
        victim.resists(assemble([(data, (1 << 32) - 1)]), _FORMAT, "NotABundle")

    @pytest.mark.parametrize("piped", [False, True])
    @pytest.mark.parametrize("command", ["verify", "inspect"])
    def test_costs_little(self, tmp_path: Path, key: Key, command: str, piped: bool) -> None:
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        data = assemble([(self._zeros(1 << 32), (1 << 32) - 1)])
        (tmp_path / "bomb").write_bytes(data)
        trusted = ("--key", "vendor.pub") if command == "verify" else ()
        done = Shell(tmp_path).run(
            *("airgap-import", command, "-" if piped else "bomb", *trusted),
            stdin=data if piped else b"",
            measure=True,
        )
        judge_cost(refused(done, _FORMAT, "NotABundle"))

    def test_after_the_header_of_the_first_member(self, victim: Victim) -> None:
        frames = [(frame_of(header_of(ENVELOPE, 16 << 20)), BLOCK), (self._zeros(1 << 30), 1 << 30)]
        victim.resists(assemble(frames), _FORMAT, "EnvelopeInvalid", "BundleCorrupt")

    def test_a_first_member_over_the_limit(self, victim: Victim) -> None:
        header = header_of(ENVELOPE, (16 << 20) + 1)
        frames = [(frame_of(header), BLOCK), (self._zeros(1 << 30), 1 << 30)]
        victim.resists(assemble(frames), _FORMAT, "NotABundle")

    @pytest.mark.parametrize("number", [1, 3, 5])
    def test_in_the_place_of_a_member(
        self, victim: Victim, draft: Draft, segments: Segments, number: int
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        frames[number] = (self._zeros(1 << 30), len(segments[number]))
        names = ("MemberMismatch", "BundleCorrupt")
        victim.resists(assemble(frames), _FORMAT, *names, signed=_sendable(draft, number))

    @pytest.mark.parametrize("number", [1, 3, 5])
    def test_after_the_content_of_a_member(
        self, victim: Victim, draft: Draft, segments: Segments, number: int
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        frames.insert(number + 1, (self._zeros(1 << 30), 1 << 30))
        names = ("MemberMismatch", "BundleCorrupt", "MemberUnexpected")
        victim.resists(assemble(frames), _FORMAT, *names, signed=_sendable(draft, number))


class TestBlocksOfNothing:
    """Many blocks and next to no content: a reader gives up early, however large the file."""

    NOTHING = bytes(3)
    ONE_BYTE = (1 << 3).to_bytes(3, "little") + b"x"
    FRAME = ZSTD_MAGIC + b"\x00\x38"

    @pytest.mark.parametrize("number", [0, 1, 5])
    def test_in_the_place_of_a_member(
        self, victim: Victim, draft: Draft, segments: Segments, number: int
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        many = self.FRAME + self.NOTHING * 2000 + _raw_block(segments[number])
        frames[number] = (many, len(segments[number]))
        victim.resists(assemble(frames), 14, "LimitExceeded", signed=_sendable(draft, number))

    @pytest.mark.parametrize("piped", [False, True])
    @pytest.mark.parametrize("number", [0, 5])
    def test_costs_little(
        self, tmp_path: Path, segments: Segments, key: Key, number: int, piped: bool
    ) -> None:
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        frames = [(frame_of(one), len(one)) for one in segments]
        many = self.FRAME + bytes(30 << 20) + _raw_block(segments[number])
        frames[number] = (many, len(segments[number]))
        data = assemble(frames)
        (tmp_path / "many").write_bytes(data)
        done = Shell(tmp_path).run(
            *("airgap-import", "verify", "-" if piped else "many", "--key", "vendor.pub"),
            stdin=data if piped else b"",
            measure=True,
        )
        judge_cost(refused(done, 14, "LimitExceeded"))

    def test_in_a_file_of_a_tebibyte(self, victim: Victim) -> None:
        with (victim.folder / "huge").open("wb") as file:
            file.write(self.FRAME)
            try:
                file.truncate(1 << 40)
            except OSError:
                pytest.skip("this file system has no such files")
        done = run_here(victim.folder, "airgap-import", "verify", "huge", "--key", "vendor.pub")
        refused(done, 14, "LimitExceeded")

    def test_an_envelope_in_blocks_of_one_byte(self, tmp_path: Path, key: Key) -> None:
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        header = header_of(ENVELOPE, 16 << 20)
        data = assemble(
            [
                (frame_of(header), BLOCK),
                (self.FRAME + self.ONE_BYTE * (1 << 22), 1 << 22),
            ]
        )
        (tmp_path / "many").write_bytes(data)
        command = ("airgap-import", "verify", "many", "--key", "vendor.pub")
        judge_cost(refused(Shell(tmp_path).run(*command, measure=True), 14, "LimitExceeded"))

    def test_a_file_that_is_damaged_as_well(
        self, tmp_path: Path, segments: Segments, key: Key
    ) -> None:
        """What is wrong with its end is not searched for at any cost."""
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        frames = b"".join(frame_of(one) for one in segments[:-1])
        (tmp_path / "many").write_bytes(frames + self.FRAME + bytes(30 << 20))
        command = ("airgap-import", "verify", "many", "--key", "vendor.pub")
        judge_cost(refused(Shell(tmp_path).run(*command, measure=True), _FORMAT, "BundleCorrupt"))

    def test_few_of_them_are_fine(self, victim: Victim, segments: Segments) -> None:
        def padded_frame(one: bytes) -> bytes:
            pieces = [one[at : at + 7] for at in range(0, len(one), 7)][:400]
            rest = one[sum(map(len, pieces)) :]
            blocks = b"".join((len(p) << 3).to_bytes(3, "little") + p for p in pieces)
            return self.FRAME + self.NOTHING * 9 + blocks + _raw_block(rest)

        data = assemble([(padded_frame(one), len(one)) for one in segments])
        for piped in (False, True):
            succeeded(victim.verify(data, piped=piped))


class TestB07:
    """Frames that ask for much memory."""

    @pytest.mark.parametrize("number", [0, 1, 5])
    @pytest.mark.parametrize("window", [b"\xa8", b"\x89", b"\xff"], ids=["2^31", "2^27+", "most"])
    def test_by_their_window(
        self, victim: Victim, draft: Draft, segments: Segments, number: int, window: bytes
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        wide = ZSTD_MAGIC + b"\x00" + window + _raw_block(segments[number])
        frames[number] = (wide, len(segments[number]))
        victim.resists(assemble(frames), 14, "WindowTooLarge", signed=_sendable(draft, number))

    @pytest.mark.parametrize("number", [0, 1, 5])
    def test_by_their_content_in_a_single_segment(
        self, victim: Victim, draft: Draft, segments: Segments, number: int
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        size = struct.pack("<Q", (1 << 27) + 1)
        wide = ZSTD_MAGIC + b"\xe0" + size + _raw_block(segments[number])
        frames[number] = (wide, len(segments[number]))
        victim.resists(assemble(frames), 14, "WindowTooLarge", signed=_sendable(draft, number))

    def test_more_than_a_gibibyte_in_a_frame(
        self, victim: Victim, draft: Draft, segments: Segments
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        size = struct.pack("<Q", (1 << 30) + 1)
        frames[1] = (ZSTD_MAGIC + b"\xc0\x40" + size + _raw_block(segments[1]), len(segments[1]))
        victim.resists(assemble(frames), 14, "LimitExceeded", signed=draft.digests)


def _raw_block(content: bytes) -> bytes:
    return (len(content) << 3 | 1).to_bytes(3, "little") + content


class TestB08:
    """Frames that are none, or of another kind."""

    @pytest.mark.parametrize("number", [0, 1, 5])
    @pytest.mark.parametrize(
        "start",
        [
            ZSTD_MAGIC + b"\x01\x38\x07",
            ZSTD_MAGIC + b"\x03\x38\x07\x00\x00\x00",
            ZSTD_MAGIC + b"\x08\x38",
        ],
        ids=["dictionary", "long dictionary", "reserved bit"],
    )
    def test_a_frame_header(
        self, victim: Victim, draft: Draft, segments: Segments, number: int, start: bytes
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        frames[number] = (start + _raw_block(segments[number]), len(segments[number]))
        victim.resists(assemble(frames), _FORMAT, "BundleCorrupt", signed=_sendable(draft, number))

    @pytest.mark.parametrize("magic", [b"\x1f\x8b\x08\x00", b"\x27\xb5\x2f\xfd", b"PK\x03\x04"])
    def test_a_magic_number(
        self, victim: Victim, draft: Draft, segments: Segments, magic: bytes
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        first = [(magic + frames[0][0][4:], frames[0][1]), *frames[1:]]
        victim.resists(assemble(first), _FORMAT, "NotABundle")
        later = [*frames[:5], (magic + frames[5][0][4:], frames[5][1]), *frames[6:]]
        victim.resists(assemble(later), _FORMAT, "BundleCorrupt", signed=draft.digests)

    def test_a_reserved_block(self, victim: Victim, draft: Draft, segments: Segments) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        block = bytearray(_raw_block(segments[1]))
        block[0] |= 3 << 1
        frames[1] = (ZSTD_MAGIC + b"\x00\x38" + bytes(block), len(segments[1]))
        victim.resists(assemble(frames), _FORMAT, "BundleCorrupt", signed=draft.digests)

    def test_a_frame_that_lies_about_its_content(
        self, victim: Victim, draft: Draft, segments: Segments
    ) -> None:
        frames = [(frame_of(one), len(one)) for one in segments]
        for wrong in (-1, 1):
            size = struct.pack("<Q", len(segments[1]) + wrong)
            frame = ZSTD_MAGIC + b"\xc0\x40" + size + _raw_block(segments[1])
            frames[1] = (frame, len(segments[1]))
            victim.resists(assemble(frames), _FORMAT, "BundleCorrupt", signed=draft.digests)

    def test_something_else_altogether(self, victim: Victim, tmp_path: Path) -> None:
        for data in (b"#!/bin/sh\n" * 100, b"PK\x03\x04" + bytes(500), bytes(5000)):
            victim.resists(data, _FORMAT, "NotABundle")


def _insert(number: int, segment: bytes) -> Attack:
    return lambda segments: [*segments[:number], segment, *segments[number:]]


_OTHER_INDEX = segment_of("index.json", b'{"schemaVersion":2,"manifests":[]}')
_STRANGER = segment_of(blob_path(digest_of(b"stranger")), b"stranger")


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(
            _insert(2, _OTHER_INDEX), id="a second index before", marks=pytest.mark.case("B09")
        ),
        pytest.param(
            _insert(3, _OTHER_INDEX), id="a second index after", marks=pytest.mark.case("B09")
        ),
        pytest.param(
            lambda s: [*s[:-1], _OTHER_INDEX, s[-1]],
            id="a second index at the end",
            marks=pytest.mark.case("B09"),
        ),
        pytest.param(
            lambda s: [s[0], s[2], s[1], *s[3:]],
            id="metadata in another order",
            marks=pytest.mark.case("B10"),
        ),
        pytest.param(
            lambda s: [*s[:-3], s[-2], s[-3], s[-1]],
            id="blobs in another order",
            marks=pytest.mark.case("B10"),
        ),
        pytest.param(
            lambda s: [*s[1:2], s[0], *s[2:]],
            id="the envelope second",
            marks=pytest.mark.case("B10"),
        ),
        pytest.param(
            _insert(1, _STRANGER), id="an extra member first", marks=pytest.mark.case("B11")
        ),
        pytest.param(
            _insert(4, _STRANGER), id="an extra member between", marks=pytest.mark.case("B11")
        ),
        pytest.param(
            lambda s: [*s[:-1], _STRANGER, s[-1]],
            id="an extra member last",
            marks=pytest.mark.case("B11"),
        ),
        pytest.param(
            lambda s: [*s, _STRANGER],
            id="an extra member after the end",
            marks=pytest.mark.case("B11"),
        ),
        pytest.param(lambda s: [*s[:2], *s[3:]], id="no index", marks=pytest.mark.case("B12")),
        pytest.param(lambda s: [*s[:-2], s[-1]], id="no last blob", marks=pytest.mark.case("B12")),
        pytest.param(lambda s: [*s[:4], *s[5:]], id="no manifest", marks=pytest.mark.case("B12")),
        pytest.param(lambda s: s[:1], id="no members", marks=pytest.mark.case("B12")),
    ],
)
def test_members_other_than_those_signed_for(
    victim: Victim, draft: Draft, segments: Segments, attack: Attack
) -> None:
    names = (
        *("MemberMismatch", "MemberUnexpected", "BundleCorrupt", "BundleTruncated"),
        *("TrailingData", "NotABundle", "BadPadding"),
    )
    stranger = {digest_of(b"stranger")}
    data = pack(attack(segments))
    victim.resists(data, _FORMAT, *names, signed=draft.digests - stranger)


_NAMES = [
    "../x",
    "/x",
    "a\\b",
    "a\x00b",
    "CON",
    "aux.yaml",
    "x.",
    ".hidden",
    "caf\u00e9.yaml",
    "cafe\u0301.yaml",
    "a/../../x",
    "a//b",
    "a/./b",
    "",
    "a b",
    "x" * 101,
    "/".join("x" * 17),
    "a:b",
    "a\nb",
]


class TestB13:
    """Names that would lead somewhere."""

    @pytest.mark.parametrize("name", _NAMES)
    def test_in_the_archive(
        self, victim: Victim, draft: Draft, segments: Segments, name: str
    ) -> None:
        file = draft.members[2]
        header = header_of(f"application/upstream/{name}"[:100], len(file.content))
        hostile = _with(segments, 3, header + padded(file.content))
        victim.resists(pack(hostile), _FORMAT, "MemberMismatch", "BundleCorrupt")
        assert not Path("/x").exists()

    @pytest.mark.parametrize("name", _NAMES)
    def test_in_what_is_signed(self, victim: Victim, draft: Draft, key: Key, name: str) -> None:
        signed = {"path": f"application/upstream/{name}"}
        hostile = draft.changed(2, signed=signed)
        victim.resists_draft(hostile, key, 11, "StatementInvalid")

    @pytest.mark.parametrize("name", ["../x", "/etc/passwd", "upstream/app.yaml", "base/app.yaml"])
    def test_outside_of_the_application(
        self, victim: Victim, draft: Draft, key: Key, name: str
    ) -> None:
        victim.resists_draft(draft.changed(2, path=name), key, 11, "StatementInvalid")


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"\x00", b"V", b"?"])
@pytest.mark.parametrize("number", [0, 3, 5])
def test_b14_entries_that_are_no_files(
    victim: Victim, draft: Draft, segments: Segments, number: int, kind: bytes
) -> None:
    changed = segments[number][:156] + kind + segments[number][157:]
    changed = changed[:157] + b"/etc/passwd".ljust(100, b"\x00") + changed[257:]
    hostile = _with(segments, number, with_checksum(changed[:BLOCK]) + changed[BLOCK:])
    names = ("MemberMismatch", "NotABundle")
    victim.resists(pack(hostile), _FORMAT, *names, signed=_sendable(draft, number))


def _extended(kind: bytes, record: bytes, name: str = "pax-header") -> bytes:
    return header_of(name, len(record), kind) + padded(record)


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param(_extended(b"x", b"17 path=../../x\n\n"), id="pax path"),
        pytest.param(_extended(b"x", b"12 size=1\n\n\n"), id="pax size"),
        pytest.param(_extended(b"g", b"17 path=../../x\n\n"), id="pax for all"),
        pytest.param(_extended(b"L", b"../../x\x00", "././@LongLink"), id="gnu long name"),
        pytest.param(_extended(b"K", b"../../x\x00", "././@LongLink"), id="gnu long link"),
        pytest.param(_extended(b"S", b""), id="gnu sparse"),
        pytest.param(_extended(b"x", b"22 GNU.sparse.major=1\n"), id="pax sparse"),
    ],
)
@pytest.mark.parametrize("number", [0, 3, 5])
def test_b15_extended_headers(
    victim: Victim, draft: Draft, segments: Segments, number: int, prefix: bytes
) -> None:
    """Both as a part of a member's frames and as a segment of its own."""
    names = ("MemberMismatch", "NotABundle", "BundleCorrupt", "TrailingData")
    for hostile in (
        _with(segments, number, prefix + segments[number]),
        _insert(number, prefix)(segments),
    ):
        victim.resists(pack(hostile), _FORMAT, *names, signed=_sendable(draft, number))


@pytest.mark.parametrize("number", [0, 3, 5])
class TestHeaders:
    """B18, B19: a header that is not the one the statement implies."""

    names = ("MemberMismatch", "NotABundle")

    @pytest.mark.parametrize("checksum", [b"000000\x00 ", b"777777\x00 ", b"        "])
    def test_b18_its_checksum(
        self, victim: Victim, draft: Draft, segments: Segments, number: int, checksum: bytes
    ) -> None:
        changed = segments[number][:148] + checksum + segments[number][156:]
        data = pack(_with(segments, number, changed))
        victim.resists(data, _FORMAT, *self.names, signed=_sendable(draft, number))

    @pytest.mark.parametrize("wrong", [-1, 1, 512, 1 << 20])
    def test_b19_its_size(
        self, victim: Victim, draft: Draft, segments: Segments, number: int, wrong: int
    ) -> None:
        header = segments[number][:BLOCK]
        size = int(header[124:135], 8) + wrong
        header = with_checksum(header[:124] + b"%011o\x00" % size + header[136:])
        data = pack(_with(segments, number, header + segments[number][BLOCK:]))
        names = (*self.names, "EnvelopeInvalid", "BundleCorrupt", "BadPadding")
        victim.resists(data, _FORMAT, *names, signed=_sendable(draft, number))

    @pytest.mark.parametrize(
        "fields",
        [
            {"mode": b"0004755"},
            {"uid": b"0001750"},
            {"mtime": b"00000000000"},
            {"uname": b"root"},
            {"magic": b"ustar  \x00"},
            {"prefix": b"../.."},
            {"size_field": b"\x80".ljust(11, b"\x00") + b"\x01"},
        ],
        ids=str,
    )
    def test_any_other_field(
        self,
        victim: Victim,
        draft: Draft,
        segments: Segments,
        number: int,
        fields: dict[str, bytes],
    ) -> None:
        header = segments[number][:BLOCK]
        path = header[:100].rstrip(b"\x00").decode()
        changed = header_of(path, int(header[124:135], 8), **fields)
        data = pack(_with(segments, number, changed + segments[number][BLOCK:]))
        victim.resists(data, _FORMAT, *self.names, signed=_sendable(draft, number))


@pytest.mark.parametrize("number", [0, 1, 3, 5])
def test_b20_padding_that_holds_something(
    victim: Victim, draft: Draft, segments: Segments, number: int
) -> None:
    for at in (-1, len(segments[number]) - BLOCK + int(segments[number][124:135], 8) % BLOCK):
        changed = bytearray(segments[number])
        assert changed[at] == 0
        changed[at] = 1
        data = pack(_with(segments, number, bytes(changed)))
        victim.resists(data, _FORMAT, "BadPadding", signed=_sendable(draft, number))


@pytest.mark.parametrize("size", [0, 512, 1536, 20 * 512, 1 << 20])
def test_b21_another_end_of_the_archive(
    victim: Victim, draft: Draft, segments: Segments, size: int
) -> None:
    end = [bytes(size)] if size else []
    names = ("BadPadding", "BundleCorrupt", "BundleTruncated", "TrailingData")
    victim.resists(pack([*segments[:-1], *end]), _FORMAT, *names, signed=draft.digests)


def test_b21_an_end_that_is_not_zero(victim: Victim, draft: Draft, segments: Segments) -> None:
    data = pack([*segments[:-1], END[:-1] + b"\x01"])
    victim.resists(data, _FORMAT, "BadPadding", signed=draft.digests)


class TestSeekTable:
    """The one part that nobody signs."""

    @pytest.fixture
    def frames(self, segments: Segments) -> list[tuple[bytes, int]]:
        return [(frame_of(one), len(one)) for one in segments]

    def _attack(
        self,
        victim: Victim,
        draft: Draft,
        frames: list[tuple[bytes, int]],
        table: bytes,
    ) -> None:
        data = b"".join(frame for frame, _ in frames) + table
        names = ("BundleCorrupt", "BundleTruncated", "TrailingData", "LimitExceeded")
        victim.resists(data, (10, 14), *names, signed=draft.digests)

    def test_missing(self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]]) -> None:
        self._attack(victim, draft, frames, b"")

    def test_empty(self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]]) -> None:
        self._attack(victim, draft, frames, seek_table([]))

    def test_with_lengths_moved_between_frames(
        self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]]
    ) -> None:
        for field in (0, 1):
            sizes = [[len(frame), size] for frame, size in frames]
            sizes[2][field] += 1
            sizes[3][field] -= 1
            self._attack(victim, draft, frames, seek_table([(a, b) for a, b in sizes]))

    def test_with_two_frames_as_one(
        self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]]
    ) -> None:
        sizes = [(len(frame), size) for frame, size in frames]
        one = (sizes[3][0] + sizes[4][0], sizes[3][1] + sizes[4][1])
        self._attack(victim, draft, frames, seek_table([*sizes[:3], one, *sizes[5:]]))

    def test_with_checksums_or_reserved_bits(
        self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]]
    ) -> None:
        table = seek_table([(len(frame), size) for frame, size in frames])
        for flag in (0x80, 0x04, 0x40):
            self._attack(victim, draft, frames, table[:-5] + bytes([flag]) + table[-4:])

    def test_with_as_many_frames_as_can_be(
        self, tmp_path: Path, key: Key, frames: list[tuple[bytes, int]]
    ) -> None:
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        sizes = [(len(frame), size) for frame, size in frames]
        most = [(0, 0xFFFFFFF0 - number) for number in range((1 << 20) - len(sizes))]
        table = seek_table([*sizes, *most])
        (tmp_path / "many").write_bytes(b"".join(frame for frame, _ in frames) + table)
        command = ("airgap-import", "verify", "many", "--key", "vendor.pub")
        judge_cost(refused(Shell(tmp_path).run(*command, measure=True), _FORMAT, "TrailingData"))

    @pytest.mark.parametrize("count", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
    def test_with_another_count(
        self, victim: Victim, draft: Draft, frames: list[tuple[bytes, int]], count: int
    ) -> None:
        table = seek_table([(len(frame), size) for frame, size in frames])
        footer = struct.pack("<IBI", count, 0, 0x8F92EAB1)
        self._attack(victim, draft, frames, table[:-9] + footer)
        length = struct.pack("<II", 0x184D2A5E, min(count * 8 + 9, 0xFFFFFFFF))
        self._attack(victim, draft, frames, length + table[8:-9] + footer)


def test_many_frames_for_one_member_are_fine(
    victim: Victim, draft: Draft, segments: Segments
) -> None:
    """The control of the frame rules: only their borders count."""
    frames = [
        (frame_of(part), len(part))
        for one in segments
        for part in (one[at : at + 100] for at in range(0, len(one), 100))
    ]
    data = assemble(frames)
    for piped in (False, True):
        succeeded(victim.verify(data, piped=piped))


def test_a_frame_across_two_members(victim: Victim, draft: Draft, segments: Segments) -> None:
    for number in range(len(segments) - 1):
        joined = [*segments[:number], segments[number] + segments[number + 1]]
        data = pack([*joined, *segments[number + 2 :]])
        names = ("BundleCorrupt", "MemberMismatch")
        victim.resists(data, _FORMAT, *names, signed=draft.digests)


@pytest.mark.case("H09")
def test_blobs_of_another_bundle_behind_this_statement(
    victim: Victim, draft: Draft, segments: Segments, key: Key
) -> None:
    image = make_image([opaque_layer(_LAYER[::-1])])
    other = Draft.of({"docker.io/team/app:1": image}, {"app.yaml": "kind: List\n"}).segments(key)
    assert len(other) == len(segments)
    for number in range(1, len(segments) - 1):
        if other[number] != segments[number]:
            data = pack(_with(segments, number, other[number]))
            names = ("MemberMismatch", "BundleCorrupt", "DigestMismatch")
            victim.resists(data, (10, 13), *names, signed=draft.digests)


def test_the_envelope_of_another_bundle(victim: Victim, segments: Segments, key: Key) -> None:
    other = Draft.of({"docker.io/team/app:1": make_image([b"other"])}).segments(key)
    names = ("BundleCorrupt", "MemberMismatch", "TrailingData", "DigestMismatch")
    data = pack([other[0], *segments[1:]])
    victim.resists(data, (10, 13), *names)


def test_statements_that_break_the_specification(victim: Victim, draft: Draft, key: Key) -> None:
    for override in _bad_predicates(draft):
        hostile = replace(draft, predicate=override)
        victim.resists_draft(hostile, key, 11, "StatementInvalid")


@pytest.mark.parametrize(
    "override",
    [{"format": 2}, {"critical": ["unknown-extension"]}, {"base": {"digest": digest_of(b"")}}],
)
def test_g12_a_bundle_from_the_future(
    victim: Victim, draft: Draft, key: Key, override: dict[str, object]
) -> None:
    hostile = replace(draft, predicate=override)
    victim.resists_draft(hostile, key, 10, "FormatUnsupported")
    assert "use a newer airgap-import" in victim.verify(hostile.pack(key)).err


def _bad_predicates(draft: Draft) -> Iterator[dict[str, object]]:
    entries = [member.entry for member in draft.members]
    yield {"format": "1"}
    yield {"format": True}
    yield {"app": "Not An App"}
    yield {"version": ""}
    yield {"sequence": -1}
    yield {"sequence": 1.5}
    yield {"created": "yesterday"}
    yield {"expires": "2026-13-01T00:00:00Z"}
    yield {"members": entries[1:]}
    yield {"members": [*entries, entries[-1]]}
    yield {"members": [entries[1], entries[0], *entries[2:]]}
    yield {"members": "all of them"}
    yield {"images": [*draft.images, *draft.images]}
    yield {"images": [{**draft.images[0], "root": digest_of(b"elsewhere")}]}
    yield {"images": [{**draft.images[0], "literals": ["team/other:1"]}]}
    yield {"totals": {"members": 1, "bytes": 1}}
