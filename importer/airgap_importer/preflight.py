"""Preflight: what a registry is known to refuse, found before anything is sent to it. Pure."""

from __future__ import annotations

from airgap_importer.profiles import RegistryProfile
from airgap_importer.pushplan import PushPlan
from airgap_shared.errors import ManifestNotTaken


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
