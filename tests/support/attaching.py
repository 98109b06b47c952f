"""Signatures, attestations and SBOMs as vendors attach them, made on the spot."""

from __future__ import annotations

import json
from dataclasses import dataclass

from support.images import (
    OCI_CONFIG,
    OCI_MANIFEST,
    BuiltImage,
    digest_of,
    make_artifact,
    make_index,
)
from support.journey import Journey

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"


def cosign_tag(subject: BuiltImage, suffix: str = ".sig") -> str:
    """The tag under which cosign keeps something about a manifest."""
    return subject.digest.replace(":", "-") + suffix


def signature_list(*signatures: tuple[bytes, str]) -> BuiltImage:
    """What stands under ``sha256-….sig``: payloads, each with its signature as an annotation."""
    config = json.dumps(
        {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {
                "mediaType": SIMPLE_SIGNING,
                "digest": digest_of(payload),
                "size": len(payload),
                "annotations": {SIGNATURE: signature},
            }
            for payload, signature in signatures
        ],
    }
    blobs = {digest_of(config): config, **{digest_of(raw): raw for raw, _ in signatures}}
    return BuiltImage(json.dumps(document).encode(), OCI_MANIFEST, dict(blobs))


@dataclass(frozen=True, slots=True)
class Vendor:
    """Somebody who attaches things to images of one repository of a journey's source."""

    journey: Journey
    repository: str

    def tag(self, subject: BuiltImage, attached: BuiltImage, suffix: str = ".sig") -> BuiltImage:
        """Put something under a cosign tag."""
        self.journey.push(f"{self.repository}:{cosign_tag(subject, suffix)}", attached)
        return attached

    def refer(self, *referrers: BuiltImage) -> None:
        """Push referrers of one subject and list them under its tag, as old clients do."""
        for referrer in referrers:
            self.journey.push(f"{self.repository}@{referrer.digest}", referrer)
        subject = str(referrers[0].document["subject"]["digest"])  # type: ignore[index]
        listed = make_index(referrers)
        self.journey.push(f"{self.repository}:{subject.replace(':', '-')}", listed)


def sbom_of(subject: BuiltImage, text: bytes = b"sbom") -> BuiltImage:
    """An SBOM as a referrer."""
    return make_artifact(text, "application/spdx+json", subject)
