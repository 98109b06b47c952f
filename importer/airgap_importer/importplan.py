"""The plan of an import, as ``apply --dry-run`` reports it: names, bytes, what is in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_importer.attachmentplan import NOTHING_DUE, AttachmentsDue
from airgap_importer.names import Names
from airgap_importer.pushplan import PushPlan, RepositoryPlan
from airgap_importer.relocation import Relocation, Target
from airgap_importer.rewriting import Overlay
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.console.text import byte_size
from airgap_shared.errors import RegistryError
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.ports import ImageLookup, Place


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about the registry.

    ``missing`` has to be created first; ``requests`` is what to ask an administrator for, word by
    word. ``lists_referrers`` says whether there is a referrers API, None where that shows only
    when something is there. ``refusal`` is the failure that the import would end with.
    ``receipts`` is the repository for them, empty where the target has no place for one.
    """

    missing: tuple[Place, ...] = ()
    requests: tuple[str, ...] = ()
    lists_referrers: bool | None = None
    refusal: RegistryError | None = None
    receipts: str = ""


def lists_referrers(plan: PushPlan, registry: ImageLookup) -> bool | None:
    """Whether the registry has the referrers API; None where it cannot be known beforehand.

    A repository that is not there answers as one without the API does.
    """
    for repository in plan.repositories:
        for manifest in repository.present:
            return registry.lists_referrers(repository.repository, manifest.digest)
    return None


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do, and what is in its way."""

    target: Target
    names: Names
    relocation: Relocation
    overlay: Overlay
    plan: PushPlan
    probe: Probe
    attached: AttachmentsDue = NOTHING_DUE

    def to_document(self) -> dict[str, object]:
        """The plan as JSON has it, format 1. Sizes are in bytes."""
        plan, profile = self.plan, self.names.profile
        shares = self._shares()
        return {
            "dryRun": True,
            "ready": self.probe.refusal is None,
            "registry": {
                "host": self.target.registry,
                "path": self.target.path,
                "type": profile.kind.value,
                "naming": self.names.naming.value,
                "mounts": profile.mounts_within is not None,
                "referrersApi": self.probe.lists_referrers,
                "receipts": self.probe.receipts or None,
            },
            "images": self.relocation.to_document()["images"],
            "repositories": [share.to_document() for share in shares],
            "manifests": sum(share.missing for share in shares),
            "blobs": len(plan.to_send),
            "bytes": plan.bytes_to_send,
            "bytesMounted": plan.bytes_to_mount,
            "bytesPresent": sum(share.present for share in shares),
            "tags": self._tags,
            "tagsPresent": len(plan.release.images) - len(plan.due),
            "referrers": self._lists,
            "attachments": len(plan.placed),
            "missing": [str(place) for place in self.probe.missing],
            "create": list(self.probe.requests),
        }

    def to_text(self) -> str:
        """The plan for people."""
        plan, profile = self.plan, self.names.profile
        shares = self._shares()
        there = sum(share.present for share in shares)
        lines = [
            f"would push {sum(share.missing for share in shares)} manifests "
            f"and {len(plan.to_send)} blobs "
            f"({byte_size(plan.bytes_to_send)}; {byte_size(there)} are there), "
            f"and set {len(self._tags)} tags "
            f"({len(plan.release.images) - len(plan.due)} are right)",
            f"  into {self.target}, taken for {profile.title}, names by {self.names.naming.value}",
            *(f"  {share}" for share in shares if not share.is_complete),
            *(f"  tag {tag.name} is to be moved from {tag.found}" for tag in plan.due if tag.found),
            *(f"  referrers go to {where}" for where in self._lists),
            *(f"  has to be created: {request}" for request in self.probe.requests),
        ]
        return "\n".join(lines) + "\n"

    @property
    def _tags(self) -> list[str]:
        return [*(tag.name for tag in self.plan.due), *self.attached.tags]

    @property
    def _lists(self) -> list[str]:
        wanted = [*(one.where for one in self.plan.lists), *self.attached.lists]
        return list(dict.fromkeys(wanted))

    def _shares(self) -> list[Share]:
        """The shares of the repositories, of which each that gets attachments has its own plan."""
        wanting: dict[str, set[Digest]] = {}
        for blob in self.plan.blobs:
            for name in blob.wanting:
                wanting.setdefault(name, set()).add(blob.blob.digest)
        attached = {one.repository: one for one in self.plan.attached}
        return [
            Share.of(
                one.with_attached(attached.get(one.repository)), wanting.get(one.repository, set())
            )
            for one in self.plan.repositories
        ]


@dataclass(frozen=True, slots=True)
class Share:
    """What one repository has and lacks; ``present`` and ``lacking`` are bytes of blobs."""

    repository: str
    manifests: int
    missing: int
    present: int
    lacking: int

    @classmethod
    def of(cls, plan: RepositoryPlan, wanting: set[Digest]) -> Share:
        """The share of a repository that lacks these blobs."""
        blobs = unique_blobs(plan.manifests)
        lacking = sum(blob.size for blob in blobs if blob.digest in wanting)
        present = sum(blob.size for blob in blobs) - lacking
        count = len(plan.manifests)
        return cls(plan.repository, count, len(plan.missing), present, lacking)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def to_document(self) -> Mapping[str, object]:
        """The share as JSON has it."""
        return {
            "repository": self.repository,
            "manifests": self.manifests,
            "manifestsMissing": self.missing,
            "bytesPresent": self.present,
            "bytesMissing": self.lacking,
        }

    def __str__(self) -> str:
        return (
            f"{self.repository}: lacks {self.missing} of {self.manifests} manifests, "
            f"{byte_size(self.lacking)} of {byte_size(self.lacking + self.present)}"
        )
