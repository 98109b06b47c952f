"""index.json: the images under the names the application calls them by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from airgap_shared.bundle import names
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import AmbiguousManifest, MemberMismatch
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.spelling import MANIFEST_KEYS, check_spelling


def compose_index(images: Sequence[BundledImage], sizes: Mapping[Digest, int]) -> bytes:
    """The image layout's index: a descriptor for each spelling of each image, then attachments."""
    manifests = [
        {
            "mediaType": image.media_type,
            "digest": str(image.root),
            "size": sizes[image.root],
            "annotations": {
                names.REF_NAME: literal,
                names.CONTAINERD_NAME: image.source.canonical,
            },
        }
        for image in images
        for literal in image.literals
    ]
    manifests += [
        {"mediaType": kind, "digest": str(root), "size": sizes[root]}
        for root, kind in _attached(images).items()
    ]
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": manifests}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def check_index(raw: bytes, images: Sequence[BundledImage], sizes: Mapping[Digest, int]) -> None:
    """Prove that index.json names exactly the statement's images.

    What other tools read from the unpacked layout is then what was verified here.

    Raises:
        MemberMismatch: it names others, or content elsewhere.
        AmbiguousManifest: other tools may read something else in it.
        DocumentInvalid, DuplicateJSONKey, DigestUnsupported, LimitExceeded: it is no index at all.

    """
    fields = Fields(parse_json(raw, names.INDEX, values=names.VALUE_LIMIT), names.INDEX)
    check_spelling(fields, MANIFEST_KEYS)
    if "layers" in fields or "config" in fields:
        raise AmbiguousManifest("an index with layers", where=names.INDEX)
    kind = fields.optional_text("mediaType") or mediatype.OCI_INDEX
    if fields.count("schemaVersion") != 2 or kind != mediatype.OCI_INDEX:
        raise MemberMismatch("it is no OCI image index", where=names.INDEX)
    records = fields.records("manifests")
    if any("urls" in record or "data" in record for record in records):
        raise MemberMismatch("it refers to content elsewhere", where=names.INDEX)
    entries = [Descriptor.from_fields(record) for record in records]
    subject = fields.optional_record("subject")
    if subject is not None:
        Descriptor.from_fields(subject)
    found = {
        (entry.media_type, entry.digest, entry.size, entry.annotations.get(names.REF_NAME))
        for entry in entries
    }
    wanted: set[tuple[str, Digest, int, str | None]] = {
        (image.media_type, image.root, sizes[image.root], literal)
        for image in images
        for literal in image.literals
    }
    wanted |= {(kind, root, sizes[root], None) for root, kind in _attached(images).items()}
    if found != wanted or len(entries) != len(wanted):
        raise MemberMismatch("it does not list the statement's images", where=names.INDEX)


def _attached(images: Sequence[BundledImage]) -> dict[Digest, str]:
    """What is attached and no image itself, each once, and its type.

    It has no name: tools that unpack what has one would take it for an image. Those that know
    referrers find it by its subject.
    """
    roots = {image.root for image in images}
    return {
        one.root: one.media_type
        for image in images
        for one in image.attached
        if one.root not in roots
    }
