"""Which creator a registry has: by its kind, and by what the environment holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_importer.assignments import RECEIPTS
from airgap_importer.creating import CREATE, Groundwork
from airgap_importer.profiles import RegistryProfile
from airgap_importer.registrykind import RegistryKind
from airgap_importer.relocation import Target
from airgap_shared.errors import UsageError
from airgap_shared.stores.awsaccess import WITHOUT_KEYS, ecr_registry
from airgap_shared.stores.creators import EcrCreator, HarborCreator, QuayCreator
from airgap_shared.stores.credential import check_token
from airgap_shared.stores.ecraccess import EcrAccess
from airgap_shared.stores.ecrapi import EcrSettings, OpenApi
from airgap_shared.stores.ports import RepositoryCreator
from airgap_shared.stores.registry import Registry

#: The variable with the OAuth token for Quay's API.
QUAY_TOKEN = "AIRGAP_QUAY_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Creators:
    """Chooses by the profile of a registry; see :meth:`groundwork`.

    ``wanted`` says that creating was asked for: without it, no token is shown to a registry that
    only calls itself Quay. ``plain_http`` says that plain http was allowed by the user.
    """

    registry: Registry
    target: Target
    environment: Mapping[str, str]
    open_api: OpenApi
    settings: EcrSettings
    wanted: bool
    plain_http: bool

    def groundwork(self, profile: RegistryProfile) -> Groundwork:
        """What finds out about, and makes, what has to be there first."""
        creator, obstacle = self._choose(profile.kind)
        return Groundwork(profile, self.target.registry, self.registry, creator, obstacle)

    def _choose(self, kind: RegistryKind) -> tuple[RepositoryCreator | None, str]:
        if kind is RegistryKind.ECR:
            return self._ecr()
        if kind is RegistryKind.HARBOR:
            return self._harbor()
        if kind is RegistryKind.QUAY:
            return self._quay()
        return None, ""

    def _ecr(self) -> tuple[RepositoryCreator | None, str]:
        access = EcrAccess(self.environment, self.open_api)
        if not access.has_keys:
            return None, f"{WITHOUT_KEYS}; creating needs the keys themselves, and {CREATE}"
        try:
            ecr_registry(self.target.registry, True, self.environment)
        except UsageError as problem:
            return None, f"{problem.next_step}, and add {CREATE}"
        # The tag of the newest receipt moves with every import.
        changing = frozenset({self.target.repository(RECEIPTS)})
        return EcrCreator(access, self.target.registry, self.settings, changing), ""

    def _harbor(self) -> tuple[RepositoryCreator | None, str]:
        if self.registry.basic_header(self.target.path) is None or not self._is_private:
            return None, f"give a user and password who may create projects, and add {CREATE}"
        return HarborCreator(self.registry.api(), self.registry.basic_header), ""

    def _quay(self) -> tuple[RepositoryCreator | None, str]:
        token = self.environment.get(QUAY_TOKEN, "")
        if not token or not self.wanted or not self._is_private:
            return None, (
                f"set {QUAY_TOKEN} to an OAuth token that may create organizations and "
                f"repositories, and add {CREATE}"
            )
        return QuayCreator(self.registry.api(), check_token(token, "the token", QUAY_TOKEN)), ""

    @property
    def _is_private(self) -> bool:
        """Whether nobody listens, or the user takes that risk."""
        return self.plain_http or not self.registry.endpoint.plain_http
