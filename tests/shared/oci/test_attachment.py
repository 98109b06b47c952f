from __future__ import annotations

import pytest

from airgap_shared.oci import mediatype
from airgap_shared.oci.attachment import AttachmentKind, cosign_tags, kind_of
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import parse_manifest
from airgap_shared.oci.reference import is_valid_tag
from support.images import ImageStyle, make_artifact, make_index

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_cosign_keeps_three_kinds_under_tags() -> None:
    digest = Digest.of(b"x")
    tags = cosign_tags(digest)
    assert tags == {
        f"sha256-{digest.hex}.sig": AttachmentKind.SIGNATURE,
        f"sha256-{digest.hex}.att": AttachmentKind.ATTESTATION,
        f"sha256-{digest.hex}.sbom": AttachmentKind.SBOM,
    }
    assert all(map(is_valid_tag, tags))


def test_a_sha512_has_no_such_tags() -> None:
    assert not cosign_tags(Digest("sha512", "0" * 128))


@pytest.mark.parametrize(
    ("artifact", "kind"),
    [
        ("application/vnd.cncf.notary.signature", AttachmentKind.SIGNATURE),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", AttachmentKind.SIGNATURE),
        ("application/vnd.in-toto+json", AttachmentKind.ATTESTATION),
        ("application/spdx+json", AttachmentKind.SBOM),
        ("application/vnd.cyclonedx+json; version=1.5", AttachmentKind.SBOM),
        (_BUNDLE, AttachmentKind.ATTESTATION),
        ("application/x.scan", AttachmentKind.OTHER),
    ],
)
def test_the_artifact_type_tells_what_a_referrer_is(artifact: str, kind: AttachmentKind) -> None:
    made = make_artifact(b"x", artifact)
    assert kind_of(parse_manifest(made.raw, made.media_type)) is kind


@pytest.mark.parametrize(
    ("annotations", "kind"),
    [
        ({"dev.sigstore.bundle.content": "message-signature"}, AttachmentKind.SIGNATURE),
        (
            {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"},
            AttachmentKind.SIGNATURE,
        ),
        (
            {"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"},
            AttachmentKind.ATTESTATION,
        ),
    ],
)
def test_a_sigstore_bundle_says_what_is_in_it(
    annotations: dict[str, str], kind: AttachmentKind
) -> None:
    raw = make_artifact(b"x", _BUNDLE, annotations=annotations).raw
    assert kind_of(parse_manifest(raw, mediatype.OCI_MANIFEST)) is kind


def test_an_index_without_a_type_is_something_else() -> None:
    made = make_index([], ImageStyle())
    assert kind_of(parse_manifest(made.raw, made.media_type)) is AttachmentKind.OTHER
