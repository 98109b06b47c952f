"""One identity at a registry; its secrets are never shown."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from airgap_shared.errors import CredentialsInvalid

#: What a header may hold without being cut in two, and no token needs more (RFC 6750).
_SENDABLE = re.compile(r"[!-~]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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


def check_user(text: str, where: str) -> str:
    """The same user, if ``Basic`` can tell it from a password (RFC 7617).

    Raises:
        CredentialsInvalid: it cannot; the message does not quote it.

    """
    check_text(text, "the user", where)
    if ":" in text or _CONTROL.search(text):
        raise CredentialsInvalid("the user holds a colon or a control character", where=where)
    return text


def check_text(text: str, noun: str, where: str) -> str:
    """The same text, if it can be sent at all.

    Raises:
        CredentialsInvalid: it was made of bytes that are not UTF-8; the message does not quote it.

    """
    try:
        text.encode()
    except UnicodeEncodeError:
        # Without the cause, which holds the text.
        raise CredentialsInvalid(f"{noun} is not UTF-8 text", where=where) from None
    return text


def check_token(text: str, noun: str, where: str) -> str:
    """The same token, if a header can carry it.

    Raises:
        CredentialsInvalid: it cannot; the message does not quote it.

    """
    if not _SENDABLE.fullmatch(text):
        raise CredentialsInvalid(
            f"{noun} holds a space, a line end or another character that no header may hold",
            where=where,
        )
    return text
