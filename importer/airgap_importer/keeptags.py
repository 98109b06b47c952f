"""Keep-tags: the tags that save manifests from a registry's garbage collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airgap_importer.attachmentplan import PlacedAttachment
from airgap_importer.relocation import RelocatedImage
from airgap_shared.bundle.graph import ImageGraph
from airgap_shared.errors import TargetCollision
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.ports import ImageLookup


def keep_tag(digest: Digest) -> str:
    """The tag that saves a manifest from a registry's garbage collection.

    Not ``sha256-…``: that is the tag under which clients look for a manifest's referrers.
    """
    return f"airgap-{digest.hex[:120]}"


def is_kept(target: ImageLookup, repository: str, manifest: Manifest | Index) -> bool:
    """Whether the keep-tag of a manifest names it."""
    found = target.head_manifest(repository, keep_tag(manifest.digest))
    return found is not None and found.digest == manifest.digest


def check_keep_tags(
    images: Collection[RelocatedImage], placed: Iterable[PlacedAttachment], graph: ImageGraph
) -> None:
    """Make sure that no image is to have the tag that has to keep something else beside it.

    Raises:
        TargetCollision: some are.

    """
    kept = {
        (image.destination, keep_tag(manifest.digest)): image.source.canonical
        for image in images
        for manifest in graph.below(image.digest)
    }
    for one in placed:
        for manifest in one.manifests:
            kept.setdefault((one.repository, keep_tag(manifest.digest)), f"attached {one.name}")
    clashes = [
        f"{image.source.canonical} has the tag that has to keep what is in {other}"
        for image in images
        if image.tag is not None and image.tag != keep_tag(image.digest)
        for other in [kept.get((image.destination, image.tag))]
        if other is not None
    ]
    if clashes:
        raise TargetCollision(
            f"{len(clashes)} images have a tag that this import needs for other content",
            changed="nothing was changed",
            next_step="ask the sender to name these images by other tags",
            details=clashes,
        )
