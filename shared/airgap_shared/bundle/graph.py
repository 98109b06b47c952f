"""What refers to what inside a bundle: closed, complete and free of strangers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airgap_shared.bundle import names
from airgap_shared.bundle.statement import Member, Role, Statement
from airgap_shared.errors import (
    AmbiguousManifest,
    DescriptorUnresolved,
    LimitExceeded,
    MemberUnexpected,
    SizeMismatch,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest


@dataclass(frozen=True, slots=True)
class ImageGraph:
    """All manifests of a bundle by digest; every reference between them resolves."""

    manifests: Mapping[Digest, Manifest | Index]

    def below(self, root: Digest) -> tuple[Manifest | Index, ...]:
        """The manifests reachable from ``root``, each once, children before parents."""
        found: dict[Digest, Manifest | Index] = {}
        self._collect(root, found)
        return tuple(found.values())

    def blobs_below(self, root: Digest) -> tuple[Descriptor, ...]:
        """The blobs reachable from ``root``, each once."""
        return unique_blobs(self.below(root))

    def _collect(self, digest: Digest, found: dict[Digest, Manifest | Index]) -> None:
        if digest in found:
            return
        manifest = self.manifests[digest]
        for child in manifest.children:
            self._collect(child.digest, found)
        found[digest] = manifest


def unique_blobs(manifests: Iterable[Manifest | Index]) -> tuple[Descriptor, ...]:
    """The blobs that these manifests refer to, each once, in order."""
    return tuple({blob.digest: blob for manifest in manifests for blob in manifest.blobs}.values())


def check_graph(statement: Statement, manifests: Mapping[Digest, Manifest | Index]) -> ImageGraph:
    """Prove that images, manifests and blobs fit together (bundle-spec.md, Verification, 12).

    Raises:
        DescriptorUnresolved: a manifest refers to something that is no member.
        SizeMismatch, AmbiguousManifest: a descriptor and the member differ.
        MemberUnexpected: a manifest or blob that no image needs.
        LimitExceeded: indexes nested deeper than 8.

    """
    members: dict[tuple[Role, Digest], Member] = {
        (member.role, member.digest): member
        for member in statement.members
        if member.role in (Role.MANIFEST, Role.BLOB)
    }
    reached: set[tuple[Role, Digest]] = set()
    for image in statement.images:
        _walk(image.root, manifests, members, reached, names.NESTING_LIMIT)
    strangers = members.keys() - reached
    if strangers:
        paths = sorted(members[key].path for key in strangers)
        raise MemberUnexpected("no image needs this member", where=paths[0], details=paths[1:20])
    return ImageGraph(manifests)


def _walk(
    digest: Digest,
    manifests: Mapping[Digest, Manifest | Index],
    members: Mapping[tuple[Role, Digest], Member],
    reached: set[tuple[Role, Digest]],
    depth: int,
) -> None:
    if depth == 0:
        raise LimitExceeded(f"indexes nested deeper than {names.NESTING_LIMIT}", where=str(digest))
    if (Role.MANIFEST, digest) in reached:
        return
    reached.add((Role.MANIFEST, digest))
    manifest = manifests[digest]
    for blob in manifest.blobs:
        _check_descriptor(blob, members.get((Role.BLOB, blob.digest)), str(digest))
        reached.add((Role.BLOB, blob.digest))
    for child in manifest.children:
        member = members.get((Role.MANIFEST, child.digest))
        _check_descriptor(child, member, str(digest))
        if member is not None and member.media_type != child.media_type:
            raise AmbiguousManifest(
                f"{child.digest} is {member.media_type} but is referred to as {child.media_type}",
                where=str(digest),
            )
        _walk(child.digest, manifests, members, reached, depth - 1)


def _check_descriptor(descriptor: Descriptor, member: Member | None, where: str) -> None:
    if member is None:
        raise DescriptorUnresolved(f"{descriptor.digest} is not in the bundle", where=where)
    if member.size != descriptor.size:
        raise SizeMismatch(
            f"{descriptor.digest} has {member.size} bytes but is said to have {descriptor.size}",
            where=where,
        )
