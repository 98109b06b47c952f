"""Verified content into the target registry: blobs, then manifests by digest, then tags.

The order keeps the registry consistent at every moment: nothing refers to what is not there, and
nothing people can see changes before the whole bundle was proven (bundle-spec.md, Importing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from airgap_importer.attachmentpush import REFUSALS, AttachmentPush
from airgap_importer.blobcontent import BlobContent
from airgap_importer.keeptags import is_kept, keep_tag
from airgap_importer.lookups import INTERNAL_ERROR
from airgap_importer.pushplan import (
    BlobPlan,
    PushPlan,
    RepositoryPlan,
    is_held,
    is_present,
)
from airgap_importer.readback import read_back
from airgap_importer.referrers import ReferrersKeeper
from airgap_importer.releasetags import TagSetter
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import (
    RateLimited,
    RegistryIntegrity,
    RegistryRejected,
    RegistryTimeout,
    RegistryUnavailable,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress, counted

#: So large a blob from a pipe is held in memory where the registry may refuse it, in bytes.
_HELD = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PushReport:
    """What was done, attachments included: counts, and bytes of blobs sent."""

    repositories: int
    manifests_present: int
    manifests_pushed: int
    blobs_sent: int
    bytes_sent: int
    blobs_mounted: int
    tags_set: int


@dataclass
class _Tally:
    """Counts what happened; only whole numbers added under the interpreter's lock."""

    sent: list[int] = field(default_factory=list)
    mounted: list[str] = field(default_factory=list)


class Push:
    """One import into one registry."""

    def __init__(
        self, bundle: VerifiedBundle, plan: PushPlan, target: ImageTarget, jobs: int
    ) -> None:
        self._bundle = bundle
        self._plan = plan
        self._target = target
        self._jobs = jobs
        self._tally = _Tally()
        self._referrers = ReferrersKeeper(target, plan.lists)
        self._tags = TagSetter(target, bundle.graph.manifests, jobs)
        self.attachments = AttachmentPush(plan, target, jobs)

    def send(self, progress: Progress) -> None:
        """Push what is missing by digest, read it back, and give every manifest its keep-tag.

        Where the registry does not do so itself, what has a subject is entered in its list.

        Raises:
            AirgapError: blobs and manifests pushed so far stay, unseen; a re-run goes on.

        """
        self._send_blobs(progress)
        self._bundle.medium.finish()
        progress.begin("push manifests", len(self._plan.repositories), "repositories")
        try:
            for_each(
                self._plan.repositories,
                lambda repository, _: self._finish_repository(repository, progress),
                self._jobs,
            )
        finally:
            progress.end()
        self.attachments.send(progress)

    def read_back(self, progress: Progress) -> None:
        """Fetch and hash everything that the import relies on; call it before any tag is set.

        Raises:
            RegistryIntegrity: the registry returns other bytes than were pushed.

        """
        repositories = (*self._plan.repositories, *self.attachments.accepted)
        read_back(repositories, self._target, self._jobs, progress)

    def set_tags(self) -> None:
        """Set the tags people know; the last thing that happens in the registry.

        Raises:
            TagConflict: another client has set one since; no release tag was set.
            TagImmutable, RegistryIntegrity: a tag is not taken, or names something else after.

        """
        self.attachments.publish()
        self._tags.set(self._plan.release)

    def verified(self) -> dict[str, frozenset[Digest]]:
        """The manifests read back from each repository; true after :meth:`send`."""
        return {
            plan.repository: frozenset(manifest.digest for manifest in plan.manifests)
            for plan in self._plan.repositories
        }

    def report(self) -> PushReport:
        """What was done so far."""
        plan = self._plan
        return PushReport(
            len(plan.repositories),
            sum(len(repository.present) for repository in (*plan.repositories, *plan.attached)),
            sum(len(repository.missing) for repository in plan.repositories)
            + len(self.attachments.pushed),
            len(self._tally.sent),
            sum(self._tally.sent),
            len(self._tally.mounted),
            len(self._tags.done) + len(self.attachments.tags_set),
        )

    def _send_blobs(self, progress: Progress) -> None:
        plans: dict[Digest, list[BlobPlan]] = {}
        for plan in self._plan.blobs:
            plans.setdefault(plan.blob.digest, []).append(plan)
        one_pass = not self._bundle.medium.random_access
        work = [
            (position, member, plans.get(member.digest, []))
            for position, member in self._bundle.blobs()
            if member.digest in plans or one_pass
        ]
        progress.begin("push", self._plan.bytes_to_send, "bytes")
        try:
            for_each(
                work,
                lambda item, stop: self._place(self._content(*item[:2], stop, progress), item[2]),
                1 if one_pass else self._jobs,
            )
        finally:
            progress.end()

    def _content(
        self, position: int, member: Member, stop: Stop, progress: Progress
    ) -> BlobContent:
        return BlobContent(
            self._bundle,
            position,
            member.digest,
            member.size,
            self._target,
            lambda chunks: counted(stop.guard(chunks), progress),
        )

    def _place(self, content: BlobContent, plans: Sequence[BlobPlan]) -> None:
        """Get one blob into every repository that lacks it.

        A pipe gives the content only once, so that it is not read before a mount is declined, and
        what is needed comes before what is optional.
        """
        for plan in sorted(plans, key=lambda plan: plan.may_be_refused):
            self._spread(content, plan)
        content.read_past()

    def _spread(self, content: BlobContent, plan: BlobPlan) -> None:
        """Get one blob into repositories that may take it over from each other: sent once."""
        holder = plan.holder
        for repository in plan.wanting:
            if holder is not None and self._mounted(repository, plan.blob, holder):
                continue
            if self._sent(repository, plan, content):
                content.holder = holder = repository

    def _sent(self, repository: str, plan: BlobPlan, content: BlobContent) -> bool:
        """Send a blob; what only attachments need may be refused."""
        optional = repository in plan.optional
        if optional and plan.blob.size <= _HELD:
            # Refused half-way, it would leave the pipe in the middle of a member.
            content.hold()
        try:
            self._send(repository, plan.blob, content.open)
        except REFUSALS as problem:
            if not optional or not content.is_lasting:
                raise
            self.attachments.lost[repository, plan.blob.digest] = problem.what
            return False
        return True

    def _mounted(self, repository: str, blob: Descriptor, holder: str) -> bool:
        try:
            if not self._target.mount_blob(repository, blob.digest, holder):
                return False
        except (RateLimited, RegistryTimeout, RegistryUnavailable):
            # Sending it may work where the registry stumbles over its own copy.
            return False
        self._tally.mounted.append(repository)
        return True

    def _send(self, repository: str, blob: Descriptor, body: Callable[[], Iterable[bytes]]) -> None:
        self._target.push_blob(repository, blob.digest, blob.size, body)
        self._tally.sent.append(blob.size)

    def _finish_repository(self, plan: RepositoryPlan, progress: Progress) -> None:
        self._restore(plan)
        try:
            self._put(plan)
        except RegistryRejected:
            # The registry may have collected garbage since its blobs were looked at.
            if not self._restore(plan):
                raise
            self._put_again(plan)
        for manifest in plan.missing:
            self._check_taken(plan.repository, manifest)
        for manifest in (*plan.unkept, *plan.missing):
            self._keep(plan.repository, manifest)
        self._referrers.write(plan.repository)
        progress.advance(1)

    def _check_taken(self, repository: str, manifest: Manifest | Index) -> None:
        where = f"{repository}@{manifest.digest}"
        try:
            taken = is_present(self._target, repository, manifest, self._plan.frugal)
        except RegistryUnavailable as problem:
            if problem.status != INTERNAL_ERROR:
                raise
            raise RegistryIntegrity(
                f"the registry took a manifest and cannot return it: {problem.what}",
                where=where,
                next_step="its storage may hold a broken copy, which a crash can leave: have it "
                f"removed (docker-registry: the folder of {manifest.digest} below blobs/) "
                "and run again",
            ) from problem
        if not taken:
            raise RegistryIntegrity(
                "a manifest is not there although the registry took it", where=where
            )

    def _keep(self, repository: str, manifest: Manifest | Index) -> None:
        """Give a manifest the tag without which it may be collected, and see that it is there."""
        if is_kept(self._target, repository, manifest):
            return
        tag = keep_tag(manifest.digest)
        self._target.put_manifest(repository, tag, manifest.raw, manifest.media_type)
        if not is_kept(self._target, repository, manifest):
            raise RegistryIntegrity(
                "a tag is not there although the registry took it",
                where=f"{repository}:{tag}",
                next_step="run again; if it stays so, look at the registry's log",
            )

    def _put(self, plan: RepositoryPlan) -> None:
        for manifest in plan.missing:
            subject = self._target.put_manifest(
                plan.repository, str(manifest.digest), manifest.raw, manifest.media_type
            )
            self._referrers.pushed(plan.repository, manifest, subject)

    def _put_again(self, plan: RepositoryPlan) -> None:
        try:
            self._put(plan)
        except RegistryRejected as problem:
            raise RegistryIntegrity(
                f"the registry does not keep the blobs that it takes: {problem.what}",
                where=problem.where,
                next_step="let its garbage collection end, and run again",
                details=problem.details,
            ) from problem

    def _restore(self, plan: RepositoryPlan) -> bool:
        """Send the blobs of the missing manifests that are gone again, once; whether any were."""
        gone = [
            blob
            for blob in unique_blobs(plan.missing)
            if not is_held(self._target, plan.repository, blob)
        ]
        for blob in gone:
            if self._bundle.medium.random_access:
                self._send_again(plan.repository, blob)
            if not is_held(self._target, plan.repository, blob):
                raise RegistryIntegrity(
                    "a blob is not there although the registry took it",
                    where=f"{plan.repository}@{blob.digest}",
                    next_step="run again; if it stays so, look at the registry's log",
                )
        return bool(gone)

    def _send_again(self, repository: str, blob: Descriptor) -> None:
        positions = {member.digest: position for position, member in self._bundle.blobs()}
        position = positions[blob.digest]
        self._send(repository, blob, lambda: self._bundle.blob_chunks(position))
