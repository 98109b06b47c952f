"""What is attached to images: signatures, attestations, SBOMs, and how they are found.

There are two ways. A *referrer* names its subject in a field of its own (image-spec 1.1). Older
ones stand under a *cosign tag* in the repository of what they are about: ``sha256-HEX.sig``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest

SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle."
#: Annotations of referrers that hold a Sigstore bundle (cosign, specs/BUNDLE_SPEC.md).
BUNDLE_CONTENT = "dev.sigstore.bundle.content"
BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
#: What cosign 3 states of an image that it signs.
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"


class AttachmentKind(enum.StrEnum):
    """What an attachment is, for people; only of cosign tags it is certain."""

    SIGNATURE = "signature"
    ATTESTATION = "attestation"
    SBOM = "sbom"
    OTHER = "other"


#: Where cosign keeps a signature: beside the layer that holds what was signed.
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"

_SUFFIXES = {
    ".sig": AttachmentKind.SIGNATURE,
    ".att": AttachmentKind.ATTESTATION,
    ".sbom": AttachmentKind.SBOM,
}
_TYPES = {
    "application/vnd.dev.cosign.artifact.sig.v1+json": AttachmentKind.SIGNATURE,
    "application/vnd.cncf.notary.signature": AttachmentKind.SIGNATURE,
    "application/vnd.dev.cosign.artifact.att.v1+json": AttachmentKind.ATTESTATION,
    "application/vnd.in-toto+json": AttachmentKind.ATTESTATION,
    "application/vnd.dsse.envelope.v1+json": AttachmentKind.ATTESTATION,
    "application/vnd.dev.cosign.artifact.sbom.v1+json": AttachmentKind.SBOM,
    "application/spdx+json": AttachmentKind.SBOM,
    "text/spdx": AttachmentKind.SBOM,
    "text/spdx+json": AttachmentKind.SBOM,
    "application/vnd.cyclonedx": AttachmentKind.SBOM,
    "application/vnd.cyclonedx+json": AttachmentKind.SBOM,
    "application/vnd.cyclonedx+xml": AttachmentKind.SBOM,
    "application/vnd.syft+json": AttachmentKind.SBOM,
}


def cosign_tags(subject: Digest) -> Mapping[str, AttachmentKind]:
    """The tags under which cosign keeps what is about a digest; none but for a sha256."""
    if subject.algorithm != "sha256":
        # No tag is as long as a sha512 with a suffix would be.
        return {}
    return {f"sha256-{subject.hex}{suffix}": kind for suffix, kind in _SUFFIXES.items()}


def kind_of(referrer: Manifest | Index) -> AttachmentKind:
    """What a referrer is, by its artifact type."""
    artifact = referrer.artifact_type.partition(";")[0].strip()
    if artifact.startswith(SIGSTORE_BUNDLE):
        signs = (
            referrer.annotations.get(BUNDLE_CONTENT) == "message-signature"
            or referrer.annotations.get(BUNDLE_PREDICATE) == SIGN_PREDICATE
        )
        return AttachmentKind.SIGNATURE if signs else AttachmentKind.ATTESTATION
    return _TYPES.get(artifact, AttachmentKind.OTHER)


def signatures_in(manifest: Manifest | Index) -> frozenset[tuple[Digest, str]]:
    """What stands under a cosign tag, one by one: each layer, and the signature beside it.

    Who signs once more appends a layer. Of an index it is the manifests.
    """
    entries = manifest.layers if isinstance(manifest, Manifest) else manifest.manifests
    return frozenset(
        (entry.digest, entry.annotations.get(SIGNATURE_ANNOTATION, "")) for entry in entries
    )
