"""What was found attached to an image, with its content. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest


@dataclass(frozen=True, slots=True)
class FoundAttachment:
    """An attachment as the statement will have it.

    ``manifests`` are its root and all below it, children before parents; ``content`` holds those
    of its blobs that are small.
    """

    entry: Attachment
    manifests: tuple[Manifest | Index, ...]
    content: Mapping[Digest, bytes]

    @property
    def root(self) -> Manifest | Index:
        """The manifest that is attached."""
        return self.manifests[-1]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob of it, each once."""
        return unique_blobs(self.manifests)
