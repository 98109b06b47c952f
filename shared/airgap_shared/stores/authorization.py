"""Authorization: which scheme a registry wants, and the header for each request.

The scheme is learnt once, from what the registry answers to a request that carried nothing. A
401 to a request that did carry something says nothing about the scheme: Harbor then asks for
another one than it takes.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airgap_shared.errors import AirgapError, AuthFailed, Denied
from airgap_shared.stores.challenge import Challenge, parse_challenges
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Answer, Request
from airgap_shared.stores.introduction import Introduction
from airgap_shared.stores.redaction import Redactor, readable
from airgap_shared.stores.refusals import judge
from airgap_shared.stores.retrying import Transient
from airgap_shared.stores.settings import ClientSettings
from airgap_shared.stores.tokens import IdentityRefused, TokenService

_log = logging.getLogger(__name__)
#: Answers to a first ``GET /v2/`` that leave it to the real requests to say what they need.
_OPEN = frozenset({200, 204, 301, 302, 303, 307, 308, 403, 404, 405})

Send = Callable[[Request, str | None], Answer]


class Credentials(Protocol):
    """Where identities come from."""

    def lookup(self, host: str, repository: str) -> Credential | None:
        """The identity for a repository (or for all of a host), if there is one."""
        ...

    def renew(self, host: str, repository: str, stale: Credential) -> Credential | None:
        """Another identity than one that was refused; nothing if it is the only one."""
        ...


class Kind(enum.Enum):
    """What a request carried."""

    NOTHING = "nothing"
    BASIC = "basic"
    TOKEN = "token"  # noqa: S105
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Grant:
    """The ``Authorization`` header of one request.

    ``unasked`` tells a request that carried nothing because no scheme was known from one that
    did so for want of credentials.
    """

    kind: Kind = Kind.NOTHING
    header: str | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    credential: Credential | None = field(default=None, repr=False)
    unasked: bool = False

    @property
    def renewable(self) -> bool:
        """Whether it is a password that may have ended, and can be had anew."""
        return self.credential is not None and self.credential.renewable


_NOTHING = Grant()
_UNASKED = Grant(unasked=True)


class Authorization:
    """The authorization of all requests to one registry; used by several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        send: Send,
        settings: ClientSettings,
        redactor: Redactor,
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._send = send
        self._redactor = redactor
        self._timing = settings.patience.timing
        self._tokens = TokenService(endpoint, send, settings, redactor)
        self._lock = threading.Lock()
        self._writes = settings.writes
        self._known: dict[str, Credential | None] = {}
        #: By repository, why its login was not taken although it is read.
        self._refusals: dict[str, AuthFailed] = {}
        self._scheme: Challenge | None = None
        self._learnt = False
        self._introduction = Introduction()

    @property
    def introduction(self) -> Introduction:
        """What the registry answered when the scheme was learnt."""
        return self._introduction

    def learn(self) -> None:
        """Ask ``/v2/`` without credentials which scheme the registry wants, once.

        Raises:
            Transient, AirgapError: there was no usable answer.

        """
        with self._lock:
            if not self._learnt:
                self._scheme = self._ask_scheme()
                self._learnt = True

    def credential(self, repository: str) -> Credential | None:
        """The identity that is used for a repository."""
        with self._lock:
            if repository not in self._known:
                found = self._credentials.lookup(self._endpoint.host, repository)
                self._redactor.learn(*(found.secrets if found else ()))
                self._known[repository] = found
            return self._known[repository]

    def grant(self, access: Access) -> Grant:
        """What a request should carry.

        Raises:
            Transient, AirgapError: the scheme or a token could not be had.

        """
        self.learn()
        with self._lock:
            scheme = self._scheme
        credential = self.credential(access.repository)
        if scheme is None:
            return _UNASKED
        if credential is not None and credential.registry_token:
            return Grant(Kind.FIXED, f"Bearer {credential.registry_token}")
        if scheme.scheme == "basic":
            if credential is None or not credential.username:
                return _NOTHING
            return Grant(Kind.BASIC, f"Basic {credential.basic}", credential=credential)
        if credential is None and not access.scopes:
            return _NOTHING
        token = self._token(scheme, access, credential)
        return Grant(Kind.TOKEN, f"Bearer {token}", token)

    def renew(self, access: Access, stale: Credential | None) -> bool:
        """Have another identity from where the refused one came; false if that is fixed.

        Helpers and AWS give passwords for some hours, and an import may take longer.

        Raises:
            AuthFailed: its source fails.

        """
        if stale is None or not stale.renewable:
            return False
        with self._lock:
            if self._known.get(access.repository) != stale:
                # Another thread was here before.
                return True
            fresh = self._credentials.renew(self._endpoint.host, access.repository, stale)
            if fresh is None:
                return False
            self._redactor.learn(*fresh.secrets)
            _log.info("the credentials for %s have ended; going on with new ones", self.host)
            self._known = {
                name: fresh if one == stale else one for name, one in self._known.items()
            }
            return True

    @property
    def host(self) -> str:
        """The registry."""
        return self._endpoint.host

    def refused(self, request: Request, grant: Grant, answer: Answer, renewed: bool) -> None:
        """Prepare another try after a 401; ``renewed`` says that this is not the first.

        Raises:
            AuthFailed, Denied: another try would be no better.

        """
        challenges = parse_challenges(answer.challenges)
        access = request.access
        if grant.kind is Kind.TOKEN and not renewed:
            self._tokens.discard(access, grant.token)
            return
        if grant.unasked and self._learn_late(challenges):
            return
        if grant.kind is Kind.BASIC and not challenges:
            raise self._hidden(request)
        if grant.kind is Kind.BASIC and not renewed and self.renew(access, grant.credential):
            return
        if grant.kind is Kind.NOTHING:
            raise AuthFailed(
                f"{self._endpoint.host} wants a login, and no credentials are known for it",
                where=request.where,
                next_step=f"log in to {self._endpoint.host}, or name an auth file (--authfile)",
            )
        if grant.kind is Kind.TOKEN:
            raise self._short_of_permission(request, challenges)
        raise AuthFailed(
            f"{self._endpoint.host} does not accept the credentials{self._whose(access)}",
            where=request.where,
            next_step=f"log in to {self._endpoint.host} again",
        )

    def _ask_scheme(self) -> Challenge | None:
        url = f"{self._endpoint.base_url}/v2/"
        request = Request("GET", url, self._endpoint.host, ())
        answer = self._send(request, None)
        challenges = parse_challenges(answer.challenges)
        self._introduction = Introduction(answer.status, answer.headers, challenges)
        if answer.status == 401:
            answer.close()
            scheme = _choose(challenges)
            if scheme is None:
                raise AuthFailed(
                    f"the registry wants a login by {_names(challenges)}, not by Basic or Bearer",
                    where=self._endpoint.host,
                )
            _log.debug("%s wants %s authorization", self._endpoint.host, scheme.scheme)
            return scheme
        if answer.status in _OPEN:
            answer.close()
            return None
        raise judge(request, answer, self._redactor, self._timing.wall())

    def _learn_late(self, challenges: Sequence[Challenge]) -> bool:
        """Take the scheme from a 401 to a request that carried nothing, if none was known.

        Registries that are open to readers answer ``/v2/`` to anybody. True if the scheme is
        known now, be it by another thread.
        """
        with self._lock:
            if self._scheme is None:
                self._scheme = _choose(challenges)
            return self._scheme is not None

    def _token(self, scheme: Challenge, access: Access, credential: Credential | None) -> str:
        try:
            return self._tokens.token(scheme, access, credential)
        except IdentityRefused as refusal:
            if refusal.banned:
                return self._stranger_token(scheme, access, refusal.error)
            if not self.renew(access, credential):
                raise refusal.error from None
        try:
            return self._tokens.token(scheme, access, self.credential(access.repository))
        except IdentityRefused as refusal:
            raise refusal.error from None

    def _stranger_token(self, scheme: Challenge, access: Access, refusal: AuthFailed) -> str:
        """A token to read what anybody may.

        GHCR answers 403 to a personal token that has expired, for public images, too (oras#1161).
        """
        if self._writes or self.credential(access.repository) is None:
            raise refusal
        try:
            token = self._tokens.token(scheme, access, None)
        except (AirgapError, IdentityRefused, Transient):
            raise refusal from None
        with self._lock:
            if not self._refusals:
                _log.warning("%s; going on without a login: %s", refusal, refusal.next_step)
            self._refusals[access.repository] = refusal
        return token

    def _hidden(self, request: Request) -> Denied:
        """The refusal that Harbor gives for a project that is missing, or not for this account.

        It names no way to log in, for another login would not help (v2auth, getChallenge).
        """
        return Denied(
            f"{self._endpoint.host} has no such project or repository, or the account"
            f"{self._whose(request.access)} may not see it",
            where=request.where,
            next_step="have it created, or have the permission granted",
        )

    def _short_of_permission(
        self, request: Request, challenges: Sequence[Challenge]
    ) -> AuthFailed | Denied:
        access, host = request.access, self._endpoint.host
        if access.repository in self._refusals:
            return self._refusals[access.repository]
        if self.credential(access.repository) is None:
            return AuthFailed(
                f"{host} does not allow this without a login, or there is no such repository",
                where=request.where,
                next_step=f"log in to {host}, or name an auth file (--authfile)",
            )
        if not challenges:
            return self._hidden(request)
        problem = next((c.parameters.get("error", "") for c in challenges), "")
        if problem == "invalid_token":
            return AuthFailed(
                f"{host} does not accept the tokens of its own token server",
                where=request.where,
                next_step="check the clocks and the token certificate of the registry",
            )
        actions = access.scopes[0].rpartition(":")[2] if access.scopes else "log in"
        return Denied(
            f"the account{self._whose(access)} lacks the permission: {actions}",
            where=request.where,
            next_step="have the permission granted, or the project or namespace created "
            "if it is missing; or log in as another",
        )

    def _whose(self, access: Access) -> str:
        credential = self.credential(access.repository)
        return (
            f" of {readable(credential.username)!r}" if credential and credential.username else ""
        )


def _choose(challenges: Sequence[Challenge]) -> Challenge | None:
    """Bearer before Basic: a registry that offers both means Basic for its token server."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return next((c for c in challenges if c.scheme == "basic"), None)


def _names(challenges: Sequence[Challenge]) -> str:
    names = ", ".join(readable(challenge.scheme) for challenge in challenges)
    return names or "a way it does not name"
