"""Bearer tokens: fetched by scope, kept until shortly before they expire.

The protocol is the one of docker's registry (distribution, docs/spec/auth/token.md and
oauth.md): GET with Basic or with nothing, POST for identity tokens.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from airgap_shared.errors import AirgapError, AuthFailed, RateLimited
from airgap_shared.stores.challenge import Challenge
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Answer, Request
from airgap_shared.stores.origins import check_realm
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.refusals import judge
from airgap_shared.stores.retrying import Transient
from airgap_shared.stores.settings import ClientSettings

TOKEN_LIMIT = 1 << 20
#: Real ones are below 8 KiB, which is as much as nginx takes of a header.
_LONGEST_TOKEN = 16 << 10
#: Of servers that do not say how long a token lives (token.md, "expires_in").
_DEFAULT_LIFETIME = 60.0
#: Whatever a server says: the number may have hundreds of digits.
_LONGEST_LIFETIME = 86_400.0
#: The part of its life after which a token is not used any more.
_USABLE_PART = 0.8
_CLIENT_ID = "airgap-bundle"
_TOKEN = re.compile(r"[!-~]+")


class IdentityRefused(Exception):
    """The token server does not take the user and password; the error to report says so.

    ``banned`` tells a 403 from a 401.
    """

    def __init__(self, error: AuthFailed, banned: bool) -> None:
        super().__init__(error)
        self.error = error
        self.banned = banned


@dataclass(slots=True)
class _Slot:
    """The token for one set of scopes, and the lock of whoever fetches it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    token: str = ""
    usable_until: float = 0.0


class TokenService:
    """The tokens of one registry; used by several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        send: Callable[[Request, str | None], Answer],
        settings: ClientSettings,
        redactor: Redactor,
    ) -> None:
        self._endpoint = endpoint
        self._send = send
        self._hosts = settings.token_hosts
        self._timing = settings.patience.timing
        self._redactor = redactor
        self._lock = threading.Lock()
        self._slots: dict[Access, _Slot] = {}

    def token(self, challenge: Challenge, access: Access, credential: Credential | None) -> str:
        """A token for these scopes that can still be used for a while.

        Raises:
            UnsafeTokenRealm: the registry names a token server that must not be asked.
            IdentityRefused: the token server does not accept the credential.
            AuthFailed: the token server gives none.
            Transient: it may give one later.

        """
        slot = self._slot(access)
        with slot.lock:
            if not slot.token or self._timing.monotonic() >= slot.usable_until:
                slot.token, lifetime = self._fetch(challenge, access, credential)
                slot.usable_until = self._timing.monotonic() + lifetime * _USABLE_PART
            return slot.token

    def discard(self, access: Access, token: str) -> None:
        """Not use this token again: the registry refused it."""
        slot = self._slot(access)
        with slot.lock:
            if slot.token == token:
                slot.token = ""

    def _slot(self, access: Access) -> _Slot:
        with self._lock:
            return self._slots.setdefault(access, _Slot())

    def _fetch(
        self, challenge: Challenge, access: Access, credential: Credential | None
    ) -> tuple[str, float]:
        realm = challenge.parameters["realm"]
        check_realm(realm, self._endpoint, self._hosts, anonymous=credential is None)
        request, header = self._request(challenge, access, credential)
        answer = self._send(request, header)
        if answer.status != 200:
            refusal = self._refusal(request, answer)
            if answer.status in (401, 403) and isinstance(refusal, AuthFailed):
                raise IdentityRefused(refusal, banned=answer.status == 403)
            raise refusal
        raw = answer.body(TOKEN_LIMIT)
        token, lifetime = _read(raw, request.where)
        self._redactor.learn_token(access, token)
        return token, lifetime

    def _request(
        self, challenge: Challenge, access: Access, credential: Credential | None
    ) -> tuple[Request, str | None]:
        realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
        host = urlsplit(realm).netloc
        where = f"token server {host} of {self._endpoint.host}"
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credential.identity_token,
                "service": service,
                "client_id": _CLIENT_ID,
                "scope": " ".join(access.scopes),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode({key: value for key, value in form.items() if value}).encode()
            return Request("POST", realm, where, (200,), access, headers, body), None
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in access.scopes]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        header = f"Basic {credential.basic}" if credential and credential.username else None
        return Request("GET", url, where, (200,), access), header

    def _refusal(self, request: Request, answer: Answer) -> Exception:
        fault = judge(request, answer, self._redactor, self._timing.wall())
        if isinstance(fault, Transient):
            if isinstance(fault.error, RateLimited):
                return fault
            return Transient(self._failure(fault.error), fault.retry_after, fault.tries)
        assert isinstance(fault, AirgapError)  # noqa: S101 - judge returns nothing else
        return self._failure(fault)

    def _failure(self, error: AirgapError) -> AuthFailed:
        what = error.what.replace("the registry answers", "the token server answers", 1)
        return AuthFailed(
            what,
            where=error.where,
            next_step=f"check the user and password for {self._endpoint.host}, or log in again",
        )


def _read(raw: bytes | None, where: str) -> tuple[str, float]:
    """The token and its lifetime in seconds."""
    try:
        document = json.loads(raw or b"")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise AuthFailed("the token server's answer is no JSON object", where=where)
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise AuthFailed("the token server's answer holds no token", where=where)
    if len(token) > _LONGEST_TOKEN:
        limit = _LONGEST_TOKEN >> 10
        raise AuthFailed(f"the token server's token is longer than {limit} KiB", where=where)
    lifetime = document.get("expires_in")
    if isinstance(lifetime, int | float) and lifetime > 0:
        return token, float(min(lifetime, _LONGEST_LIFETIME))
    return token, _DEFAULT_LIFETIME
