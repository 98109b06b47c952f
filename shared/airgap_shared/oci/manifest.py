"""Image manifests and indexes: parsed beside the raw bytes, which alone are ever sent on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from airgap_shared.errors import (
    AmbiguousManifest,
    DigestUnsupported,
    LimitExceeded,
    MediaTypeUnsupported,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.spelling import MANIFEST_KEYS, check_spelling

#: What registries are required to take, and the most they do (distribution-spec).
MANIFEST_LIMIT = 4 * 1024 * 1024
DESCRIPTOR_LIMIT = 10_000
#: As many descriptors with platforms and some annotations have; every value takes memory.
MANIFEST_VALUE_LIMIT = 250_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform, or an artifact: a config blob and layers.

    ``subject`` is the manifest that it says something about; nobody promises that there is one.
    Where a manifest does not tell its ``artifact_type``, it is that of the config.
    """

    raw: bytes
    media_type: str
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None
    artifact_type: str

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob that must exist before this manifest can be pushed, each once."""
        return tuple({blob.digest: blob for blob in (self.config, *self.layers)}.values())

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests that must exist before this one: none."""
        return ()


@dataclass(frozen=True, slots=True)
class Index:
    """A choice of manifests by platform; ``subject`` as for a manifest."""

    raw: bytes
    media_type: str
    digest: Digest
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None
    artifact_type: str

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs this one refers to itself: none."""
        return ()

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests that must exist before this one, each once."""
        return tuple({child.digest: child for child in self.manifests}.values())


def parse_manifest(raw: bytes, media_type: str | None, where: str = "") -> Manifest | Index:
    """Read a manifest or an index, OCI or Docker schema 2.

    ``media_type`` is what the parent descriptor or the registry said; the body may leave its own
    out, unless it is Docker's, but where both speak they must agree.

    Raises:
        LimitExceeded: over 4 MiB, 10,000 descriptors or 250,000 values.
        MediaTypeUnsupported: schema 1 or an unknown kind.
        AmbiguousManifest: readable as two different things.
        DocumentInvalid, DuplicateJSONKey, DigestUnsupported: not a well-formed document.

    """
    if len(raw) > MANIFEST_LIMIT:
        raise LimitExceeded(f"a manifest of {len(raw)} bytes, over {MANIFEST_LIMIT}", where=where)
    fields = Fields(parse_json(raw, where, values=MANIFEST_VALUE_LIMIT), where)
    check_spelling(fields, MANIFEST_KEYS)
    kind = _agreed_media_type(fields, media_type, where)
    if fields.count("schemaVersion") != 2:
        fields.refuse("expected 2", "schemaVersion")
    if kind in mediatype.INDEXES:
        return _parse_index(raw, kind, fields)
    return _parse_image(raw, kind, fields)


def compose_subset(index: Index, keep: Collection[Digest]) -> Index:
    """An index of only the children in ``keep``; everything else in it stays as it was.

    The bytes are new (sorted keys, no white space), and so is the digest.
    """
    document = json.loads(index.raw)
    wanted = {str(digest) for digest in keep}
    entries = document["manifests"]
    document["manifests"] = [entry for entry in entries if entry["digest"] in wanted]
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    subset = parse_manifest(raw, index.media_type)
    assert isinstance(subset, Index)  # noqa: S101
    return subset


def _agreed_media_type(fields: Fields, told: str | None, where: str) -> str:
    said = fields.optional_text("mediaType")
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        raise AmbiguousManifest("it has both manifests and layers", where=where)
    known = mediatype.MANIFESTS | mediatype.INDEXES
    if told is not None and told not in known and told.partition(";")[0] in ("", "text/plain"):
        told = None
    if said is not None and told is not None and said != told:
        raise AmbiguousManifest(
            f"its mediaType is {said[:100]!r} but it was announced as {told[:100]!r}", where=where
        )
    kind = said if said is not None else told or _guess(fields)
    if kind not in known:
        raise MediaTypeUnsupported(f"unsupported manifest type {kind[:100]!r}", where=where)
    if said is None and kind in mediatype.SELF_NAMED:
        raise AmbiguousManifest("a manifest of Docker's that does not say its type", where=where)
    return kind


def _guess(fields: Fields) -> str:
    """The type of a body that says nothing and came without an announcement."""
    if "manifests" in fields:
        return mediatype.OCI_INDEX
    if "layers" in fields and "config" in fields:
        return mediatype.OCI_MANIFEST
    return "unknown"


def _parse_image(raw: bytes, kind: str, fields: Fields) -> Manifest:
    if "manifests" in fields:
        raise AmbiguousManifest("an image manifest with a list of manifests", where=fields.place)
    layers = tuple(Descriptor.from_fields(layer) for layer in _bounded(fields, "layers"))
    config = Descriptor.from_fields(fields.record("config"))
    _check_repeated(((one.digest, one.size) for one in (config, *layers)), fields.place)
    return Manifest(
        raw,
        kind,
        Digest.of(raw),
        config,
        layers,
        fields.text_map("annotations"),
        _subject(fields, kind),
        fields.optional_text("artifactType") or config.media_type,
    )


def _parse_index(raw: bytes, kind: str, fields: Fields) -> Index:
    if "layers" in fields:
        raise AmbiguousManifest("an index with layers", where=fields.place)
    manifests = tuple(_child(entry) for entry in _bounded(fields, "manifests"))
    _check_repeated(((one.digest, (one.size, one.media_type)) for one in manifests), fields.place)
    return Index(
        raw,
        kind,
        Digest.of(raw),
        manifests,
        fields.text_map("annotations"),
        _subject(fields, kind),
        fields.optional_text("artifactType") or "",
    )


def _child(fields: Fields) -> Descriptor:
    """A manifest of an index; registries know manifests by their sha256 alone."""
    child = Descriptor.from_fields(fields)
    if child.digest.algorithm != "sha256":
        raise DigestUnsupported("a manifest has to be named by its sha256", where=fields.place)
    return child


def _check_repeated(said: Iterable[tuple[Digest, object]], where: str) -> None:
    """What stands twice has to be said to be the same twice: no more than one can be true."""
    first: dict[Digest, object] = {}
    for digest, what in said:
        if first.setdefault(digest, what) != what:
            raise AmbiguousManifest(f"it describes {digest} in two ways", where=where)


def _subject(fields: Fields, kind: str) -> Descriptor | None:
    """What an OCI manifest refers to; Docker's have no such field, whatever stands there."""
    if kind not in (mediatype.OCI_MANIFEST, mediatype.OCI_INDEX):
        return None
    subject = fields.optional_record("subject")
    return None if subject is None else Descriptor.from_fields(subject)


def _bounded(fields: Fields, key: str) -> tuple[Fields, ...]:
    entries = fields.records(key)
    if len(entries) > DESCRIPTOR_LIMIT:
        raise LimitExceeded(
            f"{len(entries)} descriptors, over {DESCRIPTOR_LIMIT}", where=f"{fields.place}.{key}"
        )
    return entries
