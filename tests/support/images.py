"""Image content made on the spot, the same bytes on every run.

It shares no code with the tool: what it builds and reads is the other side of every comparison.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import struct
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from support.program import static_program

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
OCI_TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_TAR_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"

_IN_DOCKER = {OCI_TAR: DOCKER_TAR, OCI_TAR_GZIP: DOCKER_TAR_GZIP}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class GeneratedContent:
    """Incompressible bytes that are made when they are read and never held as a whole."""

    size: int
    seed: int = 0

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces of at most 1 MiB, each different from all others."""
        block = random.Random(self.seed).randbytes(_CHUNK)  # noqa: S311 - repeatable on purpose
        for start in range(0, self.size, _CHUNK):
            yield (struct.pack(">Q", start) + block[8:])[: self.size - start]


Content = bytes | GeneratedContent


def chunks_of(content: Content) -> Iterator[bytes]:
    """The bytes of some content in pieces."""
    return content.chunks() if isinstance(content, GeneratedContent) else iter((content,))


def size_of(content: Content) -> int:
    """Its length in bytes."""
    return content.size if isinstance(content, GeneratedContent) else len(content)


def digest_of(content: Content) -> str:
    """Its digest as a descriptor spells it."""
    hasher = hashlib.sha256()
    for chunk in chunks_of(content):
        hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its bytes as stored, what they are, and the digest they have unpacked."""

    content: Content
    media_type: str
    diff_id: str
    digest: str

    def descriptor(self, docker: bool) -> dict[str, object]:
        """As a manifest of either family lists it."""
        kind = _IN_DOCKER.get(self.media_type, self.media_type) if docker else self.media_type
        return _descriptor(kind, self.digest, size_of(self.content))


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A manifest or an index and everything that it needs."""

    raw: bytes
    media_type: str
    blobs: Mapping[str, Content] = field(default_factory=dict)
    children: tuple[BuiltImage, ...] = ()
    platform: str | None = None
    artifact_type: str | None = None

    @property
    def digest(self) -> str:
        """What a registry calls it."""
        return digest_of(self.raw)

    @property
    def document(self) -> dict[str, object]:
        """The manifest as decoded JSON."""
        decoded = json.loads(self.raw)
        assert isinstance(decoded, dict)
        return decoded

    def all_blobs(self) -> dict[str, Content]:
        """The blobs of this image and of all below it; manifests are not among them."""
        found = dict(self.blobs)
        for child in self.children:
            found.update(child.all_blobs())
        return found

    def all_manifests(self) -> dict[str, bytes]:
        """Digest to bytes of this manifest and all below it."""
        found = {self.digest: self.raw}
        for child in self.children:
            found.update(child.all_manifests())
        return found


@dataclass(frozen=True, slots=True)
class ImageStyle:
    """How an image is written down."""

    docker: bool = False
    #: OCI manifests need not say what they are.
    with_media_type: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


def tar_layer(files: Mapping[str, bytes]) -> Layer:
    """An uncompressed layer of executable files."""
    packed = _tar(files)
    return Layer(packed, OCI_TAR, digest_of(packed), digest_of(packed))


def gzip_layer(files: Mapping[str, bytes]) -> Layer:
    """A gzip'd layer of executable files."""
    packed = _tar(files)
    stored = gzip.compress(packed, 6, mtime=0)
    return Layer(stored, OCI_TAR_GZIP, digest_of(packed), digest_of(stored))


def opaque_layer(content: Content, media_type: str = OCI_TAR_GZIP) -> Layer:
    """Any bytes in the place of a layer; no runtime could unpack them."""
    digest = digest_of(content)
    return Layer(content, media_type, digest, digest)


def generated_layer(size: int, seed: int = 0) -> Layer:
    """A layer of any size that is never held in memory."""
    return opaque_layer(GeneratedContent(size, seed))


def make_image(
    layers: Sequence[Layer | bytes] = (),
    platform: str = "linux/amd64",
    style: ImageStyle | None = None,
) -> BuiltImage:
    """An image of these layers; bytes become a gzip'd layer with one file ``/content``."""
    style = style or ImageStyle()
    made = [gzip_layer({"content": one}) if isinstance(one, bytes) else one for one in layers]
    config = _json(_config(made, platform, style))
    document = {
        "config": _descriptor(
            DOCKER_CONFIG if style.docker else OCI_CONFIG, digest_of(config), len(config)
        ),
        "layers": [layer.descriptor(style.docker) for layer in made],
    }
    kind = DOCKER_MANIFEST if style.docker else OCI_MANIFEST
    blobs: dict[str, Content] = {digest_of(config): config}
    blobs.update((layer.digest, layer.content) for layer in made)
    return BuiltImage(_manifest(document, kind, style), kind, blobs, platform=platform)


def make_index(children: Sequence[BuiltImage], style: ImageStyle | None = None) -> BuiltImage:
    """An index (OCI) or manifest list (Docker) of images, each with its platform."""
    style = style or ImageStyle()
    kind = DOCKER_LIST if style.docker else OCI_INDEX
    entries = []
    for child in children:
        entry = _descriptor(child.media_type, child.digest, len(child.raw))
        if child.platform is not None:
            entry["platform"] = _platform(child.platform)
        entries.append(entry)
    raw = _manifest({"manifests": entries}, kind, style)
    return BuiltImage(raw, kind, children=tuple(children))


def make_artifact(
    content: Content,
    artifact_type: str,
    subject: BuiltImage | None = None,
    annotations: Mapping[str, str] | None = None,
) -> BuiltImage:
    """An OCI artifact with one blob (image-spec, manifest.md, artifact usage)."""
    empty = b"{}"
    document: dict[str, object] = {
        "artifactType": artifact_type,
        "config": _descriptor(EMPTY_CONFIG, digest_of(empty), len(empty)),
        "layers": [_descriptor(artifact_type, digest_of(content), size_of(content))],
    }
    if subject is not None:
        document["subject"] = _descriptor(subject.media_type, subject.digest, len(subject.raw))
    blobs: dict[str, Content] = {digest_of(empty): empty, digest_of(content): content}
    raw = _manifest(document, OCI_MANIFEST, ImageStyle(annotations=annotations or {}))
    return BuiltImage(raw, OCI_MANIFEST, blobs, artifact_type=artifact_type)


def platform_index(name: str, *platforms: str, style: ImageStyle | None = None) -> BuiltImage:
    """An index whose images hold one small file that tells name and platform."""
    images = [
        make_image([f"{name} for {platform}".encode()], platform, style) for platform in platforms
    ]
    return make_index(images, style)


def runnable_image(message: str = "it runs\n", architecture: str = "amd64") -> BuiltImage:
    """An image that writes ``message`` and exits with 0 when it is run."""
    layer = gzip_layer({"hello": static_program(message, architecture)})
    return make_image([layer], f"linux/{architecture}", ImageStyle(entrypoint=("/hello",)))


def _config(layers: Sequence[Layer], platform: str, style: ImageStyle) -> dict[str, object]:
    return {
        "created": "1970-01-01T00:00:00Z",
        **_platform(platform),
        "config": {"Entrypoint": list(style.entrypoint), "Labels": dict(style.labels)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }


def _platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def _manifest(document: Mapping[str, object], kind: str, style: ImageStyle) -> bytes:
    head: dict[str, object] = {"schemaVersion": 2}
    if style.with_media_type or style.docker:
        head["mediaType"] = kind
    if style.annotations:
        head["annotations"] = dict(style.annotations)
    return _json({**head, **document})


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _json(document: Mapping[str, object]) -> bytes:
    # Indented as Docker writes it: a copier that re-serialises changes the digest.
    return json.dumps(document, indent=3).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
