"""Finding what is attached to an image: cosign tags and referrers, and what is about those.

For each digest that may be a subject the registry is asked by HEAD for three cosign tags and the
tag of a list of referrers, and once by its referrers API if it has one. What is not there costs no
more; what is there is fetched once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from airgap_bundler.attached import FoundAttachment
from airgap_bundler.mirrors import Location
from airgap_bundler.pinning import PinnedImage, Source
from airgap_bundler.shelf import Shelf
from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.bundle.names import ATTACHED_DEPTH, ATTACHED_LIMIT, NESTING_LIMIT
from airgap_shared.errors import (
    AmbiguousManifest,
    ContentRefused,
    Denied,
    DigestUnsupported,
    LimitExceeded,
    ReferrersTagConflict,
    RegistryRejected,
    UpstreamNotFound,
)
from airgap_shared.oci.attachment import AttachmentKind, cosign_tags, kind_of
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest, verified_chunks
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.oci.reference import Reference
from airgap_shared.oci.referrers import ReferrersList, referrers_tag
from airgap_shared.stores.ports import AttachmentSource
from airgap_shared.stores.progress import Progress

#: Blobs up to this size are read at once and travel compressed; so much of them for one image.
_SMALL = 128 * 1024
_SMALL_TOGETHER = 8 * 1024 * 1024
#: What carries a signature of its own: nothing is looked for that would be about it.
_SIGNED = frozenset({AttachmentKind.SIGNATURE, AttachmentKind.ATTESTATION})


@dataclass(slots=True)
class _Cell:
    """What one subject has, asked for once even when several threads want to know."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: tuple[FoundAttachment, ...] | None = None


@dataclass(slots=True)
class Attaching:
    """The search of one run; used by several threads.

    ``images`` are the references that are bundled in any case: what stands under their tags is an
    image of the application, whatever else it may be.
    """

    open_registry: Callable[[str], AttachmentSource]
    progress: Progress
    shelf: Shelf
    images: frozenset[tuple[str, str | None]] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cells: dict[tuple[Location, Digest], _Cell] = field(default_factory=dict)
    _without_api: set[Location] = field(default_factory=set)

    @classmethod
    def beside(
        cls,
        references: Sequence[Reference],
        open_registry: Callable[[str], AttachmentSource],
        progress: Progress,
        shelf: Shelf,
    ) -> Attaching:
        """The search for a bundle of these images."""
        images = frozenset((one.name, one.effective_tag) for one in references)
        return cls(open_registry, progress, shelf, images)

    def attach(self, image: PinnedImage) -> PinnedImage:
        """The image with everything that is attached to it, each after what it is about.

        Raises:
            LimitExceeded: more than a statement may list.
            AirgapError: the registry does not answer: what it may hold must not be lost.

        """
        subjects = dict.fromkeys([image.upstream, *(one.digest for one in image.manifests)])
        found: dict[tuple[Digest, Digest, str | None], FoundAttachment] = {}
        for _ in range(ATTACHED_DEPTH):
            new = [one for subject in subjects for one in self._about(image, subject)]
            fresh = {_key(one): one for one in new if _key(one) not in found}
            found.update(fresh)
            if len(found) > ATTACHED_LIMIT:
                raise _too_many(image.location)
            subjects = dict.fromkeys(
                manifest.digest
                for one in fresh.values()
                if one.entry.kind not in _SIGNED
                for manifest in one.manifests
            )
        attached = tuple(found.values())
        self._warn(image, attached)
        return replace(image, attached=attached)

    def _about(self, image: PinnedImage, subject: Digest) -> Iterator[FoundAttachment]:
        with self._lock:
            cell = self._cells.setdefault((image.location, subject), _Cell())
        with cell.lock:
            if cell.found is None:
                source = Source(
                    self.open_registry(image.location.registry), image.location, self.shelf
                )
                cell.found = tuple(self._look(source, subject))
        for one in cell.found:
            if one.entry.tag is None or (image.reference.name, one.entry.tag) not in self.images:
                yield one

    def _look(self, source: Source, subject: Digest) -> Iterator[FoundAttachment]:
        registry = self.open_registry(source.location.registry)
        held = 0
        for tag, told in self._offered(registry, source.location, subject):
            one = self._fetch(source, subject, tag, told, _SMALL_TOGETHER - held)
            if one is not None:
                held += sum(map(len, one.content.values()))
                yield one

    def _offered(
        self, registry: AttachmentSource, location: Location, subject: Digest
    ) -> Iterator[tuple[str | None, Digest]]:
        """What the registry says is attached to a subject: a tag, or nothing, and a digest."""
        for tag in cosign_tags(subject):
            if (named := _head(registry, location.repository, tag)) is not None:
                yield tag, named.digest
        listed: dict[Digest, None] = {}
        for raw in self._lists(registry, location, subject):
            listed.update(dict.fromkeys(self._digests(raw, location, subject)))
            if len(listed) > ATTACHED_LIMIT:
                raise _too_many(location)
        yield from ((None, digest) for digest in listed)

    def _lists(
        self, registry: AttachmentSource, location: Location, subject: Digest
    ) -> Iterator[bytes]:
        """The lists of referrers: of the registry itself, and under the tag of such a list."""
        if location not in self._without_api:
            pages = registry.referrers(location.repository, subject)
            if pages is None:
                self._without_api.add(location)
            else:
                yield from pages
        tag = referrers_tag(subject)
        if _head(registry, location.repository, tag) is not None:
            kept = registry.get_manifest(location.repository, tag)
            if kept is not None:
                yield kept.raw

    def _digests(self, raw: bytes, location: Location, subject: Digest) -> Sequence[Digest]:
        where = f"{location}@{subject}"
        try:
            return ReferrersList.parse(raw, "", where).digests()
        except (DigestUnsupported, ReferrersTagConflict) as problem:
            self.progress.note(
                f"warning: a list of what refers to {where} cannot be read, and what it lists is "
                f"not bundled: {problem.what}"
            )
            return ()

    def _fetch(
        self, source: Source, subject: Digest, tag: str | None, digest: Digest, room: int
    ) -> FoundAttachment | None:
        """Something attached and all below it; nothing, with a warning, if it cannot be had."""
        what = tag or str(digest)
        try:
            root = source.manifest(digest, "")
            _check_subject(root, subject, tag)
            manifests = source.below(root, NESTING_LIMIT)
            source.check_foreign(manifests)
            content = self._content(source, manifests, room)
        except (ContentRefused, UpstreamNotFound) as problem:
            self.progress.note(
                f"warning: {source.location}: {what}, attached to {subject}, is not bundled: "
                f"{problem}"
            )
            return None
        kind = cosign_tags(subject)[tag] if tag else kind_of(root)
        entry = Attachment(root.digest, root.media_type, subject, tag, kind)
        return FoundAttachment(entry, manifests, content)

    def _content(
        self, source: Source, manifests: Sequence[Manifest | Index], room: int
    ) -> dict[Digest, bytes]:
        """The small blobs; of the others it is only made sure that they are there."""
        content: dict[Digest, bytes] = {}
        for blob in unique_blobs(manifests):
            if blob.size <= min(_SMALL, room):
                content[blob.digest] = _read(source, blob)
                room -= blob.size
            elif source.registry.blob_size(source.location.repository, blob.digest) is None:
                raise _gone(blob)
        return content

    def _warn(self, image: PinnedImage, attached: Sequence[FoundAttachment]) -> None:
        """Signatures of an index say nothing of the manifests that were taken out of it."""
        kept = {manifest.digest for manifest in image.manifests}
        if image.upstream in kept or all(one.entry.subject != image.upstream for one in attached):
            return
        self.progress.note(
            f"warning: {image.reference}: what is attached to it upstream covers the whole index, "
            "of which only a part is bundled; --platform all keeps its signatures valid"
        )


def _key(one: FoundAttachment) -> tuple[Digest, Digest, str | None]:
    return one.entry.root, one.entry.subject, one.entry.tag


def _head(registry: AttachmentSource, repository: str, tag: str) -> Descriptor | None:
    """What a tag names; a registry that refuses the question has none."""
    try:
        return registry.head_manifest(repository, tag)
    except (Denied, RegistryRejected):
        return None


def _check_subject(root: Manifest | Index, subject: Digest, tag: str | None) -> None:
    told = root.subject
    if told is None and tag is None:
        raise AmbiguousManifest("it is listed, but names no subject")
    if told is not None and told.digest != subject:
        raise AmbiguousManifest(f"it names another subject, {told.digest}")


def _read(source: Source, blob: Descriptor) -> bytes:
    chunks = source.registry.blob_chunks(source.location.repository, blob.digest, blob.size)
    where = f"{source.location}@{blob.digest}"
    try:
        return b"".join(verified_chunks(chunks, blob.digest, blob.size, where))
    except RegistryRejected as problem:
        raise _gone(blob) from problem


def _gone(blob: Descriptor) -> UpstreamNotFound:
    return UpstreamNotFound(f"its blob {blob.digest} is not in the registry")


def _too_many(location: Location) -> LimitExceeded:
    return LimitExceeded(
        f"more than {ATTACHED_LIMIT} signatures, attestations and the like of one image",
        where=str(location),
        next_step="leave them out with --no-signatures",
    )
