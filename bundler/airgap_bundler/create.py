"""Create a bundle: seal the statement, write the file, read it back, give it its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airgap_bundler.composing import Contents, TimeWishes, same_but_time
from airgap_bundler.pinning import as_source_error
from airgap_shared.bundle.admission import Gate
from airgap_shared.bundle.names import MEMBER_LIMIT, blob_path
from airgap_shared.bundle.plan import BundlePlan
from airgap_shared.bundle.statement import Member, Release, Statement, parse_statement
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    LimitExceeded,
    SizeMismatch,
    UpstreamDigestMismatch,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.bundlewriter import PartialBundle
from airgap_shared.stores.opening import check_metadata_size, open_bundle, verify_blobs
from airgap_shared.stores.ports import ImageSource
from airgap_shared.stores.progress import Progress
from airgap_shared.trust.envelope import ENVELOPE_LIMIT, parse_envelope, seal
from airgap_shared.trust.keys import Signer
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.unsealing import unseal


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
            plan = BundlePlan(
                statement,
                seal(payload, [self.signer]).to_json(),
                self.contents.content,
                self.contents.compressible,
            )
            _check_limits(plan)
            self._fill(partial, plan)
            self._read_back(partial, Gate(self._own_policy, statement.release.created))
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

    def _earlier(self, partial: PartialBundle) -> Statement | None:
        """The statement that an interrupted run signed with this key, if there is one."""
        try:
            with partial.medium() as medium:
                envelope = parse_envelope(medium.read_envelope())
            policy, anytime = self._own_policy, datetime.min.replace(tzinfo=UTC)
            return parse_statement(unseal(envelope, policy, anytime).payload)
        except AirgapError:
            return None

    def _resumed(self, statement: Statement, earlier: Statement, partial: Path) -> Statement:
        resumed = same_but_time(statement, earlier, self.wishes)
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


def _check_limits(plan: BundlePlan) -> None:
    """Refuse what no reader would take, before anything large is fetched for it."""
    try:
        members = len(plan.statement.members)
        if members > MEMBER_LIMIT:
            raise LimitExceeded(f"{members} members, over {MEMBER_LIMIT}")
        if len(plan.envelope) > ENVELOPE_LIMIT:
            raise LimitExceeded(f"an envelope of {len(plan.envelope)} bytes, over {ENVELOPE_LIMIT}")
        check_metadata_size(plan.statement)
    except LimitExceeded as problem:
        problem.explain(
            changed="no bundle was written", next_step="make several bundles of the application"
        )
        raise
