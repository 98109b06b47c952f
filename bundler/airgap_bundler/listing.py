"""What was found and what would be bundled, as text and JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from airgap_bundler.discovery import ImageInventory, ImageLike, InventoryImage
from airgap_bundler.operators.knowledge import Needed
from airgap_bundler.pinning import PinnedImage
from airgap_bundler.sources.application import SkippedFile
from airgap_shared.bundle.attachments import attachment_document, count_kinds
from airgap_shared.console.text import byte_size, table


def inventory_text(
    inventory: ImageInventory, needed: Sequence[Needed], skipped: Sequence[SkippedFile]
) -> str:
    """The inventory for people: images, what somebody must judge, what was left out."""
    parts = [f"images ({len(inventory.images)}):"]
    for image in inventory.images:
        parts += [f"  {image.reference.canonical}", *_uses(image)]
    if needed:
        parts += ["", f"known to need, not listed ({len(needed)}):"]
        parts += [line for entry in needed for line in needed_lines(entry)]
    if inventory.undecided:
        parts += ["", f"undecided ({len(inventory.undecided)}): not bundled, please judge"]
        for entry in inventory.undecided:
            parts += [f"  {entry.text}", *_uses(entry)]
    if inventory.ignored:
        parts += ["", f"ignored ({len(inventory.ignored)}):"]
        parts += [f"  {entry.text!r}: {entry.uses[0].reason}" for entry in inventory.ignored]
    if skipped:
        parts += ["", f"skipped ({len(skipped)}):"]
        parts += [f"  {entry.path}: {entry.reason}" for entry in skipped]
    return "\n".join(parts)


def needed_lines(entry: Needed) -> tuple[str, str]:
    """What an operator pulls and nobody lists: the image, and why and where this is known."""
    source = f"{entry.source.project} {entry.source.file}, {entry.source.date}"
    trust = "" if entry.source.verified else ", not verified"
    return (
        f"  {entry.reference}",
        f"      {entry.operator}, {entry.place}: {entry.why} ({source}{trust})",
    )


def plan_document(pinned: Sequence[PinnedImage]) -> dict[str, object]:
    """What a bundle of these images would hold."""
    return {
        "dryRun": True,
        "images": [
            {
                "reference": image.reference.canonical,
                "digest": str(image.root.digest),
                "upstreamDigest": str(image.upstream),
                "location": str(image.location),
                "platforms": list(image.platforms),
                "bytes": sum(blob.size for blob in image.blobs),
                "attached": [attachment_document(one.entry) for one in image.attached],
            }
            for image in pinned
        ],
        "bytes": _total(pinned),
    }


def plan_text(pinned: Sequence[PinnedImage]) -> str:
    """The same for people."""
    rows = [
        (
            image.reference.canonical,
            str(image.root.digest),
            byte_size(sum(blob.size for blob in image.blobs)),
        )
        for image in pinned
    ]
    head = f"would bundle {len(pinned)} images, {byte_size(_total(pinned))}"
    attached = count_kinds(one.entry.kind for image in pinned for one in image.attached)
    if attached:
        head += f", with {attached}"
    return "\n".join([head, table(rows, "  ")] if rows else [head])


def _total(pinned: Sequence[PinnedImage]) -> int:
    blobs = {blob.digest: blob.size for image in pinned for blob in image.blobs}
    for attached in (one for image in pinned for one in image.attached):
        blobs.update({blob.digest: blob.size for blob in attached.blobs})
    return sum(blobs.values())


def _uses(entry: InventoryImage | ImageLike) -> list[str]:
    return [
        f"      {use.file}"
        + (f"#{use.object}#{use.path}" if use.object else "")
        + f"  [{use.rule}] {use.reason}"
        for use in entry.uses
    ]
