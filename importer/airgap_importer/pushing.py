"""Verified content into the target registry: blobs, then manifests by digest, then tags.

The order keeps the registry consistent at every moment: nothing refers to what is not there, and
nothing people can see changes before the whole bundle was proven (bundle-spec.md, Importing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.errors import (
    DigestMismatch,
    RegistryBlobCorrupt,
    RegistryIntegrity,
    TagConflict,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress, counted


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """What one repository of the target still lacks.

    ``present`` and ``missing`` are manifests, children before parents.
    """

    repository: str
    present: tuple[Manifest | Index, ...]
    missing: tuple[Manifest | Index, ...]


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """One blob that has to get somewhere: which repositories lack it, and one that has it."""

    blob: Descriptor
    wanting: tuple[str, ...]
    holder: str | None


@dataclass(frozen=True, slots=True)
class PushPlan:
    """Everything that is to be done, found out before anything is changed."""

    repositories: tuple[RepositoryPlan, ...]
    blobs: tuple[BlobPlan, ...]
    tags: tuple[RelocatedImage, ...]

    @property
    def to_send(self) -> tuple[Descriptor, ...]:
        """The blobs that are in no repository of the target that is known."""
        return tuple(plan.blob for plan in self.blobs if plan.holder is None)


@dataclass(frozen=True, slots=True)
class PushReport:
    """What was done: counts, and bytes of blobs sent."""

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


def keep_tag(digest: Digest) -> str:
    """The tag that saves a manifest from a registry's garbage collection.

    Not ``sha256-…``: that is the tag under which clients look for a manifest's referrers.
    """
    return f"airgap-{digest.hex[:120]}"


class Push:
    """One import into one registry."""

    def __init__(
        self, bundle: VerifiedBundle, relocation: Relocation, target: ImageTarget, jobs: int
    ) -> None:
        self._bundle = bundle
        self._relocation = relocation
        self._target = target
        self._jobs = jobs
        self._tally = _Tally()

    def plan(self, move_tags: bool) -> PushPlan:
        """Ask the registry what is there; nothing is changed.

        Raises:
            TagConflict: a tag names something else there, and ``move_tags`` is not said.
            AirgapError: of the groups 20–25.

        """
        self._target.ping()
        tags = self._tags_to_set(move_tags)
        repositories = tuple(
            for_each(
                self._roots().items(), lambda item, _: self._plan_repository(*item), self._jobs
            )
        )
        return PushPlan(repositories, self._plan_blobs(repositories), tags)

    def send(self, plan: PushPlan, progress: Progress) -> None:
        """Push what is missing by digest, read it back, and give every manifest its keep-tag.

        Raises:
            AirgapError: blobs and manifests pushed so far stay, unseen; a re-run goes on.

        """
        self._send_blobs(plan, progress)
        self._bundle.medium.finish()
        progress.begin("push manifests", len(plan.repositories), "repositories")
        try:
            for_each(
                plan.repositories,
                lambda repository, _: self._finish_repository(repository, progress),
                self._jobs,
            )
        finally:
            progress.end()

    def set_tags(self, plan: PushPlan) -> None:
        """Set the tags people know; the last thing that happens in the registry.

        Raises:
            RegistryIntegrity: a tag does not name what it was set to.

        """
        for_each(plan.tags, lambda image, _: self._set_tag(image), self._jobs)

    def report(self, plan: PushPlan) -> PushReport:
        """What was done."""
        return PushReport(
            len(plan.repositories),
            sum(len(repository.present) for repository in plan.repositories),
            sum(len(repository.missing) for repository in plan.repositories),
            len(self._tally.sent),
            sum(self._tally.sent),
            len(self._tally.mounted),
            len(plan.tags),
        )

    def _roots(self) -> dict[str, tuple[Digest, ...]]:
        roots: dict[str, dict[Digest, None]] = {}
        for image in self._relocation.images.values():
            roots.setdefault(image.repository, {})[image.digest] = None
        return {repository: tuple(digests) for repository, digests in roots.items()}

    def _tags_to_set(self, move_tags: bool) -> tuple[RelocatedImage, ...]:
        tagged = {
            (image.repository, image.tag): image
            for image in self._relocation.images.values()
            if image.tag is not None
        }
        found = for_each(
            tagged.values(),
            lambda image, _: self._target.head_manifest(image.repository, image.tag or ""),
            self._jobs,
        )
        changes = [
            (image, present)
            for image, present in zip(tagged.values(), found, strict=True)
            if present is None or present.digest != image.digest
        ]
        conflicts = [
            f"{image.name}:{image.tag} is {present.digest}, would become {image.digest}"
            for image, present in changes
            if present is not None
        ]
        if conflicts and not move_tags:
            raise TagConflict(
                f"{len(conflicts)} tags exist in the target and name something else",
                changed="nothing was changed",
                next_step="add --move-tags to let them name the new images; "
                "what runs now is pinned by digest and stays",
                details=conflicts,
            )
        return tuple(image for image, _ in changes)

    def _plan_repository(self, repository: str, roots: Sequence[Digest]) -> RepositoryPlan:
        manifests = {
            manifest.digest: manifest
            for root in roots
            for manifest in self._bundle.graph.below(root)
        }
        present: list[Manifest | Index] = []
        missing: list[Manifest | Index] = []
        for manifest in manifests.values():
            held = self._is_present(repository, manifest)
            (present if held else missing).append(manifest)
        return RepositoryPlan(repository, tuple(present), tuple(missing))

    def _is_present(self, repository: str, manifest: Manifest | Index) -> bool:
        """Whether the registry returns exactly these bytes; then its blobs are there as well."""
        try:
            found = self._target.get_manifest(repository, str(manifest.digest))
        except DigestMismatch as problem:
            raise RegistryIntegrity(
                f"the registry returns other content: {problem.what}",
                where=f"{repository}@{manifest.digest}",
                next_step="delete the manifest there and run again",
            ) from problem
        return found is not None

    def _plan_blobs(self, repositories: Sequence[RepositoryPlan]) -> tuple[BlobPlan, ...]:
        wanted = [
            (repository.repository, blob)
            for repository in repositories
            for blob in unique_blobs(repository.missing)
        ]
        held = for_each(wanted, lambda item, _: self._is_held(*item), self._jobs)
        holders = {
            blob.digest: repository.repository
            for repository in repositories
            for blob in unique_blobs(repository.present)
        }
        wanting: dict[Digest, list[str]] = {}
        blobs: dict[Digest, Descriptor] = {}
        for (repository, blob), is_held in zip(wanted, held, strict=True):
            if is_held:
                holders[blob.digest] = repository
            else:
                wanting.setdefault(blob.digest, []).append(repository)
                blobs[blob.digest] = blob
        return tuple(
            BlobPlan(blobs[digest], tuple(names), holders.get(digest))
            for digest, names in wanting.items()
        )

    def _is_held(self, repository: str, blob: Descriptor) -> bool:
        size = self._target.blob_size(repository, blob.digest)
        if size is not None and size != blob.size:
            raise RegistryBlobCorrupt(
                f"the registry holds {size} bytes of a blob of {blob.size}",
                where=f"{repository}@{blob.digest}",
                next_step="its storage is damaged: delete this blob's file there, "
                "or the whole repository, and run again",
            )
        return size is not None

    def _send_blobs(self, plan: PushPlan, progress: Progress) -> None:
        plans = {item.blob.digest: item for item in plan.blobs}
        one_pass = not self._bundle.medium.random_access
        work = [
            (position, plans.get(member.digest))
            for position, member in self._bundle.blobs()
            if member.digest in plans or one_pass
        ]
        progress.begin("push", sum(blob.size for blob in plan.to_send), "bytes")
        try:
            for_each(
                work,
                lambda item, stop: self._place(*item, stop, progress),
                1 if one_pass else self._jobs,
            )
        finally:
            progress.end()

    def _place(self, position: int, plan: BlobPlan | None, stop: Stop, progress: Progress) -> None:
        """Get one blob into every repository that lacks it: sent once, mounted elsewhere."""

        def body() -> Iterator[bytes]:
            return counted(stop.guard(self._bundle.blob_chunks(position)), progress)

        if plan is None or (plan.holder is not None and not self._bundle.medium.random_access):
            for _ in self._bundle.blob_chunks(position):
                pass
        if plan is None:
            return
        holder = plan.holder
        for repository in plan.wanting:
            if holder is not None and self._mounted(repository, plan.blob, holder):
                continue
            self._send(repository, plan.blob, body)
            holder = repository

    def _mounted(self, repository: str, blob: Descriptor, holder: str) -> bool:
        if not self._target.mount_blob(repository, blob.digest, holder):
            return False
        self._tally.mounted.append(repository)
        return True

    def _send(self, repository: str, blob: Descriptor, body: Callable[[], Iterator[bytes]]) -> None:
        self._target.push_blob(repository, blob.digest, blob.size, body)
        self._tally.sent.append(blob.size)

    def _finish_repository(self, plan: RepositoryPlan, progress: Progress) -> None:
        for blob in unique_blobs(plan.missing):
            if not self._is_held(plan.repository, blob):
                raise RegistryIntegrity(
                    "a blob is not there although the registry took it",
                    where=f"{plan.repository}@{blob.digest}",
                    next_step="run again; if it stays so, look at the registry's log",
                )
        for manifest in plan.missing:
            self._target.put_manifest(
                plan.repository, str(manifest.digest), manifest.raw, manifest.media_type
            )
        for manifest in plan.missing:
            if not self._is_present(plan.repository, manifest):
                raise RegistryIntegrity(
                    "a manifest is not there although the registry took it",
                    where=f"{plan.repository}@{manifest.digest}",
                )
        for manifest in (*plan.present, *plan.missing):
            self._keep(plan.repository, manifest)
        progress.advance(1)

    def _keep(self, repository: str, manifest: Manifest | Index) -> None:
        tag = keep_tag(manifest.digest)
        found = self._target.head_manifest(repository, tag)
        if found is None or found.digest != manifest.digest:
            self._target.put_manifest(repository, tag, manifest.raw, manifest.media_type)

    def _set_tag(self, image: RelocatedImage) -> None:
        manifest = self._bundle.graph.manifests[image.digest]
        tag = image.tag or ""
        self._target.put_manifest(image.repository, tag, manifest.raw, manifest.media_type)
        found = self._target.head_manifest(image.repository, tag)
        if found is None or found.digest != image.digest:
            raise RegistryIntegrity(
                f"the tag names {found.digest if found else 'nothing'}, not {image.digest}",
                where=f"{image.name}:{tag}",
                next_step="run again; another client may be moving the same tag",
            )
