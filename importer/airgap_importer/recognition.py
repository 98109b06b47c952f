"""Which kind of registry a target is: by what its user says, its host, or its answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airgap_importer.profiles import GAR_HOST, GCR, PROFILES, RegistryProfile
from airgap_importer.registrykind import RegistryKind
from airgap_shared.stores.ecrname import EcrRegistry
from airgap_shared.stores.introduction import Introduction

#: Hosted registries by their host, without the port.
_HOSTS = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"(?:(?:registry-1|index|registry)\.)?docker\.io", RegistryKind.DOCKERHUB),
        (r"quay\.io", RegistryKind.QUAY),
        (GAR_HOST.pattern, RegistryKind.GAR),
        (r"(?:[a-z]+\.)?gcr\.io", RegistryKind.GAR),
        (r"ghcr\.io", RegistryKind.GHCR),
        (r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|cn|us)", RegistryKind.ACR),
        (r"[a-z0-9-]+\.jfrog\.io", RegistryKind.ARTIFACTORY),
    )
)
#: What the texts of an introduction hold; the first that fits counts.
_MARKS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), kind)
    for pattern, kind in (
        (r"service=harbor-registry|realm=harbor$", RegistryKind.HARBOR),
        (
            r"x-(?:artifactory|jfrog)-|server: Artifactory|realm=Artifactory"
            r"|realm=\S*/api/docker/\S*v2/token|service=\S*artifactory",
            RegistryKind.ARTIFACTORY,
        ),
        (r"server: Nexus/|realm=Sonatype Nexus", RegistryKind.NEXUS),
        (r"x-zot-|realm=zot\b|service=zot\b", RegistryKind.ZOT),
        (r"service=ecr\.amazonaws\.com", RegistryKind.ECR),
        (r"realm=https://auth\.docker\.io/|service=registry\.docker\.io", RegistryKind.DOCKERHUB),
        (r"realm=https://ghcr\.io/|service=ghcr\.io", RegistryKind.GHCR),
        (r"service=\S+\.azurecr\.(?:io|cn|us)|realm=\S+\.azurecr\.", RegistryKind.ACR),
        (r"realm=\S+\.pkg\.dev/v2/token", RegistryKind.GAR),
        (r"realm=\S*/v2/auth\b", RegistryKind.QUAY),
    )
)


def profile_of(
    host: str, introduction: Introduction, chosen: RegistryKind = RegistryKind.AUTO
) -> RegistryProfile:
    """The profile of the registry ``HOST[:PORT]``; the plain one where nothing tells more.

    ``chosen`` is what the user says it is. A host that is known tells more than an answer, which
    may come from a proxy between.
    """
    kind = chosen
    if kind is RegistryKind.AUTO:
        kind = _by_host(host) or _by_answer(introduction) or RegistryKind.DISTRIBUTION
    if kind is RegistryKind.GAR and _name(host).endswith("gcr.io"):
        return GCR
    return PROFILES[kind]


def _by_host(host: str) -> RegistryKind | None:
    name = _name(host)
    if EcrRegistry.of(name):
        return RegistryKind.ECR
    return next((kind for pattern, kind in _HOSTS if pattern.fullmatch(name)), None)


def _by_answer(introduction: Introduction) -> RegistryKind | None:
    texts = "\n".join(_texts(introduction))
    return next((kind for pattern, kind in _MARKS if pattern.search(texts)), None)


def _texts(introduction: Introduction) -> Iterable[str]:
    for name, value in introduction.headers.items():
        if name != "www-authenticate":
            yield f"{name}: {value}"
    for challenge in introduction.challenges:
        for name, value in challenge.parameters.items():
            yield f"{name}={value}"


def _name(host: str) -> str:
    return host.partition(":")[0].lower()
