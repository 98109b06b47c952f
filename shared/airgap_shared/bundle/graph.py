"""What refers to what inside a bundle: closed, complete and free of strangers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airgap_shared.bundle import names
from airgap_shared.bundle.statement import BundledImage, Member, Role, Statement
from airgap_shared.errors import (
    AmbiguousManifest,
    DescriptorUnresolved,
    LimitExceeded,
    MemberUnexpected,
    SizeMismatch,
    StatementInvalid,
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

    def mark(self, root: Digest, level: int, levels: dict[Digest, int]) -> None:
        """Give ``root`` and what is reachable from it a level, unless it has one."""
        if root not in levels:
            levels[root] = level
            for child in self.manifests[root].children:
                self.mark(child.digest, level, levels)

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
        StatementInvalid: a manifest comes before one that it refers to, or something that is
            attached is not about what the statement says.
        LimitExceeded: indexes nested deeper than 8, or chains of attachments longer than 4.

    """
    members: dict[tuple[Role, Digest], Member] = {
        (member.role, member.digest): member
        for member in statement.members
        if member.role in (Role.MANIFEST, Role.BLOB)
    }
    walk = _Walk(manifests, members)
    for image in statement.images:
        walk.down(image.root, names.NESTING_LIMIT)
    needed = frozenset(walk.reached)
    for image in statement.images:
        for attachment in image.attached:
            walk.down(attachment.root, names.NESTING_LIMIT)
    strangers = members.keys() - walk.reached
    if strangers:
        paths = sorted(members[key].path for key in strangers)
        raise MemberUnexpected("no image needs this member", where=paths[0], details=paths[1:20])
    _check_order(statement, manifests, needed)
    graph = ImageGraph(manifests)
    for number, image in enumerate(statement.images):
        _check_attached(image, graph, f"signed statement.predicate.images[{number}]")
    return graph


def _check_attached(image: BundledImage, graph: ImageGraph, where: str) -> None:
    """Every attachment is about the image, or about one that stands before it, and says so."""
    levels: dict[Digest, int] = {}
    graph.mark(image.root, 0, levels)
    levels.setdefault(image.upstream, 0)
    for number, attachment in enumerate(image.attached):
        place = f"{where}.attached[{number}]"
        level = levels.get(attachment.subject)
        if level is None:
            raise StatementInvalid("it is about nothing that stands before it", where=place)
        if level == names.ATTACHED_DEPTH:
            raise LimitExceeded(
                f"a chain of more than {names.ATTACHED_DEPTH} attachments", where=place
            )
        told = graph.manifests[attachment.root].subject
        if told is None and attachment.tag is None:
            raise StatementInvalid("its manifest names no subject", where=place)
        if told is not None and told.digest != attachment.subject:
            raise StatementInvalid("its manifest names another subject", where=place)
        graph.mark(attachment.root, level + 1, levels)


def _check_order(
    statement: Statement,
    manifests: Mapping[Digest, Manifest | Index],
    needed: Collection[tuple[Role, Digest]],
) -> None:
    """Children before parents, and what only attachments need after all that images need."""
    seen: set[Digest] = set()
    late = False
    for member in statement.members:
        if member.role is Role.MANIFEST:
            attached = (Role.MANIFEST, member.digest) not in needed
            if late and not attached:
                raise StatementInvalid("it comes after what is attached", where=member.path)
            late = attached
            if not seen.issuperset(child.digest for child in manifests[member.digest].children):
                raise StatementInvalid("it comes before what it refers to", where=member.path)
            seen.add(member.digest)


class _Walk:
    """Visits every manifest once, remembering how many levels each one has."""

    def __init__(
        self,
        manifests: Mapping[Digest, Manifest | Index],
        members: Mapping[tuple[Role, Digest], Member],
    ) -> None:
        self._manifests = manifests
        self._members = members
        self._levels: dict[Digest, int] = {}
        self.reached: set[tuple[Role, Digest]] = set()

    def down(self, digest: Digest, allowed: int) -> int:
        """Check a manifest and all below it; how many levels they are, at most ``allowed``."""
        levels = self._levels.get(digest)
        if allowed < (levels or 1):
            raise LimitExceeded(
                f"indexes nested deeper than {names.NESTING_LIMIT}", where=str(digest)
            )
        if levels is None:
            manifest = self._manifests[digest]
            self._check_blobs(manifest)
            below = (self._child(child, manifest, allowed - 1) for child in manifest.children)
            levels = self._levels[digest] = 1 + max(below, default=0)
            self.reached.add((Role.MANIFEST, digest))
        return levels

    def _check_blobs(self, manifest: Manifest | Index) -> None:
        for blob in manifest.blobs:
            key = (Role.BLOB, blob.digest)
            _check_descriptor(blob, self._members.get(key), str(manifest.digest))
            self.reached.add(key)

    def _child(self, child: Descriptor, parent: Manifest | Index, allowed: int) -> int:
        member = self._members.get((Role.MANIFEST, child.digest))
        _check_descriptor(child, member, str(parent.digest))
        if member is not None and member.media_type != child.media_type:
            raise AmbiguousManifest(
                f"{child.digest} is {member.media_type} but is referred to as {child.media_type}",
                where=str(parent.digest),
            )
        return self.down(child.digest, allowed)


def _check_descriptor(descriptor: Descriptor, member: Member | None, where: str) -> None:
    if member is None:
        raise DescriptorUnresolved(f"{descriptor.digest} is not in the bundle", where=where)
    if member.size != descriptor.size:
        raise SizeMismatch(
            f"{descriptor.digest} has {member.size} bytes but is said to have {descriptor.size}",
            where=where,
        )
