"""Descriptors: what content is, how long, and which digest it has."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from airgap_shared.errors import DigestMismatch, DocumentInvalid
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields
from airgap_shared.oci.platform import Platform
from airgap_shared.oci.spelling import DESCRIPTOR_KEYS, PLATFORM_KEYS, check_spelling

#: The largest integer that every reader of JSON reads alike (RFC 8259 §6, RFC 7493 §2.2).
SIZE_LIMIT = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed pointer to content (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)
    urls: tuple[str, ...] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read one descriptor of a manifest.

        Raises:
            DocumentInvalid, DigestUnsupported: a field is missing or has the wrong type.
            DigestMismatch: embedded ``data`` is not what the digest says.
            AmbiguousManifest: a key that others take for another one.

        """
        check_spelling(fields, DESCRIPTOR_KEYS)
        descriptor = cls(
            fields.text("mediaType"),
            fields.digest("digest"),
            fields.count("size"),
            _platform(fields),
            fields.text_map("annotations"),
            fields.optional_texts("urls"),
        )
        if descriptor.size > SIZE_LIMIT:
            raise DocumentInvalid(
                "a size that not every reader of JSON reads alike", where=f"{fields.place}.size"
            )
        _check_embedded(fields, descriptor)
        return descriptor


def _platform(fields: Fields) -> Platform | None:
    platform = fields.optional_record("platform")
    if platform is None:
        return None
    check_spelling(platform, PLATFORM_KEYS)
    return Platform(
        platform.text("os"), platform.text("architecture"), platform.optional_text("variant")
    )


def _check_embedded(fields: Fields, descriptor: Descriptor) -> None:
    text = fields.optional_text("data")
    if text is None:
        return
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as problem:
        raise DocumentInvalid("not base64", where=f"{fields.place}.data") from problem
    if len(data) != descriptor.size:
        raise DigestMismatch("embedded data has another size", where=f"{fields.place}.data")
    descriptor.digest.check(data, f"{fields.place}.data")
