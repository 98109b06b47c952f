"""From pinned images and an application to the statement and the content at hand. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airgap_bundler.mirrors import Location
from airgap_bundler.pinning import PinnedImage
from airgap_shared.bundle import names
from airgap_shared.bundle.index import compose_index
from airgap_shared.bundle.statement import BundledImage, Member, Release, Role, Statement
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest

#: For how long an interrupted run may be gone on with under the time at which it began.
_RESUMABLE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=-5)


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that goes into a bundle.

    ``content`` holds the members that are in memory, by path; ``locations`` says from where each
    other blob is fetched; ``compressible`` names those of them that are worth compressing.
    """

    members: tuple[Member, ...]
    images: tuple[BundledImage, ...]
    content: Mapping[str, bytes]
    locations: Mapping[Digest, Location]
    compressible: frozenset[Digest]

    def statement(self, release: Release, platforms: tuple[str, ...]) -> Statement:
        """What is signed."""
        return Statement(release, platforms, self.members, self.images)


def compose_contents(
    files: Sequence[ManifestFile],
    inventory: bytes,
    pinned: Sequence[PinnedImage],
    literals: Mapping[str, Sequence[str]],
    rules: bytes = b"",
) -> Contents:
    """Put the members in their order: metadata, manifests, small blobs, stored, compressed.

    ``literals`` maps each canonical reference to its spellings in the application; ``rules`` is
    the rules file by which they were found, empty for none.
    """
    images = tuple(_bundled(image, literals[image.reference.canonical]) for image in pinned)
    manifests = _manifests(pinned)
    sizes = {digest: len(manifest.raw) for digest, manifest in manifests.items()}
    at_hand = [
        _Content(Role.LAYOUT, names.LAYOUT, names.LAYOUT_CONTENT),
        _Content(Role.INDEX, names.INDEX, compose_index(images, sizes)),
        _Content(Role.INVENTORY, names.INVENTORY, inventory),
        *([_Content(Role.RULES, names.RULES, rules)] if rules else []),
        *(_Content(Role.APPLICATION, names.APPLICATION + f.path, f.content) for f in files),
        *(_manifest_content(manifest) for manifest in manifests.values()),
        *(_Content(Role.BLOB, names.blob_path(d), raw, None, d) for d, raw in _configs(pinned)),
    ]
    content = {item.path: item.raw for item in at_hand}
    fetched = [
        blob for blob in _blobs(pinned).values() if names.blob_path(blob.digest) not in content
    ]
    compressible = frozenset(b.digest for b in fetched if mediatype.is_compressible(b.media_type))
    ordered = sorted(fetched, key=lambda blob: (blob.digest in compressible, blob.digest))
    return Contents(
        (*(item.member for item in at_hand), *(_blob_member(blob) for blob in ordered)),
        images,
        content,
        {blob.digest: image.location for image in pinned for blob in _blobs_of(image)},
        compressible,
    )


@dataclass(frozen=True, slots=True)
class TimeWishes:
    """What of a release's times the user asked for; the rest was taken from the clock.

    ``before`` is the highest sequence of the bundles before; a release has it only by wish.
    """

    created: bool = False
    sequence: bool = False
    before: int = -1


def same_but_time(statement: Statement, earlier: Statement, wishes: TimeWishes) -> Statement | None:
    """``statement`` with the times of ``earlier``, when they differ in nothing else.

    An interrupted create goes on with the times it began with, so that the bytes written before
    stay valid: unless the user asks for others, or they are too old for a new bundle
    or would make it older than the one before.
    """
    release, before = statement.release, earlier.release
    created, expires = release.created, release.expires
    if not wishes.created and _is_recent(before, created):
        created, expires = before.created, before.created + (expires - created)
    sequence = release.sequence if wishes.sequence else int(created.timestamp())
    if sequence <= wishes.before and sequence != release.sequence:
        return None
    release = replace(release, sequence=sequence, created=created, expires=expires)
    candidate = replace(statement, release=release)
    return candidate if candidate.to_json() == earlier.to_json() else None


def _is_recent(release: Release, now: datetime) -> bool:
    return _CLOCK_SKEW <= now - release.created <= _RESUMABLE and now < release.expires


@dataclass(frozen=True, slots=True)
class _Content:
    """A member whose content is at hand."""

    role: Role
    path: str
    raw: bytes
    media_type: str | None = None
    digest: Digest | None = None

    @property
    def member(self) -> Member:
        """The entry of the statement."""
        digest = self.digest or Digest.of(self.raw)
        return Member(self.path, len(self.raw), digest, self.role, self.media_type)


def _bundled(image: PinnedImage, literals: Sequence[str]) -> BundledImage:
    return BundledImage(
        image.reference,
        tuple(literals),
        image.root.digest,
        image.root.media_type,
        image.upstream,
        image.platforms,
        tuple(one.entry for one in image.attached),
        image.signed_by,
    )


def _manifests(pinned: Sequence[PinnedImage]) -> dict[Digest, Manifest | Index]:
    """Every manifest once, children before parents, what is attached after all images."""
    attached = [
        manifest for image in pinned for one in image.attached for manifest in one.manifests
    ]
    images = [manifest for image in pinned for manifest in image.manifests]
    return {manifest.digest: manifest for manifest in (*images, *attached)}


def _manifest_content(manifest: Manifest | Index) -> _Content:
    path = names.blob_path(manifest.digest)
    return _Content(Role.MANIFEST, path, manifest.raw, manifest.media_type, manifest.digest)


def _configs(pinned: Sequence[PinnedImage]) -> list[tuple[Digest, bytes]]:
    configs = {digest: raw for image in pinned for digest, raw in image.configs.items()}
    for one in (one for image in pinned for one in image.attached):
        configs.update(one.content)
    return sorted(configs.items())


def _blobs(pinned: Sequence[PinnedImage]) -> dict[Digest, Descriptor]:
    return {blob.digest: blob for image in pinned for blob in _blobs_of(image)}


def _blobs_of(image: PinnedImage) -> Iterator[Descriptor]:
    for one in image.attached:
        yield from one.blobs
    yield from image.blobs


def _blob_member(blob: Descriptor) -> Member:
    return Member(names.blob_path(blob.digest), blob.size, blob.digest, Role.BLOB)
