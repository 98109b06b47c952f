"""Create a bundle: seal the statement, write the file, read it back, give it its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from airgap_bundler.composing import Contents, TimeWishes, same_but_time
from airgap_bundler.pinning import as_source_error
from airgap_shared.bundle.admission import Gate
from airgap_shared.bundle.graph import check_graph
from airgap_shared.bundle.names import MEMBER_LIMIT, blob_path
from airgap_shared.bundle.plan import BundlePlan
from airgap_shared.bundle.statement import Member, Release, Role, Statement, parse_statement
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    LimitExceeded,
    SizeMismatch,
    UpstreamDigestMismatch,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import parse_manifest
from airgap_shared.stores.bundlewriter import PartialBundle
from airgap_shared.stores.opening import check_metadata_size, open_bundle, verify_blobs
from airgap_shared.stores.ports import ImageSource
from airgap_shared.stores.progress import Progress
from airgap_shared.trust.envelope import (
    ENVELOPE_LIMIT,
    PAYLOAD_TYPE,
    SIGNATURE_BYTES_LIMIT,
    SIGNATURE_LIMIT,
    Envelope,
    parse_envelope,
    seal,
    signature_by,
)
from airgap_shared.trust.keys import Signer
from airgap_shared.trust.policy import TrustPolicy


@dataclass(frozen=True, slots=True)
class CreatedBundle:
    """The finished bundle: its files and size in bytes, what was signed, and by which key.

    ``files`` is ``path`` itself, or the parts in order and then their index.
    """

    path: Path
    files: tuple[Path, ...]
    size: int
    statement: Statement
    statement_digest: Digest
    key_id: str


@dataclass(frozen=True, slots=True)
class Creation:
    """One run of create, from pinned contents to a finished file, or parts of ``part_size``."""

    contents: Contents
    open_registry: Callable[[str], ImageSource]
    signer: Signer
    jobs: int
    progress: Progress
    wishes: TimeWishes
    part_size: int | None = None

    def write(self, output: Path, release: Release, platforms: tuple[str, ...]) -> CreatedBundle:
        """Write ``output``, or go on where an interrupted run with the same contents stopped.

        Raises:
            AirgapError: nothing is at ``output`` that was not there before; what was fetched is
                kept beside it, in files that end in ``.partial``, for the next run.

        """
        partial = PartialBundle(output, self.part_size)
        with partial.opened():
            statement = self.contents.statement(release, platforms)
            earlier = self._earlier(partial)
            if earlier is not None:
                statement = self._resumed(statement, earlier, partial.path)
            payload = statement.to_json()
            _check_limits(statement, payload)
            self._check_graph(statement)
            plan = BundlePlan(
                statement,
                self._seal(payload, earlier).to_json(),
                self.contents.content,
                self.contents.compressible,
            )
            self._fill(partial, plan)
            self._read_back(partial, Gate(self._own_policy, statement.release.created))
            partial.sync()
            size = partial.size
            files = partial.publish(self.jobs, self.progress)
        return CreatedBundle(
            output,
            files,
            size,
            statement,
            Digest.of(payload),
            self.signer.public_key.key_id,
        )

    def _check_graph(self, statement: Statement) -> None:
        """Refuse to sign what no reader would take: upstream manifests that contradict others."""
        content = self.contents.content
        manifests = {
            one.digest: parse_manifest(content[one.path], one.media_type, one.path)
            for one in statement.members
            if one.role is Role.MANIFEST
        }
        try:
            check_graph(statement, manifests)
        except AirgapError as problem:
            problem.explain(changed="no bundle was written")
            raise

    def _fill(self, partial: PartialBundle, plan: BundlePlan) -> None:
        """Write everything; content that is not what its digest says is its source's fault."""
        try:
            partial.write(plan, self._fetch, self.jobs, self.progress)
        except (DigestMismatch, SizeMismatch) as problem:
            sources = {blob_path(d): f"{at}@{d}" for d, at in self.contents.locations.items()}
            raise UpstreamDigestMismatch(
                problem.what,
                where=sources.get(problem.where, problem.where),
                changed="no bundle was written",
                next_step="run again; if it stays so, the registry or a mirror is damaged",
            ) from problem

    def _fetch(self, member: Member, offset: int) -> Iterator[bytes]:
        location = self.contents.locations[member.digest]
        try:
            registry = self.open_registry(location.registry)
            yield from registry.blob_chunks(location.repository, member.digest, member.size, offset)
        except AirgapError as problem:
            raise as_source_error(problem, f"{location}@{member.digest}") from problem

    def _seal(self, payload: bytes, earlier: Envelope | None) -> Envelope:
        """Sign, or take the signature that an interrupted run made over the very same bytes.

        Other signers than ours sign anew each time, and might ask somebody for a PIN.
        """
        if earlier is None or earlier.payload != payload:
            return seal(payload, [self.signer])
        return earlier

    def _earlier(self, partial: PartialBundle) -> Envelope | None:
        """What an interrupted run signed with this key, by this key's signature alone."""
        try:
            with partial.medium() as medium:
                envelope = parse_envelope(medium.read_envelope())
        except AirgapError:
            return None
        signature = signature_by(envelope, self.signer.public_key)
        if signature is None or envelope.payload_type != PAYLOAD_TYPE:
            return None
        return replace(envelope, signatures=(signature,))

    def _resumed(self, statement: Statement, earlier: Envelope, partial: Path) -> Statement:
        try:
            before = parse_statement(earlier.payload)
        except AirgapError:
            return statement
        resumed = same_but_time(statement, before, self.wishes)
        if resumed is None:
            self.progress.note(
                f"{partial} was begun with other contents, or for another time; starting over"
            )
            return statement
        self.progress.note(f"going on with {partial}")
        return resumed

    @property
    def _own_policy(self) -> TrustPolicy:
        return TrustPolicy.of_keys((self.signer.public_key,))

    def _read_back(self, partial: PartialBundle, gate: Gate) -> None:
        """Read the file as a receiver would at the time it was made."""
        with partial.medium() as medium:
            bundle = open_bundle(medium, gate)
            verify_blobs(bundle, self.jobs, self.progress)


def _check_limits(statement: Statement, payload: bytes) -> None:
    """Refuse what no reader would take, before it is signed and anything large is fetched."""
    try:
        members = len(statement.members)
        if members > MEMBER_LIMIT:
            raise LimitExceeded(f"{members} members, over {MEMBER_LIMIT}")
        size = len(payload) * 4 // 3 + SIGNATURE_LIMIT * 2 * SIGNATURE_BYTES_LIMIT
        if size > ENVELOPE_LIMIT:
            raise LimitExceeded(f"an envelope of {size} bytes, over {ENVELOPE_LIMIT}")
        check_metadata_size(statement)
    except LimitExceeded as problem:
        problem.explain(
            changed="no bundle was written", next_step="make several bundles of the application"
        )
        raise
