"""Opening a bundle: the one verifier behind every command, and the only maker of VerifiedBundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from airgap_shared.bundle import names
from airgap_shared.bundle.admission import Candidate, Gate, admit
from airgap_shared.bundle.graph import ImageGraph, check_graph
from airgap_shared.bundle.index import check_index
from airgap_shared.bundle.statement import Member, Role, Statement, parse_statement
from airgap_shared.errors import (
    LimitExceeded,
    MediaTypeUnsupported,
    MemberMismatch,
    SignatureMissing,
)
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest, ProvenChunks
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.medium import Medium, naming
from airgap_shared.stores.progress import Progress, counted
from airgap_shared.trust.envelope import Envelope, parse_envelope
from airgap_shared.trust.unsealing import join_signatures, unseal

#: Told of a release before anything of it is read; raises if it may not follow what came before.
History = Callable[[Candidate], None]


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose signature, metadata and structure were verified; blobs verify as they pass.

    ``candidate`` says which release it is and who signed it for whom.
    ``files`` are the application's own files as they were given, ``inventory`` the JSON document
    of its images and their uses, ``rules`` the rules file by which they were found, empty when
    there was none. Made by :func:`open_bundle` only.
    """

    statement: Statement
    candidate: Candidate
    graph: ImageGraph
    files: tuple[ManifestFile, ...]
    inventory: bytes
    rules: bytes
    medium: Medium

    def blobs(self) -> Sequence[tuple[int, Member]]:
        """Position and member of every blob, in the order of the archive."""
        return _with_role(self.statement, Role.BLOB)

    def blob_chunks(self, position: int) -> ProvenChunks:
        """The content of the blob at this position, its last piece withheld until proven."""
        member = self.statement.members[position]
        return ProvenChunks(member.digest, member.size, self.medium.read(position))


def read_statement(medium: Medium) -> Statement:
    """What a bundle says of itself, NOT verified: for display only."""
    with naming(medium.name):
        return parse_statement(parse_envelope(medium.read_envelope()).payload)


def open_signed(medium: Medium, detached: Iterable[Envelope] = ()) -> tuple[Envelope, Statement]:
    """The envelope of a bundle and what it says, NOT verified: to sign it, or pass it on.

    Raises:
        SignatureMissing: nobody signed it.
        AirgapError: it is no bundle, or a detached signature is not about it.

    """
    with naming(medium.name):
        envelope = join_signatures(parse_envelope(medium.read_envelope()), detached)
        if not envelope.signatures:
            raise SignatureMissing("the bundle carries no signature")
        return envelope, parse_statement(envelope.payload)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement whose signatures satisfy a policy; nothing of the content was read."""

    envelope: Envelope
    statement: Statement
    candidate: Candidate


def open_statement(
    medium: Medium, gate: Gate, detached: Iterable[Envelope] = ()
) -> SignedStatement:
    """Verify the signatures and hold the statement against the policy (Verification, 1–9).

    Raises:
        AirgapError: of the groups 10–12, 14 and 30.

    """
    with naming(medium.name):
        envelope = join_signatures(parse_envelope(medium.read_envelope()), detached)
        verified = unseal(envelope, gate.policy, gate.now)
        statement = parse_statement(verified.payload)
        return SignedStatement(envelope, statement, admit(verified, statement, gate))


def open_bundle(
    medium: Medium,
    gate: Gate,
    history: History = lambda candidate: None,
    detached: Iterable[Envelope] = (),
) -> VerifiedBundle:
    """Verify signature, policy and all metadata (bundle-spec.md, Verification, 1–12).

    ``history`` is asked as soon as the release is known, ``detached`` are signatures that came
    apart from the bundle.

    Raises:
        AirgapError: of the groups 10–14 and 30, or of ``history``; nothing was changed anywhere.

    """
    signed = open_statement(medium, gate, detached)
    statement, candidate = signed.statement, signed.candidate
    history(candidate)
    check_metadata_size(statement)
    medium.expect(statement.members)
    content = {
        position: b"".join(medium.read(position))
        for position, member in enumerate(statement.members)
        if member.role is not Role.BLOB
    }
    manifests = _manifests(statement, content)
    _check_fixed(statement, content, manifests)
    return VerifiedBundle(
        statement,
        candidate,
        check_graph(statement, manifests),
        tuple(
            ManifestFile(member.path.removeprefix(names.APPLICATION), content[position])
            for position, member in _with_role(statement, Role.APPLICATION)
        ),
        b"".join(content[position] for position, _ in _with_role(statement, Role.INVENTORY)),
        b"".join(content[position] for position, _ in _with_role(statement, Role.RULES)),
        medium,
    )


def verify_blobs(bundle: VerifiedBundle, jobs: int, progress: Progress) -> None:
    """Read and verify every blob and the end of the archive (Verification, 13–14).

    Raises:
        AirgapError: a fault found, not always the first in the archive.

    """
    blobs = bundle.blobs()
    progress.begin("verify", sum(member.size for _, member in blobs), "bytes")
    try:
        for_each(
            (position for position, _ in blobs),
            lambda position, stop: _drain(bundle, position, stop, progress),
            jobs if bundle.medium.random_access else 1,
        )
        bundle.medium.finish()
    finally:
        progress.end()


def _drain(bundle: VerifiedBundle, position: int, stop: Stop, progress: Progress) -> None:
    for _ in counted(stop.guard(bundle.blob_chunks(position)), progress):
        pass


def _with_role(statement: Statement, role: Role) -> list[tuple[int, Member]]:
    return [
        (position, member)
        for position, member in enumerate(statement.members)
        if member.role is role
    ]


def check_metadata_size(statement: Statement) -> None:
    """Raise :class:`LimitExceeded` for more metadata than a reader keeps in memory."""
    metadata = sum(member.size for member in statement.members if member.role is not Role.BLOB)
    if metadata > names.METADATA_LIMIT:
        raise LimitExceeded(f"{metadata} bytes of metadata, over {names.METADATA_LIMIT}")


def _manifests(
    statement: Statement, content: Mapping[int, bytes]
) -> dict[Digest, Manifest | Index]:
    manifests: dict[Digest, Manifest | Index] = {}
    for position, member in _with_role(statement, Role.MANIFEST):
        if member.media_type not in mediatype.MANIFESTS | mediatype.INDEXES:
            raise MediaTypeUnsupported(
                f"unsupported manifest type {(member.media_type or '')[:100]!r}", where=member.path
            )
        manifests[member.digest] = parse_manifest(
            content[position], member.media_type, where=member.path
        )
    return manifests


def _check_fixed(
    statement: Statement,
    content: Mapping[int, bytes],
    manifests: Mapping[Digest, Manifest | Index],
) -> None:
    if content[0] != names.LAYOUT_CONTENT:
        raise MemberMismatch("not an image layout of version 1.0.0", where=names.LAYOUT)
    for position, member in _with_role(statement, Role.INVENTORY):
        document = parse_json(content[position], member.path, values=names.VALUE_LIMIT)
        inventory = Fields(document, member.path)
        if inventory.count("format") != names.FORMAT:
            raise MemberMismatch("not an inventory of format 1", where=member.path)
    sizes = {digest: len(manifest.raw) for digest, manifest in manifests.items()}
    check_index(content[1], statement.images, sizes)
