"""Registry clients for tests: nobody's or somebody's, and with a clock that never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from airgap_shared.stores.settings import ClientSettings, Patience, Timing
from airgap_shared.stores.tls import TrustSettings


class Identities:
    """Credentials by host; without any, nobody's."""

    def __init__(self, by_host: Mapping[str, Credential] | None = None) -> None:
        self._by_host = by_host or {}

    def lookup(self, host: str, repository: str) -> Credential | None:
        return self._by_host.get(host)

    def renew(self, host: str, repository: str, stale: Credential) -> Credential | None:
        return None


class FakeClock:
    """Time that passes only by sleeping, and remembers each pause."""

    def __init__(self, fraction: float = 1.0) -> None:
        self.pauses: list[float] = []
        self._fraction = fraction
        self._now = 1_000_000.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.pauses.append(seconds)
            self._now += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass without a pause."""
        with self._lock:
            self._now += seconds

    def timing(self) -> Timing:
        return Timing(self, self, self.sleep, lambda: self._fraction)


#: Reading and writing by clients that never wait for another try.
IMPATIENT = ClientSettings(
    writes=True,
    connect_timeout=5,
    read_timeout=20,
    patience=Patience(timing=replace(FakeClock().timing(), sleep=lambda seconds: None)),
)


def settings_by(clock: FakeClock, writes: bool = True, attempts: int = 6) -> ClientSettings:
    """Settings of a client whose pauses are the clock's."""
    return replace(
        IMPATIENT, writes=writes, patience=Patience(attempts=attempts, timing=clock.timing())
    )


def http_client(
    host: str, credential: Credential | None = None, settings: ClientSettings = IMPATIENT
) -> Registry:
    """A client by plain http."""
    known = {} if credential is None else {host: credential}
    return Registry(Endpoint(host, plain_http=True), Identities(known), None, settings)


def https_client(
    host: str, ca_file: Path | None = None, credential: Credential | None = None
) -> Registry:
    """A client that trusts one authority only."""
    trust = TrustSettings({"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nonexistent"}, ca_file=ca_file)
    known = {} if credential is None else {host: credential}
    return Registry(Endpoint(host), Identities(known), trust.context(host), IMPATIENT)


def body_of(content: bytes, piece: int = 1 << 20) -> Callable[[], Iterator[bytes]]:
    """Opens the same bytes again and again."""
    return lambda: (content[at : at + piece] for at in range(0, len(content), piece))
