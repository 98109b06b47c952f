"""Preflight: what a registry is known to refuse, found before anything is sent to it. Pure."""

from __future__ import annotations

from airgap_importer.profiles import RegistryProfile
from airgap_importer.pushplan import PushPlan
from airgap_shared.errors import ManifestNotTaken, UsageError


def check_manifests(plan: PushPlan, profile: RegistryProfile) -> None:
    """Hold the manifests that are to be pushed against the profile of the registry.

    Raises:
        ManifestNotTaken: some would be refused; all of them together.

    """
    objections = [
        f"{repository.repository}@{manifest.digest}: {objection}"
        for repository in plan.repositories
        for manifest in repository.missing
        if (objection := profile.objection(manifest))
    ]
    if not objections:
        return
    escape = f"if this is no {profile.title}, or takes them, add --registry-type distribution"
    raise ManifestNotTaken(
        f"{profile.title} does not take {len(objections)} of the manifests",
        where=objections[0].partition(": ")[0],
        next_step="; ".join(part for part in (profile.remedy, escape) if part),
        details=objections,
    )


def check_medium(plan: PushPlan, profile: RegistryProfile, random_access: bool) -> None:
    """Find blobs that have to be sent several times and cannot be read several times.

    Raises:
        UsageError: there are such.

    """
    # What only attachments need is small, and held in memory.
    several = [one for one in plan.blobs if len(set(one.wanting) - one.optional) > 1]
    if random_access or plan.mounts or not several:
        return
    raise UsageError(
        f"{len(several)} layers have to be sent to several repositories each, for "
        f"{profile.title} does not take them over; a pipe cannot be read again",
        next_step="give the bundle as a file",
    )
