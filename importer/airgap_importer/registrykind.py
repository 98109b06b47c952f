"""The kinds of registries that are told apart; what is known of each is in the profiles."""

from __future__ import annotations

import enum


class RegistryKind(enum.StrEnum):
    """The kinds of registries that are told apart, as ``--registry-type`` spells them.

    ``AUTO`` is none of them: it is to be found out.
    """

    AUTO = "auto"
    DOCKERHUB = "dockerhub"
    QUAY = "quay"
    ECR = "ecr"
    GAR = "gar"
    GHCR = "ghcr"
    ACR = "acr"
    HARBOR = "harbor"
    ARTIFACTORY = "artifactory"
    NEXUS = "nexus"
    DISTRIBUTION = "distribution"
    ZOT = "zot"
