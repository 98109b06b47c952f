"""A bundle's statement for people and for machines."""

from __future__ import annotations

from airgap_shared.bundle import names
from airgap_shared.bundle.attachments import (
    attachment_document,
    checked_document,
    count_kinds,
)
from airgap_shared.bundle.statement import BundledImage, Role, Statement
from airgap_shared.console.text import byte_size, table
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.moment import format_time


def statement_document(statement: Statement) -> dict[str, object]:
    """What a statement says, as the JSON results of inspect, verify and create show it."""
    release = statement.release
    return {
        "app": release.app,
        "version": release.version,
        "channel": release.channel,
        "sequence": release.sequence,
        "created": format_time(release.created),
        "expires": format_time(release.expires),
        "tool": release.tool,
        "statement": str(Digest.of(statement.to_json())),
        "platforms": list(statement.platforms),
        "images": [
            {
                "reference": image.source.canonical,
                "literals": list(image.literals),
                "digest": str(image.root),
                "upstreamDigest": str(image.upstream),
                "mediaType": image.media_type,
                "platforms": list(image.platforms),
                "attached": [attachment_document(one) for one in image.attached],
                "signedBy": [checked_document(one) for one in image.signed_by],
            }
            for image in statement.images
        ],
        "files": [
            member.path.removeprefix(names.APPLICATION)
            for member in statement.members
            if member.role is Role.APPLICATION
        ],
        "members": len(statement.members),
        "bytes": statement.total_size,
    }


def statement_text(statement: Statement) -> str:
    """The same for people."""
    release = statement.release
    facts = [
        ("application", f"{release.app} {release.version}"),
        ("channel", f"{release.channel}, sequence {release.sequence}"),
        ("created", f"{format_time(release.created)} by {release.tool}"),
        ("use before", format_time(release.expires)),
        ("platforms", ", ".join(statement.platforms)),
        ("content", f"{len(statement.members)} members, {byte_size(statement.total_size)}"),
    ]
    attached = count_kinds(one.kind for image in statement.images for one in image.attached)
    if attached:
        facts.append(("attached", attached))
    text = table(facts)
    if statement.images:
        text += f"\n\nimages ({len(statement.images)}):"
    for image in statement.images:
        text += f"\n  {image.source.canonical}\n      {image.root}  {', '.join(image.platforms)}"
        text += _attached(image)
    files = [member.path for member in statement.members if member.role is Role.APPLICATION]
    if files:
        shown = [path.removeprefix(names.APPLICATION) for path in files]
        text += f"\n\nfiles ({len(files)}):\n" + "\n".join(f"  {path}" for path in shown)
    return text


def _attached(image: BundledImage) -> str:
    """What is attached to an image, and whose signatures were checked before it was bundled."""
    text = ""
    if image.attached:
        text += f"\n      with {count_kinds(one.kind for one in image.attached)}"
    for key in dict.fromkeys(one.key for one in image.signed_by):
        text += f"\n      its signature by {key} was checked before it was bundled"
    return text
