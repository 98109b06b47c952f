"""Connections to an API that is not on a registry's own origin, by the user's TLS settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airgap_shared.stores.apiclient import ApiClient
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.settings import ClientSettings
from airgap_shared.stores.tls import TrustSettings
from airgap_shared.stores.transport import Transport


class _Nobody:
    """No credentials: what a request carries is its sender's to say."""

    def lookup(self, host: str, repository: str) -> Credential | None:
        return None

    def renew(self, host: str, repository: str, stale: Credential) -> Credential | None:
        return None


@dataclass(frozen=True, slots=True)
class ApiConnections:
    """Opens APIs with the trust, the time limits and the patience of registry clients."""

    trust: TrustSettings
    settings: ClientSettings

    @contextmanager
    def open(self, endpoint: Endpoint) -> Iterator[ApiClient]:
        """The API at this place, until the end of the block.

        Raises:
            UsageError: TLS files that cannot be used.

        """
        context = None if endpoint.plain_http else self.trust.context(endpoint.host)
        transport = Transport(endpoint, _Nobody(), context, self.settings)
        try:
            yield ApiClient(
                endpoint.base_url, transport.send, transport.redactor, self.settings.patience
            )
        finally:
            transport.close()
