"""One identity at a registry; its secrets are never shown."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password, a token to get tokens with, or a token to show as it is.

    ``identity_token`` is an OAuth2 refresh token; ``registry_token`` a bearer token. One that is
    ``renewable`` was made by a program or service that makes new ones when it has ended.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    renewable: bool = field(default=False, compare=False)

    @property
    def basic(self) -> str:
        """User and password as an ``Authorization`` header carries them (RFC 7617)."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be seen anywhere."""
        texts = (self.password, self.identity_token, self.registry_token)
        return (*(text for text in texts if text), self.basic)
