"""What is attached to images, and where it belongs in the target. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airgap_importer.relocation import Relocation
from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.graph import ImageGraph
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest


@dataclass(frozen=True, slots=True)
class PlacedAttachment:
    """An attachment and the repository it belongs in; ``manifests`` end with its root."""

    repository: str
    entry: Attachment
    manifests: tuple[Manifest | Index, ...] = field(compare=False)

    @property
    def name(self) -> str:
        """Where it stands, as a reference without the registry."""
        if self.entry.tag is not None:
            return f"{self.repository}:{self.entry.tag}"
        return f"{self.repository}@{self.entry.root}"


@dataclass(frozen=True, slots=True)
class AttachmentsDue:
    """What will make attachments found: tags to set and lists to extend, without the registry."""

    tags: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


NOTHING_DUE = AttachmentsDue()


def place_attachments(
    images: Sequence[BundledImage], relocation: Relocation, graph: ImageGraph
) -> tuple[PlacedAttachment, ...]:
    """All attachments beside their images, each once in a repository, in their order."""
    placed: dict[tuple[str, Digest, Digest, str | None], PlacedAttachment] = {}
    for image in images:
        repository = relocation.images[image.source.canonical].destination
        for entry in image.attached:
            key = (repository, entry.root, entry.subject, entry.tag)
            if key not in placed:
                placed[key] = PlacedAttachment(repository, entry, graph.below(entry.root))
    return tuple(placed.values())


def by_repository(
    placed: Sequence[PlacedAttachment],
) -> Iterator[tuple[str, tuple[PlacedAttachment, ...]]]:
    """The attachments of each repository, in their order."""
    for repository in dict.fromkeys(one.repository for one in placed):
        yield repository, tuple(one for one in placed if one.repository == repository)
