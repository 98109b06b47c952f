"""Endpoints and origins: where a registry is spoken to, and who may see its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from airgap_shared.errors import UsageError
from airgap_shared.oci.reference import DEFAULT_REGISTRY, is_valid_registry, without_user

_PORTS = {"http": 80, "https": 443}
# Parsers disagree about everything else in a URL, above all about backslashes and white space.
_PLAIN_URL = re.compile(r"[!-\[\]-~]+")
# One host and perhaps a port: of "a[::1]" some take the one half and some the other.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.?"
_AUTHORITY = re.compile(rf"(?:{_NAME}|\[[A-Fa-f0-9:.]+\])(?::[0-9]*)?")
#: Docker Hub's name is not the name of the host that serves its API.
_SPOKEN_TO = {DEFAULT_REGISTRY: "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host in lower case without a trailing dot, and the port really used (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self | None:
        """The origin of an absolute http or https URL; nothing for any other text.

        A URL with user information has no origin that could be trusted.
        """
        if not _PLAIN_URL.fullmatch(url):
            return None
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        default = _PORTS.get(parts.scheme)
        host = (parts.hostname or "").removesuffix(".")
        if default is None or not host or not _AUTHORITY.fullmatch(parts.netloc):
            return None
        return cls(parts.scheme, host, default if port is None else port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry by the host that image references name, and how it is spoken to."""

    host: str
    plain_http: bool = False

    def __post_init__(self) -> None:
        if not is_valid_registry(self.host):
            raise UsageError(
                f"not a registry host: {without_user(self.host)[:300]!r}",
                next_step="write it as HOST or HOST:PORT, without a scheme",
            )

    @property
    def base_url(self) -> str:
        """``https://HOST[:PORT]``, without a slash at the end."""
        scheme = "http" if self.plain_http else "https"
        return f"{scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """The host and port that are connected to."""
        return _SPOKEN_TO.get(self.host.lower(), self.host)

    @property
    def origin(self) -> Origin:
        """The only origin that may see this registry's credentials."""
        origin = Origin.of(self.base_url)
        assert origin is not None  # noqa: S101 - the grammar of hosts admits nothing else
        return origin
