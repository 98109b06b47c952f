"""Reading back: every byte that an import relies on, as the registry returns it now.

A registry answers a HEAD from its own records and serves altered bytes under their old digest; only
reading shows what a node would pull.
"""

from __future__ import annotations

from collections.abc import Sequence

from airgap_importer.pushplan import RepositoryPlan, is_present
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.errors import (
    IntegrityError,
    RegistryIntegrity,
    RegistryIntegrityError,
    RegistryRejected,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress, counted

_Work = tuple[str, Manifest | Index | Descriptor]


def read_back(
    repositories: Sequence[RepositoryPlan], target: ImageTarget, jobs: int, progress: Progress
) -> None:
    """Fetch and hash every manifest and blob of these, those that were there before, too.

    Raises:
        RegistryIntegrity: some are not what the bundle holds; all of them together.

    """
    work: list[_Work] = []
    size = 0
    for repository in repositories:
        blobs = unique_blobs(repository.manifests)
        size += sum(blob.size for blob in blobs)
        work += ((repository.repository, one) for one in (*repository.manifests, *blobs))
    progress.begin("read back", size, "bytes")
    try:
        found = for_each(work, lambda item, stop: _fault(*item, target, stop, progress), jobs)
    finally:
        progress.end()
    faults = [fault for fault in found if fault]
    if faults:
        raise RegistryIntegrity(
            f"{len(faults)} of {len(work)} manifests and blobs are not as they were pushed",
            next_step="the registry's storage is damaged: delete these there, or the whole "
            "repositories, and run again with --read-back",
            details=faults,
        )


def _fault(
    repository: str,
    content: Manifest | Index | Descriptor,
    target: ImageTarget,
    stop: Stop,
    progress: Progress,
) -> str:
    """What is wrong with one manifest or blob; empty if nothing is."""
    where = f"{repository}@{content.digest}"
    try:
        if isinstance(content, Descriptor):
            chunks = target.fetch_blob(repository, content.digest, content.size)
            for _ in counted(stop.guard(chunks), progress):
                pass
        elif not is_present(target, repository, content):
            return f"{where}: the registry has no such manifest"
    except (IntegrityError, RegistryIntegrityError, RegistryRejected) as problem:
        return f"{where}: {problem.what}"
    return ""
