"""What a push has to do, found out by asking the registry and before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap_importer.attachmentplan import PlacedAttachment, by_repository
from airgap_importer.keeptags import check_keep_tags, is_kept
from airgap_importer.lookups import LenientLookup
from airgap_importer.referrers import DueList, due_lists, lists_in
from airgap_importer.releasetags import DueTag, ReleaseTags
from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_shared.bundle.graph import ImageGraph, unique_blobs
from airgap_shared.errors import (
    Denied,
    DigestMismatch,
    RegistryBlobCorrupt,
    RegistryIntegrity,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageLookup, ImageTarget


@dataclass(frozen=True, slots=True)
class RepositoryPlan:
    """What one repository of the target still lacks.

    ``present`` and ``missing`` are manifests, children before parents; ``unkept`` are those of the
    present that no keep-tag names.
    """

    repository: str
    present: tuple[Manifest | Index, ...]
    missing: tuple[Manifest | Index, ...]
    unkept: tuple[Manifest | Index, ...]

    @property
    def manifests(self) -> tuple[Manifest | Index, ...]:
        """All that the repository should have."""
        return (*self.present, *self.missing)

    def with_attached(self, attached: RepositoryPlan | None) -> RepositoryPlan:
        """The whole of it, with what only attachments lack here."""
        if attached is None:
            return self
        return RepositoryPlan(
            self.repository,
            (*self.present, *attached.present),
            (*self.missing, *attached.missing),
            (*self.unkept, *attached.unkept),
        )


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """One blob that has to get somewhere: which repositories lack it, and one that has it.

    All of them may take it over from each other, so that it is sent once, or not at all where
    there is a ``holder``. No image needs it in those of ``optional``, only what is attached; they
    come last.
    """

    blob: Descriptor
    wanting: tuple[str, ...]
    holder: str | None
    optional: frozenset[str] = frozenset()

    @property
    def may_be_refused(self) -> bool:
        """Whether no image needs it anywhere."""
        return self.optional.issuperset(self.wanting)


@dataclass(frozen=True, slots=True)
class PushPlan:
    """Everything that is to be done, found out before anything is changed.

    ``frugal`` is for registries that count what is read: see :func:`is_present`. ``placed`` are the
    attachments, and ``attached`` their manifests that no image has. The
    ``unreadable`` repositories count as empty because they may not be read. A blob has a plan for
    each group of repositories that take blobs over from each other.
    """

    repositories: tuple[RepositoryPlan, ...]
    blobs: tuple[BlobPlan, ...]
    due: tuple[DueTag, ...]
    release: ReleaseTags
    lists: tuple[DueList, ...]
    frugal: bool = False
    placed: tuple[PlacedAttachment, ...] = ()
    attached: tuple[RepositoryPlan, ...] = ()
    unreadable: Mapping[str, Denied] = field(default_factory=dict)

    @property
    def bytes_to_send(self) -> int:
        """The bytes of blobs that go over the line."""
        return sum(blob.size for blob in self.to_send)

    @property
    def bytes_to_mount(self) -> int:
        """The bytes of blobs that repositories take over from others."""
        lacking = sum(plan.blob.size * len(plan.wanting) for plan in self.blobs)
        return lacking - self.bytes_to_send

    @property
    def tags(self) -> tuple[RelocatedImage, ...]:
        """The images whose tags have to be set."""
        return tuple(tag.image for tag in self.due)

    @property
    def written(self) -> tuple[str, ...]:
        """The repositories in which something has to be stored, each once, in order."""
        found = [plan.repository for plan in self.repositories if plan.missing or plan.unkept]
        found += [wanted.repository for wanted in self.lists]
        return tuple(dict.fromkeys([*found, *(tag.image.destination for tag in self.due)]))

    @property
    def to_send(self) -> tuple[Descriptor, ...]:
        """The blobs that nothing known can give to a repository, once for each sending."""
        return tuple(plan.blob for plan in self.blobs if plan.holder is None)


@dataclass(frozen=True, slots=True)
class Care:
    """How closely is looked at what is there.

    ``check_blobs`` asks for the blobs of manifests that are there, too. ``frugal`` is for
    registries that count what is read: see :func:`is_present`. Blobs can be taken over from
    repositories with the same ``mounts_within`` leading components; None: from nowhere.
    """

    check_blobs: bool = False
    frugal: bool = False
    mounts_within: int | None = 0


class PushPlanner:
    """Compares what a relocation wants with what the registry has; changes nothing.

    A registry takes a manifest only when it has the manifest's blobs, so those of a manifest that
    is there are not asked for, unless ``care`` says so: storage can lose what it had.
    """

    def __init__(
        self,
        graph: ImageGraph,
        relocation: Relocation,
        target: ImageTarget,
        jobs: int,
        care: Care,
    ) -> None:
        self._graph = graph
        self._relocation = relocation
        self._target = target
        self._lookup = LenientLookup(target, hidden=True)
        self._jobs = jobs
        self._care = care

    def plan(self, move_tags: bool, placed: Sequence[PlacedAttachment] = ()) -> PushPlan:
        """Ask the registry what is there.

        Raises:
            TargetCollision: an image has the tag that has to keep something else.
            TagConflict: a tag names something else there, and ``move_tags`` is not said.
            ReferrersTagConflict: a tag that has to list referrers holds something else.
            AirgapError: of the groups 20–25.

        """
        check_keep_tags(self._relocation.images.values(), placed, self._graph)
        release = ReleaseTags(self._tagged(), move_tags)
        due = release.due(self._lookup, self._jobs)
        roots = self._roots().items()
        repositories = tuple(
            for_each(roots, lambda item, _: self._plan_repository(*item), self._jobs)
        )
        lists = self._plan_lists(repositories)
        attached = self._plan_attached(repositories, placed)
        blobs = self._plan_blobs(repositories, attached)
        return PushPlan(
            *(repositories, blobs, due, release, lists),
            self._care.frugal,
            tuple(placed),
            attached,
            self._lookup.unreadable,
        )

    def _roots(self) -> dict[str, tuple[Digest, ...]]:
        roots: dict[str, dict[Digest, None]] = {}
        for image in self._relocation.images.values():
            roots.setdefault(image.destination, {})[image.digest] = None
        return {repository: tuple(digests) for repository, digests in roots.items()}

    def _tagged(self) -> tuple[RelocatedImage, ...]:
        tagged = {
            (image.destination, image.tag): image
            for image in self._relocation.images.values()
            if image.tag is not None
        }
        return tuple(tagged.values())

    def _plan_repository(self, repository: str, roots: Sequence[Digest]) -> RepositoryPlan:
        manifests = {
            manifest.digest: manifest for root in roots for manifest in self._graph.below(root)
        }
        return self._compare(repository, manifests)

    def _plan_attached(
        self,
        repositories: Sequence[RepositoryPlan],
        placed: Sequence[PlacedAttachment],
    ) -> tuple[RepositoryPlan, ...]:
        """The manifests that only attachments have, in each repository that gets attachments."""
        images = {plan.repository: {one.digest for one in plan.manifests} for plan in repositories}
        wanted = [
            (
                repository,
                {
                    manifest.digest: manifest
                    for one in here
                    for manifest in one.manifests
                    if manifest.digest not in images[repository]
                },
            )
            for repository, here in by_repository(placed)
        ]
        return tuple(for_each(wanted, lambda item, _: self._compare(*item), self._jobs))

    def _compare(
        self, repository: str, manifests: Mapping[Digest, Manifest | Index]
    ) -> RepositoryPlan:
        present: list[Manifest | Index] = []
        missing: list[Manifest | Index] = []
        for manifest in manifests.values():
            held = is_present(self._lookup, repository, manifest, self._care.frugal) and (
                not self._care.check_blobs or self._has_blobs(repository, manifest)
            )
            (present if held else missing).append(manifest)
        unkept = [one for one in present if not is_kept(self._lookup, repository, one)]
        return RepositoryPlan(repository, tuple(present), tuple(missing), tuple(unkept))

    def _has_blobs(self, repository: str, manifest: Manifest | Index) -> bool:
        return all(is_held(self._lookup, repository, blob) for blob in manifest.blobs)

    def _plan_lists(self, repositories: Sequence[RepositoryPlan]) -> tuple[DueList, ...]:
        """The lists to extend; one that the bundle brings under its tag is signed as it is."""
        brought = {(image.destination, image.tag) for image in self._tagged()}
        lists = [
            one
            for plan in repositories
            for one in lists_in(plan.repository, plan.manifests)
            if (one.repository, one.tag) not in brought
        ]
        missing = {(plan.repository, one.digest) for plan in repositories for one in plan.missing}
        return due_lists(lists, missing, self._lookup, self._jobs)

    def _plan_blobs(
        self, images: Sequence[RepositoryPlan], attached: Sequence[RepositoryPlan]
    ) -> tuple[BlobPlan, ...]:
        repositories = (*images, *attached)
        needed = _missing_blobs(images)
        wanted = tuple({**needed, **_missing_blobs(attached)}.values())
        held = for_each(wanted, lambda item, _: is_held(self._lookup, *item), self._jobs)
        holders = {
            (blob.digest, self._group(repository.repository)): repository.repository
            for repository in repositories
            for blob in unique_blobs(repository.present)
        }
        wanting: dict[tuple[Digest, tuple[str, ...]], list[str]] = {}
        blobs: dict[Digest, Descriptor] = {}
        for (repository, blob), there in zip(wanted, held, strict=True):
            key = (blob.digest, self._group(repository))
            if there:
                holders[key] = repository
            else:
                wanting.setdefault(key, []).append(repository)
                blobs[blob.digest] = blob
        return tuple(
            BlobPlan(
                blobs[key[0]],
                tuple(names),
                holders.get(key),
                frozenset(name for name in names if (name, key[0]) not in needed),
            )
            for key, names in wanting.items()
        )

    def _group(self, repository: str) -> tuple[str, ...]:
        """What is the same for all repositories that take blobs over from each other.

        Where none does, the whole path: each is a group of its own.
        """
        return tuple(repository.split("/")[: self._care.mounts_within])


def _missing_blobs(
    repositories: Sequence[RepositoryPlan],
) -> dict[tuple[str, Digest], tuple[str, Descriptor]]:
    """The blobs of the missing manifests, and the repositories where they are needed."""
    return {
        (repository.repository, blob.digest): (repository.repository, blob)
        for repository in repositories
        for blob in unique_blobs(repository.missing)
    }


def is_present(
    target: ImageLookup, repository: str, manifest: Manifest | Index, frugal: bool = False
) -> bool:
    """Whether the registry returns exactly these bytes.

    Of a registry that counts what is read, ``frugal`` only asks for digest and size.

    Raises:
        RegistryIntegrity: it returns others under this digest.

    """
    if frugal:
        named = target.head_manifest(repository, str(manifest.digest))
        return named is not None and named.size == len(manifest.raw)
    try:
        found = target.get_manifest(repository, str(manifest.digest))
    except DigestMismatch as problem:
        raise RegistryIntegrity(
            f"the registry returns other content: {problem.what}",
            where=f"{repository}@{manifest.digest}",
            next_step="delete the manifest there and run again",
        ) from problem
    return found is not None


def is_held(target: ImageLookup, repository: str, blob: Descriptor) -> bool:
    """Whether the registry has a blob of this size.

    Raises:
        RegistryBlobCorrupt: it has one of another size.

    """
    size = target.blob_size(repository, blob.digest)
    if size is not None and size != blob.size:
        raise RegistryBlobCorrupt(
            f"the registry holds {size} bytes of a blob of {blob.size}",
            where=f"{repository}@{blob.digest}",
            next_step="its storage is damaged: delete this blob there, "
            "or the whole repository, and run again with --check-blobs",
        )
    return size is not None
