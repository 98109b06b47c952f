"""Where each image goes: stable, collision-free, one namespace. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class RelocatedImage:
    """One image of the bundle and the place it gets in the target registry.

    ``registry`` is the host the cluster pulls from, ``repository`` the path below it; ``tag`` is
    the tag people know it by, if it has one there; ``digest`` is what really runs.
    """

    source: Reference
    registry: str
    repository: str
    tag: str | None
    digest: Digest

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """What manifests are rewritten to: the tag for people, the digest for machines."""
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.name}{tag}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Relocation:
    """The relocated images by the canonical text of their source reference."""

    images: Mapping[str, RelocatedImage]

    def target_of(self, reference: Reference) -> RelocatedImage | None:
        """Where the image that ``reference`` means goes; None when it is not in the bundle."""
        return self.images.get(reference.canonical)
