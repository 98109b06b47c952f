"""A private certificate authority for servers on loopback."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from support.docker_registry import ServerCertificate


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate chain and key, and the authority to trust, as PEM files."""

    ca: Path
    chain: Path
    key: Path


class Authority:
    """A certificate authority that nobody knows unless told; its files live in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA()
        self._issued = 0
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, until: datetime.datetime | None = None) -> Certificate:
        """A server certificate; for 127.0.0.1 and localhost unless other names are given."""
        issued = self._ca.issue_cert(*(names or ("127.0.0.1", "localhost")), not_after=until)
        self._issued += 1
        chain = self._folder / f"server-{self._issued}.pem"
        key = self._folder / f"server-{self._issued}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return Certificate(self.ca, chain, key)


def server_context(certificate: ServerCertificate) -> ssl.SSLContext:
    """For a server of ours that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context
