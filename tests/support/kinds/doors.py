"""Doors: who is let into a registry, and how each kind says no."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from support.faults import Action, Answer, Examine
from support.kinds.asked import Asked, json_answer, refusal
from support.kinds.site import Account, Site

_API = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Door(Protocol):
    """How a registry tells friend from stranger."""

    def enter(self, asked: Asked, site: Site) -> Action | None:
        """The answer to a token request or to a stranger; nothing to whoever is known."""

    def permit(self, asked: Asked, site: Site) -> Answer | None:
        """The answer to somebody known who may not do this; nothing if they may."""


def needed(asked: Asked) -> str:
    """The action that a request on a repository needs."""
    return "push" if asked.writes else "pull"


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Everybody may do everything; or the registry behind decides by itself."""

    def enter(self, asked: Asked, site: Site) -> Action | None:
        return None

    def permit(self, asked: Asked, site: Site) -> Answer | None:
        return None


@dataclass(frozen=True, slots=True)
class BasicDoor:
    """User and password with every request.

    ``challenge`` may hold ``{host}``; ``expired`` and ``denied`` are what the kind says to a
    password that was good once, and to an account without the right.
    """

    challenge: str
    denied: Answer
    wrong: tuple[str, str] = ("UNAUTHORIZED", "authentication required")
    expired: Answer | None = None

    def enter(self, asked: Asked, site: Site) -> Action | None:
        user, password = asked.basic or ("", "")
        if self.expired is not None and password in site.expired:
            return self.expired
        if site.account(user, password) is None:
            challenge = self.challenge.replace("{host}", site.host)
            return refusal(401, *self.wrong, {"WWW-Authenticate": challenge, **_API})
        return None

    def permit(self, asked: Asked, site: Site) -> Answer | None:
        account = site.account(*(asked.basic or ("", "")))
        if not asked.repository or (account and account.may(asked.repository, needed(asked))):
            return None
        return self.denied


Grant = Callable[[Site, Account, str, str], bool]
Complaint = Callable[[str], Answer | None]


def _by_account(_site: Site, account: Account, repository: str, action: str) -> bool:
    return account.may(repository, action)


def _no_complaint(_scope: str) -> Answer | None:
    return None


def insufficient(asked: Asked, site: Site, realm: str, message: str) -> Answer:
    """401 with what the token lacks (RFC 6750 §3.1; distribution, registry/auth/token)."""
    scope = f"repository:{asked.repository}:pull,push"
    challenge = f'{realm},scope="{scope}",error="insufficient_scope"'
    return refusal(401, "UNAUTHORIZED", message, {"WWW-Authenticate": challenge, **_API})


@dataclass(frozen=True, slots=True)
class TokenDoor:
    """Bearer tokens from ``path`` on the registry itself (distribution, docs/spec/auth/token.md).

    ``service`` may hold ``{host}``. ``grant`` decides about each action of a scope, ``complain``
    may refuse the whole request for a scope. ``denied`` answers a token that lacks a right;
    without it the answer is a 401 with ``insufficient_scope``. ``silent`` leaves the challenge
    out of all answers but that to ``/v2/``.
    """

    path: str
    service: str
    grant: Grant = _by_account
    complain: Complaint = _no_complaint
    denied: Answer | None = None
    wrong: tuple[int, str, str] = (401, "UNAUTHORIZED", "incorrect username or password")
    message: str = "authentication required"
    silent: bool = False
    #: What an answer to a request with a bad token says instead of the challenge.
    misleading: str = ""
    basic_too: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    def enter(self, asked: Asked, site: Site) -> Action | None:
        if asked.path == self.path and asked.method == "GET":
            return self._token(site, self._whose(asked, site), asked.query.get("scope", ()))
        if asked.path == self.path and asked.method == "POST":
            return Examine(lambda raw: self._oauth(site, raw))
        if self.basic_too and asked.basic and site.account(*asked.basic):
            return None
        scheme, token = asked.authorization
        if scheme == "bearer" and site.grants(token) is not None:
            return None
        headers = dict(_API)
        challenge = self.misleading if asked.authorization[0] and self.misleading else ""
        if not self.silent or asked.what == "ping":
            headers["WWW-Authenticate"] = challenge or self.realm(site)
        return refusal(401, "UNAUTHORIZED", self.message, headers)

    def permit(self, asked: Asked, site: Site) -> Answer | None:
        if not asked.repository or needed(asked) in self._allowed(asked, site):
            return None
        if self.denied is not None:
            return self.denied
        if self.misleading:
            headers = {"WWW-Authenticate": self.misleading, **_API}
            return refusal(401, "UNAUTHORIZED", self.message, headers)
        return insufficient(asked, site, self.realm(site), self.message)

    def realm(self, site: Site) -> str:
        """The challenge."""
        service = self.service.replace("{host}", site.host)
        return f'Bearer realm="{site.url}{self.path}",service="{service}"'

    def _allowed(self, asked: Asked, site: Site) -> frozenset[str]:
        if self.basic_too and asked.basic and (account := site.account(*asked.basic)):
            actions = ("pull", "push")
            return frozenset(
                one for one in actions if self.grant(site, account, asked.repository, one)
            )
        grants = site.grants(asked.authorization[1]) or {}
        return grants.get(asked.repository, frozenset())

    def _whose(self, asked: Asked, site: Site) -> Account | None:
        return site.account(*asked.basic) if asked.basic else None

    def _oauth(self, site: Site, raw: bytes) -> Answer:
        """POST with a refresh token (distribution, docs/spec/auth/oauth.md)."""
        form = parse_qs(raw.decode())
        refresh = next(iter(form.get("refresh_token", ())), "")
        scopes = [one for text in form.get("scope", ()) for one in text.split()]
        return self._token(site, site.identified(refresh), scopes)

    def _token(self, site: Site, account: Account | None, scopes: object) -> Answer:
        site.counts["tokens"] += 1
        if account is None:
            return refusal(*self.wrong)
        grants: dict[str, frozenset[str]] = {}
        assert isinstance(scopes, list | tuple)
        for scope in scopes:
            if (complaint := self.complain(scope)) is not None:
                return complaint
            _, name, actions = scope.split(":", 2)
            grants[name] = frozenset(
                one for one in actions.split(",") if self.grant(site, account, name, one)
            )
        token = site.issue(grants)
        return json_answer(
            200, {"token": token, "access_token": token, "expires_in": site.lifetime}
        )


#: The scopes that Quay's token server reads at all (quay, endpoints/v2/v2auth.py,
#: SCOPE_REGEX_TEMPLATE): others, ``delete`` among them, end the whole request.
_QUAY_SCOPE = re.compile(r"repository:[.a-zA-Z0-9_/-]+:(push|pull|\*)(,(push|pull|\*))*")


def quay_scope(scope: str) -> Answer | None:
    """400 for a scope that Quay cannot decode."""
    if _QUAY_SCOPE.fullmatch(scope):
        return None
    message = f"Unable to decode repository and actions: {scope}"
    return refusal(400, "INVALID_REQUEST", message)
