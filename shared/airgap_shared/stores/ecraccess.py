"""Registries of ECR by the access key of the environment: their API, and passwords made by it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from airgap_shared.errors import AuthFailed
from airgap_shared.stores.awsaccess import WITHOUT_KEYS, api_endpoint, aws_keys, ecr_registry
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.ecrapi import EcrApi, OpenApi


@dataclass(frozen=True, slots=True)
class EcrAccess:
    """Knows each host of ECR by its name, and those that are ``chosen`` to be such.

    A registry that merely calls itself ECR is not believed.
    """

    environment: Mapping[str, str]
    open_api: OpenApi
    chosen: Collection[str] = ()

    @property
    def has_keys(self) -> bool:
        """Whether the environment holds an access key."""
        return aws_keys(self.environment) is not None

    def issue(self, host: str) -> Credential | None:
        """A user and password for twelve hours; nothing for hosts that are none of ECR's.

        Raises:
            AuthFailed: there is no access key, or it is not accepted.
            RegistryError: the API gives none.

        """
        if ecr_registry(host, host in self.chosen, self.environment) is None:
            return None
        with self.api(host) as api:
            return api.authorization_token()

    @contextmanager
    def api(self, host: str) -> Iterator[EcrApi]:
        """The API of the registry behind a host, until the end of the block.

        Raises:
            AuthFailed: there is no access key.
            UsageError: nothing tells the region.

        """
        registry = ecr_registry(host, True, self.environment)
        keys = aws_keys(self.environment)
        if registry is None or keys is None:
            raise AuthFailed(
                "no credentials are known for this registry of ECR, and no access key of AWS",
                where=host,
                next_step=WITHOUT_KEYS,
            )
        with self.open_api(api_endpoint(registry, self.environment)) as client:
            yield EcrApi(client, registry, keys)
