"""What is attached to images into the target: after the images, and never in their way.

A registry that does not take a signature, or not under its tag, does not stop an import: what it
refused is told and kept beside the overlay (attachmentcopy). Faults that may pass are faults here
as elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from airgap_importer.attachmentplan import AttachmentsDue, PlacedAttachment, by_repository
from airgap_importer.keeptags import is_kept, keep_tag
from airgap_importer.lookups import LenientLookup
from airgap_importer.pushplan import (
    PushPlan,
    RepositoryPlan,
    is_present,
)
from airgap_importer.referrers import DueList, ReferrersKeeper, due_lists, lists_in
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.errors import (
    ContentRefused,
    RegistryAuthError,
    RegistryIntegrity,
    RegistryRejected,
    TagImmutable,
)
from airgap_shared.oci.attachment import signatures_in
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress

#: What a registry says that will not take something, however often it is asked.
REFUSALS = (RegistryRejected, RegistryAuthError, TagImmutable)


@dataclass(frozen=True, slots=True)
class RefusedAttachment:
    """An attachment that is not in the target as it should be, and why."""

    placed: PlacedAttachment
    reason: str


@dataclass(frozen=True, slots=True)
class AttachmentReport:
    """What became of the attachments: manifests pushed, cosign tags set, and what is not there."""

    bundled: int
    manifests_pushed: int
    tags_set: int
    refused: tuple[RefusedAttachment, ...]

    def to_document(self) -> dict[str, object]:
        """As results and receipts have it; references are without the registry."""
        return {
            "bundled": self.bundled,
            "manifests_pushed": self.manifests_pushed,
            "tags_set": self.tags_set,
            "refused": [
                {
                    "reference": one.placed.name,
                    "digest": str(one.placed.entry.root),
                    "subject": str(one.placed.entry.subject),
                    "kind": one.placed.entry.kind.value,
                    "reason": one.reason,
                }
                for one in self.refused
            ],
        }

    def summary(self, copies: str) -> str:
        """One line for people, which says where the copies are; empty where there were none."""
        if not self.bundled:
            return ""
        refused = f"; the registry refused {len(self.refused)}: see {copies}"
        return (
            f"  {self.bundled - len(self.refused)} of {self.bundled} signatures, attestations and "
            f"the like are beside the images{refused if self.refused else ''}\n"
        )


@dataclass(slots=True)
class AttachmentPush:
    """The attachments of one import on their way into the target.

    ``lost`` are the blobs that the registry refused, by repository, filled while blobs are sent.
    What may not be read counts as absent where ``hidden``: see lookups.
    """

    plan: PushPlan
    target: ImageTarget
    jobs: int
    hidden: bool = False
    lost: dict[tuple[str, Digest], str] = field(default_factory=dict)
    pushed: list[Digest] = field(default_factory=list)
    tags_set: list[str] = field(default_factory=list)
    _refused: dict[PlacedAttachment, str] = field(default_factory=dict)
    _keeper: ReferrersKeeper = field(init=False)
    _taken: Collection[tuple[str, str | None]] = field(init=False)
    _ours: Collection[tuple[str, Digest]] = field(init=False)

    def __post_init__(self) -> None:
        self._keeper = ReferrersKeeper(self.target, ())
        self._taken = {(image.destination, image.tag) for image in self.plan.release.images}
        self._ours = {
            (plan.repository, m.digest) for plan in self.plan.attached for m in plan.missing
        }

    @property
    def refused(self) -> tuple[RefusedAttachment, ...]:
        """What did not get there, in the order of the bundle."""
        return tuple(
            RefusedAttachment(one, self._refused[one])
            for one in self.plan.placed
            if one in self._refused
        )

    @property
    def accepted(self) -> tuple[RepositoryPlan, ...]:
        """What the registry has of the attachments now, by repository."""
        lost = {(one.repository, m.digest) for one in self._refused for m in one.manifests}
        return tuple(
            replace(
                plan,
                missing=tuple(m for m in plan.missing if (plan.repository, m.digest) not in lost),
            )
            for plan in self.plan.attached
        )

    def due(self) -> AttachmentsDue:
        """What :meth:`publish` will do, as far as can be known before; nothing is changed.

        Raises:
            AirgapError: a fault that may pass; what would be refused is not due.

        """
        tags: list[str] = []
        lists: list[str] = []

        def look_at_lists(one: PlacedAttachment) -> None:
            lists.extend(due.where for due in self._due_lists(one))

        def look_at_tag(one: PlacedAttachment) -> None:
            if one.entry.tag is not None and self._is_due(one):
                tags.append(one.name)

        def look(one: PlacedAttachment) -> None:
            self._attempt(one, functools.partial(look_at_lists, one))
            self._attempt(one, functools.partial(look_at_tag, one))

        for_each(self.plan.placed, lambda one, _: look(one), self.jobs)
        return AttachmentsDue(tuple(sorted(set(tags))), tuple(sorted(set(lists))))

    def send(self, progress: Progress) -> None:
        """Push the manifests that are missing, by digest, and give each its keep-tag.

        Raises:
            AirgapError: a fault that may pass; a refusal is noted instead.

        """
        if not self.plan.placed:
            return
        progress.begin("push signatures", len(self.plan.placed), "attachments")
        plans = {plan.repository: plan for plan in self.plan.attached}
        try:
            for_each(
                tuple(by_repository(self.plan.placed)),
                lambda work, _: self._send_repository(plans[work[0]], work[1], progress),
                self.jobs,
            )
        finally:
            progress.end()

    def publish(self) -> None:
        """Let clients find them: enter referrers in their lists, and set cosign's tags.

        Raises:
            AirgapError: a fault that may pass; a refusal is noted instead.

        """

        def publish(work: tuple[str, tuple[PlacedAttachment, ...]]) -> None:
            for one in work[1]:
                if one in self._refused:
                    continue
                self._attempt(one, functools.partial(self._list, one))
                if one.entry.tag is not None:
                    self._attempt(one, functools.partial(self._tag, one))

        for_each(tuple(by_repository(self.plan.placed)), lambda work, _: publish(work), self.jobs)

    def _send_repository(
        self, plan: RepositoryPlan, placed: Sequence[PlacedAttachment], progress: Progress
    ) -> None:
        missing = {manifest.digest for manifest in plan.missing}
        unkept = missing | {manifest.digest for manifest in plan.unkept}
        for one in placed:
            self._attempt(one, functools.partial(self._send, one, missing, unkept))
            progress.advance(1)

    def _send(self, one: PlacedAttachment, missing: set[Digest], unkept: set[Digest]) -> None:
        for manifest in one.manifests:
            if manifest.digest in missing:
                self._put(one.repository, manifest)
                missing.discard(manifest.digest)
                self.pushed.append(manifest.digest)
            if manifest.digest in unkept:
                self._keep(one.repository, manifest)
                unkept.discard(manifest.digest)

    def _put(self, repository: str, manifest: Manifest | Index) -> None:
        for blob in unique_blobs([manifest]):
            if reason := self.lost.get((repository, blob.digest)):
                raise RegistryRejected(f"its blob {blob.digest} was refused: {reason}")
        subject = self.target.put_manifest(
            repository, str(manifest.digest), manifest.raw, manifest.media_type
        )
        if not is_present(self.target, repository, manifest, self.plan.frugal):
            raise RegistryRejected("it is not there although the registry took it")
        self._keeper.pushed(repository, manifest, subject)

    def _keep(self, repository: str, manifest: Manifest | Index) -> None:
        if is_kept(self.target, repository, manifest):
            return
        tag = keep_tag(manifest.digest)
        self.target.put_manifest(repository, tag, manifest.raw, manifest.media_type)

    def _list(self, one: PlacedAttachment) -> None:
        """Enter what has a subject in the lists that the registry does not keep itself."""
        due = self._due_lists(one)
        if due:
            replace(self._keeper, due=due).write(one.repository)

    def _due_lists(self, one: PlacedAttachment) -> tuple[DueList, ...]:
        wanted = [
            due
            for due in lists_in(one.repository, one.manifests)
            if (due.repository, due.tag) not in self._taken
        ]
        return due_lists(wanted, self._ours, LenientLookup(self.target, self.hidden), 1)

    def _tag(self, one: PlacedAttachment) -> None:
        if not self._is_due(one):
            return
        tag, root = one.entry.tag or "", one.manifests[-1]
        self.target.put_manifest(one.repository, tag, root.raw, root.media_type)
        found = self.target.head_manifest(one.repository, tag)
        if found is None or found.digest != root.digest:
            raise RegistryRejected("its tag names something else after it was set")
        self.tags_set.append(one.name)

    def _is_due(self, one: PlacedAttachment) -> bool:
        """Whether the tag of an attachment has to be set.

        Raises:
            RegistryRejected: it may not be, for it names something else.

        """
        tag = one.entry.tag or ""
        if (one.repository, tag) in self._taken:
            raise RegistryRejected("its tag is that of an image here")
        lookup = LenientLookup(self.target, self.hidden)
        found = lookup.head_manifest(one.repository, tag)
        return found is None or self._may_replace(one.repository, found.digest, one.manifests[-1])

    def _may_replace(self, repository: str, found: Digest, root: Manifest | Index) -> bool:
        """Whether a tag that names ``found`` has to name ``root``; nothing of others is lost.

        Raises:
            RegistryRejected: it names what is not ours, and what ours would remove.

        """
        if found == root.digest:
            return False
        theirs = self._signatures(repository, found)
        if theirs is not None and theirs >= signatures_in(root):
            # It has grown since, by somebody here or by a later bundle.
            return False
        kept = self.target.head_manifest(repository, keep_tag(found))
        if kept is not None and kept.digest == found:
            return True
        if theirs is not None and theirs <= signatures_in(root):
            return True
        raise RegistryRejected("its tag names something that was not imported, which stays")

    def _signatures(self, repository: str, digest: Digest) -> frozenset[tuple[Digest, str]] | None:
        try:
            found = self.target.get_manifest(repository, str(digest))
            if found is None:
                return frozenset()
            return signatures_in(parse_manifest(found.raw, found.media_type))
        except (ContentRefused, RegistryIntegrity):
            return None

    def _attempt(self, one: PlacedAttachment, act: Callable[[], None]) -> None:
        try:
            act()
        except REFUSALS as problem:
            self._refused[one] = problem.what

    def report(self) -> AttachmentReport:
        """What became of them."""
        return AttachmentReport(
            len(self.plan.placed), len(self.pushed), len(self.tags_set), self.refused
        )
