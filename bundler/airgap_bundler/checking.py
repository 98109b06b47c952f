"""Checking signatures of pinned images before anything is bundled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from airgap_bundler.attached import FoundAttachment
from airgap_bundler.imagekeys import ImageKeys
from airgap_bundler.pinning import PinnedImage
from airgap_shared.bundle.attachments import CheckedSignature
from airgap_shared.errors import ImageSignatureInvalid
from airgap_shared.oci.attachment import SIGNATURE_ANNOTATION, SIGSTORE_BUNDLE
from airgap_shared.oci.manifest import Manifest
from airgap_shared.trust.imagekeys import ImageKey
from airgap_shared.trust.imagesignatures import check_sigstore_bundle, check_simple_signing


def check_signatures(pinned: Sequence[PinnedImage], keys: ImageKeys) -> tuple[PinnedImage, ...]:
    """The images with their valid signatures noted.

    Raises:
        ImageSignatureInvalid: images that one of several keys should have signed, and has not; all
            of them together.

    """
    checked: list[PinnedImage] = []
    failures: list[str] = []
    for image in pinned:
        wanted = keys.of(image.reference)
        faults: list[str] = []
        found = tuple(_valid(image, wanted, faults))
        if wanted and not found:
            reasons = "; ".join(dict.fromkeys(faults)) or "no signature"
            expected = " or ".join(key.key_id for key in wanted)
            failures.append(f"{image.reference} ({image.upstream}): {reasons}; wanted {expected}")
        checked.append(replace(image, signed_by=found))
    if failures:
        raise ImageSignatureInvalid(
            f"{len(failures)} of {len(pinned)} images are not signed as they must be",
            changed="no bundle was written",
            next_step="ask the vendor for signed images, or for the key that signs them",
            details=failures,
        )
    return tuple(checked)


def _valid(
    image: PinnedImage, keys: Sequence[ImageKey], faults: list[str]
) -> Iterator[CheckedSignature]:
    """The valid signatures by these keys; why others are none goes to ``faults``."""
    for one in image.attached:
        if one.entry.subject != image.upstream:
            continue
        for key in keys:
            found = list(_judged(one, key, image))
            if "" in found:
                yield CheckedSignature(key.key_id, image.upstream, one.entry.root)
            faults += filter(None, found)


def _judged(one: FoundAttachment, key: ImageKey, image: PinnedImage) -> Iterator[str]:
    """For each signature in an attachment why it is none, or nothing."""
    root = one.root
    if not isinstance(root, Manifest):
        return
    for layer in root.layers:
        content = one.content.get(layer.digest)
        if content is None:
            continue
        signature = layer.annotations.get(SIGNATURE_ANNOTATION)
        if one.entry.tag is not None and one.entry.tag.endswith(".sig") and signature is not None:
            yield check_simple_signing(content, signature, key, image.upstream)
        elif root.artifact_type.startswith(SIGSTORE_BUNDLE):
            yield check_sigstore_bundle(content, key, image.upstream)
