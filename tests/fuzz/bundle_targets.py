"""Targets of the bundle format: what a stranger's disk holds."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import zstandard

from airgap_shared.bundle import frames, names, tarheader
from airgap_shared.bundle.admission import Gate
from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.graph import check_graph, unique_blobs
from airgap_shared.bundle.seektable import FOOTER_SIZE, SeekTable, seek_table_size
from airgap_shared.bundle.statement import (
    BundledImage,
    Member,
    Role,
    Statement,
    parse_statement,
)
from airgap_shared.errors import AirgapError, BundleTruncated, MemberMismatch, NotABundle
from airgap_shared.oci import mediatype
from airgap_shared.oci.attachment import AttachmentKind
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from airgap_shared.oci.reference import parse_reference
from airgap_shared.stores.endings import explain_ending
from airgap_shared.stores.frames import FrameReader
from airgap_shared.stores.headcontent import head_of
from airgap_shared.stores.joinedfile import JoinedFile, OpenFile
from airgap_shared.stores.medium import FileMedium, StreamMedium, read_member
from airgap_shared.stores.opening import open_bundle
from airgap_shared.trust.envelope import parse_envelope
from airgap_shared.trust.keys import parse_public_key
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.unsealing import unseal
from fuzz.target import Target, Turns
from support.bundles import RELEASE
from support.forging import Forger, Workpiece
from support.garbling import Garbler
from support.hostile import (
    Draft,
    Key,
    assemble,
    frame_of,
    header_of,
    seal,
    seek_table,
    segment_of,
    stored_frame,
)
from support.images import make_artifact, make_image, opaque_layer, platform_index

#: The same in every run: what was signed in one is an input of the next.
_KEY = Key(0x5EED)
_POLICY = TrustPolicy.of_keys((parse_public_key(_KEY.public_pem),))
_GATE = Gate(_POLICY, datetime(2026, 6, 1, tzinfo=UTC))
#: Decompressed content that is looked at.
_CONTENT_LIMIT = 1 << 24


def _drafts() -> Iterator[Draft]:
    image = make_image([opaque_layer(b"layer")])
    yield Draft.of({"docker.io/a/b:1": image}, {"a": "kind: List\n"})
    index = platform_index("app", "linux/amd64", "linux/arm64")
    signature = make_artifact(b"signature", "application/x.signature", image)
    several = {"docker.io/a/b:1": image, "reg.test:5000/c:2": index, "reg.test:5000/s:1": signature}
    yield Draft.of(several, {"app.yaml": "kind: List\n", f"{'d' * 90}/{'f' * 30}.yaml": "a: 1\n"})
    yield Draft.of({})


# The envelope and the statement -----------------------------------------------------------------


def _feed_envelope(data: bytes) -> None:
    envelope = parse_envelope(data)
    assert parse_envelope(envelope.to_json()) == envelope
    unseal(envelope, _POLICY, _GATE.now)


def _envelopes() -> Iterator[bytes]:
    yield seal(b"{}", _KEY)
    yield seal(b"payload", _KEY, Key(), payload_type="text/plain")
    yield seal(b"payload \xff", key_id="")
    yield seal(b"\xfb\xff", _KEY).replace(b"+", b"-").replace(b"/", b"_")


def _feed_statement(data: bytes) -> None:
    statement = parse_statement(data)
    assert parse_statement(statement.to_json()) == statement
    assert statement.members[0].role is Role.LAYOUT


def _statements() -> Iterator[bytes]:
    return (json.dumps(draft.statement()).encode() for draft in _drafts())


def _other_json(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    """A JSON document with another value in it somewhere, or just other bytes."""
    if random.random() < 0.4:
        return garble(data)
    try:
        return json.dumps(Garbler(random).json_like(json.loads(data))).encode()
    except (ValueError, RecursionError):
        return garble(data)


# Headers, members, frames, the seek table -------------------------------------------------------

_CONTENT = b"the content of a member " * 30
_PATHS = (names.INDEX, names.blob_path(Digest("sha512", "a" * 128)), names.APPLICATION + "f" * 90)


def _feed_member(data: bytes) -> None:
    """The first byte chooses the member that is expected; the rest is the archive."""
    turns = Turns(data)
    path = _PATHS[turns.below(len(_PATHS))]
    size = (0, 1, len(_CONTENT), 512)[turns.below(4)]
    archive = turns.rest()
    expected = Member(path, size, Digest.of(_CONTENT[:size]), Role.BLOB)
    try:
        tarheader.claimed_size(archive[:512], names.ENVELOPE, 1 << 24)
    except NotABundle:
        pass
    else:
        assert archive.startswith(names.ENVELOPE.encode() + b"\x00")
    source = io.BytesIO(stored_frame(archive) if archive else b"")
    try:
        found = b"".join(read_member(FrameReader(source), expected))
    except MemberMismatch:
        assert not archive.startswith(header_of(path, size))
        raise
    assert found == _CONTENT[:size]
    assert archive == segment_of(path, found)


def _members() -> Iterator[bytes]:
    for number, path in enumerate(_PATHS):
        for chosen, size in enumerate((0, 1, len(_CONTENT), 512)):
            yield bytes((number, chosen)) + segment_of(path, _CONTENT[:size])
    yield b"\x00\x00" + segment_of(names.ENVELOPE, b"{}")


def _with_checksums(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    changed = bytearray(garble(data))
    if random.random() < 0.7 and len(changed) >= 514:
        blank = changed[2:150] + b" " * 8 + changed[158:514]
        changed[150:158] = b"%06o\x00 " % sum(blank)
    return bytes(changed)


def _feed_frames(data: bytes) -> None:
    """What our reader makes of frames is what zstd makes of them."""
    reader = FrameReader(io.BytesIO(data))
    content: list[bytes] = []
    try:
        content += reader.chunks(_CONTENT_LIMIT)
    except BundleTruncated:
        if sum(frame.compressed for frame in reader.frames) != len(data):
            raise
    found, position = memoryview(b"".join(content)), 0
    for frame in reader.frames:
        engine = zstandard.ZstdDecompressor(max_window_size=frames.WINDOW_LIMIT).decompressobj()
        expected = engine.decompress(data[position : position + frame.compressed])
        assert engine.eof and not engine.unused_data
        assert len(expected) == frame.content
        assert found[: len(expected)] == expected[: len(found)]
        position, found = position + frame.compressed, found[len(expected) :]


def _frames() -> Iterator[bytes]:
    segments = [segment_of("a", b"text " * 100), bytes(1024), Random(1).randbytes(3000)]  # noqa: S311
    yield b"".join(frame_of(one) for one in segments)
    yield b"".join(stored_frame(one) for one in segments)
    yield frame_of(bytes(1 << 20), 19)
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    yield writer.compress(segments[0]) + writer.flush()


def _feed_table(data: bytes) -> None:
    """A file's end, and all of it as frames that nobody unpacks."""

    def read_at(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    assert isinstance(explain_ending(read_at, len(data), "file"), AirgapError)
    size = seek_table_size(data[-FOOTER_SIZE:])
    table = SeekTable.parse(data[max(0, len(data) - size) :])
    assert SeekTable(list(table)).to_bytes() == data[len(data) - size :]


def _tables() -> Iterator[bytes]:
    yield seek_table([])
    yield seek_table([(14, 3), (1 << 31, 1 << 30)])
    yield assemble([(frame_of(b"abc"), 3), (stored_frame(b"abcd"), 4)])
    yield seek_table([(1, 1)]) + b"more"
    yield frame_of(b"abc") + struct.pack("<II", 0x184D2A5E, 1 << 20)


# The whole bundle -------------------------------------------------------------------------------


@contextmanager
def _as_file(data: bytes) -> Iterator[FileMedium]:
    descriptor = os.memfd_create("bundle")
    try:
        os.write(descriptor, data)
        opened = JoinedFile([OpenFile(Path("bundle"), descriptor)])
        with FileMedium(Path("bundle"), opened) as medium:
            yield medium
    finally:
        os.close(descriptor)


def _content_of(medium: FileMedium | StreamMedium) -> dict[str, bytes]:
    bundle = open_bundle(medium, _GATE)
    found = {file.path: file.content for file in bundle.files}
    for digest, manifest in bundle.graph.manifests.items():
        digest.check(manifest.raw)
        found[str(digest)] = manifest.raw
    for position, member in bundle.blobs():
        found[str(member.digest)] = b"".join(bundle.blob_chunks(position))
        member.digest.check(found[str(member.digest)])
    medium.finish()
    return found


def _feed_bundle(data: bytes) -> None:
    """File and pipe give the same content, or both are refused."""
    piped: dict[str, bytes] | None = None
    try:
        piped = _content_of(StreamMedium(io.BytesIO(data)))
    except AirgapError as problem:
        refusal = problem
    with _as_file(data) as medium:
        try:
            found = _content_of(medium)
        except AirgapError as problem:
            assert piped is None, problem
            raise
        assert piped is not None, refusal
        assert found == piped


def _feed_head(data: bytes) -> None:
    """Whatever is taken from the head of a bundle is what its digest says."""
    with _as_file(data) as medium:
        for digest, content in head_of(medium, 4096).items():
            digest.check(content)
            assert len(content) <= 4096 or content.startswith(b"{")


def _bundles() -> Iterator[bytes]:
    for draft in _drafts():
        segments = draft.segments(_KEY)
        yield assemble([(frame_of(one), len(one)) for one in segments])
        yield assemble([(stored_frame(one), len(one)) for one in segments])


def _other_bundle(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    """Mostly changed somewhere inside and signed anew."""
    work = Workpiece.of(data) if random.random() < 0.8 else None
    if work is None:
        return garble(data)
    try:
        return Forger(_KEY, random).forge(work, 2).data
    except RecursionError:
        # Nested deeper with every change that was kept.
        return garble(data)


# What refers to what ----------------------------------------------------------------------------


class _Graph:
    """Manifests and a statement made of an input's bytes, nearly in order."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._made: list[tuple[bytes, str]] = []
        self._blobs = [f"blob {number}".encode() for number in range(4)]

    def manifests(self) -> dict[Digest, Manifest | Index]:
        """Up to 12 of them, those later referring to those before."""
        for _ in range(1 + self._turns.below(12)):
            if self._made and self._turns.below(2):
                entries = [self._entry(self._made) for _ in range(self._turns.below(4))]
                self._made.append((_json(manifests=entries), mediatype.OCI_INDEX))
            else:
                blobs = [(blob, "application/x") for blob in self._blobs]
                layers = [self._entry(blobs) for _ in range(self._turns.below(3))]
                more: dict[str, object] = {}
                if self._made and self._turns.below(2):
                    more = {"subject": self._entry(self._made)}
                raw = _json(config=self._entry(blobs), layers=layers, **more)
                self._made.append((raw, mediatype.OCI_MANIFEST))
        return {Digest.of(raw): parse_manifest(raw, kind) for raw, kind in self._made}

    def statement(self, manifests: dict[Digest, Manifest | Index]) -> Statement:
        members = [
            _member(manifest.raw, Role.MANIFEST, self._kind(manifest.media_type))
            for manifest in manifests.values()
            if not self._turns.odd(16)
        ]
        members += [_member(blob, Role.BLOB) for blob in self._blobs if not self._turns.odd(16)]
        if self._turns.odd(16) and len(members) > 1:
            members[0], members[1] = members[1], members[0]
        kept = [member for member in members if member.role is Role.MANIFEST]
        images = tuple(
            BundledImage(
                parse_reference(f"reg.test/i{number}:1"),
                (f"reg.test/i{number}:1",),
                member.digest,
                member.media_type or "",
                member.digest,
                (),
                self._attached(manifests, kept),
            )
            for number, member in enumerate(kept)
            if number == len(kept) - 1 or self._turns.below(2)
        )
        return Statement(RELEASE, ("all",), tuple(members), images)

    def _attached(
        self, manifests: dict[Digest, Manifest | Index], kept: list[Member]
    ) -> tuple[Attachment, ...]:
        """Up to three attachments that mostly say of their subjects what is true."""
        found = []
        for _ in range(self._turns.below(4)):
            root = kept[self._turns.below(len(kept))]
            told = manifests[root.digest].subject
            other = kept[self._turns.below(len(kept))].digest
            subject = other if told is None or self._turns.odd(8) else told.digest
            tag = None if told is not None else f"sha256-{subject.hex}.sig"
            kind = AttachmentKind.SIGNATURE
            found.append(Attachment(root.digest, root.media_type or "", subject, tag, kind))
        return tuple(found)

    def _entry(self, among: list[tuple[bytes, str]]) -> dict[str, object]:
        content, kind = among[self._turns.below(len(among))]
        size = len(content) + (self._turns.below(3) - 1 if self._turns.odd(32) else 0)
        digest = Digest.of(content if not self._turns.odd(32) else b"elsewhere")
        return {"mediaType": self._kind(kind), "digest": str(digest), "size": size}

    def _kind(self, kind: str) -> str:
        return mediatype.DOCKER_MANIFEST if self._turns.odd(32) else kind


def _json(**fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def _member(content: bytes, role: Role, media_type: str | None = None) -> Member:
    digest = Digest.of(content)
    return Member(names.blob_path(digest), len(content), digest, role, media_type)


def _feed_graph(data: bytes) -> None:
    """A graph that is accepted is closed: everything below every image is there."""
    made = _Graph(Turns(data))
    manifests = made.manifests()
    statement = made.statement(manifests)
    signed = {member.digest for member in statement.members if member.role is Role.MANIFEST}
    graph = check_graph(
        statement, {digest: one for digest, one in manifests.items() if digest in signed}
    )
    sizes = {(member.role, member.digest): member.size for member in statement.members}
    for root, subject in _roots(statement):
        below = graph.below(root)
        told = graph.manifests[root].subject
        assert subject is None or told is None or told.digest == subject
        assert all(sizes[Role.MANIFEST, one.digest] == len(one.raw) for one in below)
        assert all(sizes[Role.BLOB, blob.digest] == blob.size for blob in unique_blobs(below))


def _roots(statement: Statement) -> Iterator[tuple[Digest, Digest | None]]:
    for image in statement.images:
        yield image.root, None
        yield from ((one.root, one.subject) for one in image.attached)


def _graphs() -> Iterator[bytes]:
    yield b""
    for seed in range(20):
        yield Random(seed).randbytes(60)  # noqa: S311
        yield bytes(byte % 200 for byte in Random(seed).randbytes(200))  # noqa: S311


_WORDS = tuple(
    json.dumps(word).encode()
    for word in (
        *("_type", "subject", "predicateType", "predicate", "members", "images", "totals", "base"),
        *("path", "size", "digest", "role", "mediaType", "source", "literals", "root", "upstream"),
        *("platforms", "format", "critical", "sequence", "created", "expires", "payload"),
        *("attached", "subject", "tag", "kind", "signedBy", "signature", "attestation", "sbom"),
        *("payloadType", "signatures", "keyid", "sig", "sha256", "manifest", "blob", "layout"),
    )
)

TARGETS = {
    "envelope": Target(_feed_envelope, _envelopes, _WORDS, _other_json),
    "statement": Target(_feed_statement, _statements, _WORDS, _other_json),
    "tar-member": Target(_feed_member, _members, (b"ustar\x0000",), _with_checksums),
    "zstd-frames": Target(_feed_frames, _frames, (b"\x28\xb5\x2f\xfd",)),
    "seek-table": Target(_feed_table, _tables, (b"\x5e\x2a\x4d\x18", b"\xb1\xea\x92\x8f")),
    "bundle": Target(_feed_bundle, _bundles, (), _other_bundle),
    "bundle-head": Target(_feed_head, _bundles, (), _other_bundle),
    "image-graph": Target(_feed_graph, _graphs),
}
