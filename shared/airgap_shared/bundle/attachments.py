"""Attachments in the statement: what travels with an image, and which signatures were checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from airgap_shared.bundle import names
from airgap_shared.oci.attachment import AttachmentKind, cosign_tags
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A manifest or index that is about ``subject``.

    ``tag`` is the cosign tag under which it stands beside its subject; a referrer, whose manifest
    names the subject, has none. ``kind`` is for people.
    """

    root: Digest
    media_type: str
    subject: Digest
    tag: str | None
    kind: AttachmentKind


@dataclass(frozen=True, slots=True)
class CheckedSignature:
    """A signature of an image that was verified before the image was bundled.

    ``key`` is the fingerprint of the key, ``digest`` what was signed, ``signature`` the manifest
    that holds the signature.
    """

    key: str
    digest: Digest
    signature: Digest


def parse_attachments(image: Fields) -> tuple[Attachment, ...]:
    """The ``attached`` of an image of the statement.

    Raises:
        StatementInvalid: not as bundle-spec.md, 4.6 asks for, as far as it can be told without
            the manifests.

    """
    entries = image.records("attached")
    if len(entries) > names.ATTACHED_LIMIT:
        image.refuse(f"{len(entries)} attachments, over {names.ATTACHED_LIMIT}", "attached")
    attached = tuple(_attachment(entry) for entry in entries)
    if len({(one.root, one.subject, one.tag) for one in attached}) != len(attached):
        image.refuse("an attachment stands twice", "attached")
    return attached


def _attachment(entry: Fields) -> Attachment:
    try:
        kind = AttachmentKind(entry.text("kind"))
    except ValueError:
        entry.refuse("an unknown kind", "kind")
    if "tag" not in entry.mapping:
        entry.refuse("expected a tag or null, found nothing", "tag")
    attachment = Attachment(
        entry.digest("root"),
        entry.text("mediaType"),
        entry.digest("subject"),
        entry.optional_text("tag"),
        kind,
    )
    tag = attachment.tag
    if tag is not None and cosign_tags(attachment.subject).get(tag) is not kind:
        entry.refuse("not the tag of such an attachment of its subject", "tag")
    return attachment


def parse_checked(image: Fields) -> tuple[CheckedSignature, ...]:
    """The ``signedBy`` of an image of the statement; what it signs is the upstream digest."""
    upstream = image.digest("upstream")
    checked = tuple(
        CheckedSignature(entry.text("key"), entry.digest("digest"), entry.digest("signature"))
        for entry in image.records("signedBy")
    )
    if any(one.digest != upstream for one in checked):
        image.refuse("a signature of something else", "signedBy")
    if not all(_FINGERPRINT.fullmatch(one.key) for one in checked):
        image.refuse("not the fingerprint of a key", "signedBy")
    return checked


def attachment_document(attachment: Attachment) -> dict[str, object]:
    """An attachment as the statement has it."""
    return {
        "root": str(attachment.root),
        "mediaType": attachment.media_type,
        "subject": str(attachment.subject),
        "tag": attachment.tag,
        "kind": attachment.kind.value,
    }


def checked_document(checked: CheckedSignature) -> dict[str, object]:
    """A checked signature as the statement has it."""
    return {
        "key": checked.key,
        "digest": str(checked.digest),
        "signature": str(checked.signature),
    }


def count_kinds(kinds: Iterable[AttachmentKind]) -> str:
    """``2 signatures, 1 SBOM``; empty for nothing."""
    names = {
        AttachmentKind.SIGNATURE: ("signature", "signatures"),
        AttachmentKind.ATTESTATION: ("attestation", "attestations"),
        AttachmentKind.SBOM: ("SBOM", "SBOMs"),
        AttachmentKind.OTHER: ("other attachment", "other attachments"),
    }
    found = Counter(kinds)
    return ", ".join(
        f"{found[kind]} {one if found[kind] == 1 else more}"
        for kind, (one, more) in names.items()
        if found[kind]
    )
