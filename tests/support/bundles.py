"""Small bundles made on the spot: what is in them, and how to write and seal them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from airgap_shared.bundle import names
from airgap_shared.bundle.admission import Gate
from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.index import compose_index
from airgap_shared.bundle.plan import BundlePlan
from airgap_shared.bundle.statement import BundledImage, Member, Release, Role, Statement
from airgap_shared.oci import mediatype
from airgap_shared.oci.attachment import AttachmentKind, cosign_tags
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference
from airgap_shared.stores.bundlewriter import PartialBundle
from airgap_shared.stores.progress import NoProgress
from airgap_shared.trust.envelope import seal
from airgap_shared.trust.keys import Signer
from airgap_shared.trust.policy import TrustPolicy
from support.images import BuiltImage, Content, chunks_of, size_of
from support.keys import fixed_key

#: The same on every run, and so are the bundles it signs.
KEY = fixed_key(0)
POLICY = TrustPolicy.of_keys((KEY.public_key,))
RELEASE = Release(
    "shop",
    "1.5.2",
    "stable",
    1767225600,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 6, 30, tzinfo=UTC),
    "airgap-bundle/test",
)
GATE = Gate(POLICY, RELEASE.created)


@dataclass(frozen=True, slots=True)
class Contents:
    """The members of a bundle and their bytes; ``fetched`` records what was asked of it."""

    statement: Statement
    metadata: Mapping[str, bytes]
    blobs: Mapping[Digest, Content]
    compressible: frozenset[Digest]
    fetched: list[tuple[str, int]] = field(default_factory=list)

    def plan(self, signer: Signer = KEY) -> BundlePlan:
        """What a writer is given."""
        envelope = seal(self.statement.to_json(), [signer]).to_json()
        return BundlePlan(self.statement, envelope, self.metadata, self.compressible)

    def fetch(self, member: Member, offset: int) -> Iterator[bytes]:
        """The bytes of a blob from an offset on, as a registry would send them."""
        self.fetched.append((member.path, offset))
        for chunk in chunks_of(self.blobs[member.digest]):
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))

    def content(self, member: Member) -> bytes:
        """All bytes of a member."""
        if member.path in self.metadata:
            return self.metadata[member.path]
        return b"".join(chunks_of(self.blobs[member.digest]))

    def write(self, output: Path, signer: Signer = KEY) -> Path:
        """Write the whole bundle."""
        partial = PartialBundle(output)
        with partial.opened():
            partial.write(self.plan(signer), self.fetch, 2, NoProgress())
            partial.publish()
        return output


@dataclass(frozen=True, slots=True)
class Attached:
    """Something attached to ``subject``, under a cosign tag with this suffix if there is one."""

    image: BuiltImage
    subject: BuiltImage
    suffix: str = ""

    @property
    def entry(self) -> Attachment:
        """As the statement has it."""
        subject = Digest.parse(self.subject.digest)
        tag = f"sha256-{subject.hex}{self.suffix}" if self.suffix else None
        kind = cosign_tags(subject)[tag] if tag else AttachmentKind.OTHER
        root = Digest.parse(self.image.digest)
        return Attachment(root, self.image.media_type, subject, tag, kind)


def make_contents(
    images: Mapping[str, BuiltImage],
    files: Mapping[str, bytes] | None = None,
    attached: Mapping[str, Sequence[Attached]] | None = None,
) -> Contents:
    """A bundle of these images by their references; uncompressed layers are compressed in it.

    ``attached`` are the attachments of the images by the same references.
    """
    attached = attached or {}
    bundled = tuple(
        replace(
            _bundled(reference, image),
            attached=tuple(one.entry for one in attached.get(reference, ())),
        )
        for reference, image in images.items()
    )
    more = [one.image for entries in attached.values() for one in entries]
    images = {**images, **{f"attached {number}": one for number, one in enumerate(more)}}
    manifests = _manifests(images)
    sizes = {Digest.of(raw): len(raw) for raw, _ in manifests}
    metadata = {names.LAYOUT: names.LAYOUT_CONTENT, names.INDEX: compose_index(bundled, sizes)}
    members = [
        _member(names.LAYOUT, names.LAYOUT_CONTENT, Role.LAYOUT),
        _member(names.INDEX, metadata[names.INDEX], Role.INDEX),
    ]
    for name, content in (files or {}).items():
        metadata[names.APPLICATION + name] = content
        members.append(_member(names.APPLICATION + name, content, Role.APPLICATION))
    for raw, kind in manifests:
        path = names.blob_path(Digest.of(raw))
        metadata[path] = raw
        members.append(_member(path, raw, Role.MANIFEST, kind))
    blobs = {
        Digest.parse(digest): content
        for image in images.values()
        for digest, content in image.all_blobs().items()
    }
    compressible = frozenset(_compressible(images)) & blobs.keys()
    for digest in sorted(blobs, key=lambda digest: (digest in compressible, digest)):
        size = size_of(blobs[digest])
        members.append(Member(names.blob_path(digest), size, digest, Role.BLOB))
    statement = Statement(RELEASE, ("all",), tuple(members), bundled)
    return Contents(statement, metadata, blobs, compressible)


def _bundled(reference: str, image: BuiltImage) -> BundledImage:
    source = parse_reference(parse_reference(reference).canonical)
    digest = Digest.parse(image.digest)
    return BundledImage(source, (reference,), digest, image.media_type, digest, ())


def _manifests(images: Mapping[str, BuiltImage]) -> list[tuple[bytes, str]]:
    """Bytes and media type of every manifest once, children before parents."""
    found: dict[bytes, str] = {}

    def collect(image: BuiltImage) -> None:
        for child in image.children:
            collect(child)
        found.setdefault(image.raw, image.media_type)

    for image in images.values():
        collect(image)
    return list(found.items())


def _member(path: str, content: bytes, role: Role, media_type: str | None = None) -> Member:
    return Member(path, len(content), Digest.of(content), role, media_type)


def _compressible(images: Mapping[str, BuiltImage]) -> Iterator[Digest]:
    for image in images.values():
        yield from _compressible({child.digest: child for child in image.children})
        entries = [image.document.get("config"), *_list(image.document.get("layers"))]
        for entry in entries:
            if isinstance(entry, dict) and mediatype.is_compressible(entry["mediaType"]):
                yield Digest.parse(entry["digest"])


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
