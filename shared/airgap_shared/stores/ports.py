"""What the tools need of a registry: small ports, so that use cases do not know HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.allowance import Allowance
from airgap_shared.stores.introduction import Introduction


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest's bytes as they came, the type they were announced as, and their real digest."""

    raw: bytes
    media_type: str
    digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        """What points at it."""
        return Descriptor(self.media_type, self.digest, len(self.raw))


class ImageSource(Protocol):
    """One registry to read from; every method may be called from several threads."""

    @property
    def allowance(self) -> Allowance | None:
        """How many manifests may still be fetched, where the registry says so."""

    def announced_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest stands for, without fetching it; None when that is not told."""

    def get_manifest(self, repository: str, reference: str) -> FetchedManifest | None:
        """The raw manifest behind a tag or digest; None when there is none."""

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob; None when there is none."""

    def blob_chunks(
        self, repository: str, digest: Digest, size: int, offset: int = 0
    ) -> Iterator[bytes]:
        """The content of a blob from ``offset`` on; the digest is the caller's to check."""


class AttachmentSource(ImageSource, Protocol):
    """One registry to look for what is attached to images, and to read it from."""

    def head_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest names; None when there is none."""

    def referrers(self, repository: str, subject: Digest) -> Iterator[bytes] | None:
        """The pages of the list of what refers to a subject; None where the registry keeps none."""


class ImageLookup(Protocol):
    """What one registry has; every method may be called from several threads."""

    def head_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest names; None when there is none."""

    def get_manifest(self, repository: str, reference: str) -> FetchedManifest | None:
        """The raw manifest behind a tag or digest; None when there is none."""

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob; None when there is none."""

    def lists_referrers(self, repository: str, subject: Digest) -> bool:
        """Whether the registry itself lists the manifests that have this subject."""


class ImageTarget(ImageLookup, Protocol):
    """One registry to write to; every method may be called from several threads."""

    def ping(self) -> None:
        """Prove that the registry answers and takes the credentials."""

    def introduction(self) -> Introduction:
        """How the registry introduces itself to strangers."""

    def fetch_blob(self, repository: str, digest: Digest, size: int) -> Iterator[bytes]:
        """The content of a blob, its last chunk withheld until size and digest are proven."""

    def check_push(self, repository: str) -> None:
        """Prove that blobs may be pushed here; nothing stays of it."""

    def push_blob(
        self,
        repository: str,
        digest: Digest,
        size: int,
        open_body: Callable[[], Iterable[bytes]],
    ) -> None:
        """Send a blob whose content is proven while it passes."""

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """Make a blob of another repository appear here; False when the registry will not."""

    def put_manifest(
        self, repository: str, reference: str, raw: bytes, media_type: str
    ) -> Digest | None:
        """Store a manifest under a tag or its digest.

        Gives the subject in whose list of referrers the registry says that it put the manifest.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has to be there before images are pushed: a repository or what holds it."""

    noun: str
    name: str

    def __str__(self) -> str:
        return f"{self.noun} {self.name}"


class RepositoryCreator(Protocol):
    """What makes such places in one registry."""

    def lacking(self, repository: str, told: bool) -> Sequence[Place]:
        """What is missing before a repository can be pushed to, the outermost first.

        ``told`` says that the registry itself said that it is not there.
        """

    def create(self, place: Place) -> bool:
        """Make it; false when it is there already."""
