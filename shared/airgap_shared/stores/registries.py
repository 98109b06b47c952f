"""All registries of one run: a client for each host, made when it is first needed."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from airgap_shared.errors import AirgapError, PlainHttpRefused
from airgap_shared.stores.apiconnections import ApiConnections
from airgap_shared.stores.credentials import CredentialStore
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from airgap_shared.stores.settings import ClientSettings
from airgap_shared.stores.tls import TrustSettings


class Registries:
    """Opens registries; safe to use from several threads.

    Plain http is spoken to the hosts in ``plain_http`` and, with a note, to a registry on this
    very machine that has no TLS, but never with credentials: whoever holds the port would see them.
    A registry on this machine that failed is not tried again.
    """

    def __init__(
        self,
        plain_http: Collection[str],
        credentials: CredentialStore,
        trust: TrustSettings,
        settings: ClientSettings,
        note: Callable[[str], None],
    ) -> None:
        self._plain_http = frozenset(plain_http)
        self._credentials = credentials
        self._trust = trust
        self._settings = settings
        self._note = note
        self._lock = threading.Lock()
        self._clients: dict[str, Registry] = {}
        self._failures: dict[str, AirgapError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            client.close()

    @property
    def apis(self) -> ApiConnections:
        """Connections to APIs elsewhere, by the same trust and settings."""
        return ApiConnections(self._trust, self._settings)

    def open(self, host: str) -> Registry:
        """The client for this host.

        Raises:
            UsageError: not a host, or TLS files that cannot be used.
            RegistryError: a registry on this machine was tried and cannot be used.

        """
        with self._lock:
            if host in self._failures:
                raise self._failures[host]
            client = self._clients.get(host)
            if client is None:
                client = self._clients[host] = self._connect(host)
            return client

    def _connect(self, host: str) -> Registry:
        if host in self._plain_http or not is_loopback(host):
            return self._client(host, host in self._plain_http)
        client = self._client(host, plain_http=False)
        try:
            client.ping()
        except PlainHttpRefused as problem:
            client.close()
            if self._credentials.lookup(host) is not None:
                self._failures[host] = problem
                raise
            self._note(f"{host} has no TLS; using plain http, as it is on this machine")
            return self._client(host, plain_http=True)
        except AirgapError as problem:
            client.close()
            self._failures[host] = problem
            raise
        return client

    def _client(self, host: str, plain_http: bool) -> Registry:
        endpoint = Endpoint(host, plain_http)
        context = None if plain_http else self._trust.context(host)
        return Registry(endpoint, self._credentials, context, self._settings)


def is_loopback(host: str) -> bool:
    """Whether ``HOST[:PORT]`` names this very machine."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"
