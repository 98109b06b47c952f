"""A site: one registry in somebody's hands, with its accounts, its settings, what was made."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from support.registry_storage import RegistryStorage


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in; ``push`` matches the repositories that they may push to.

    ``identity`` is a refresh token that stands for user and password.
    """

    user: str
    password: str
    push: str = ""
    identity: str = ""

    def may(self, repository: str, action: str) -> bool:
        """Whether an action is allowed: everything may be read."""
        return action == "pull" or re.fullmatch(self.push, repository) is not None


#: Everything may be pushed to.
ANYWHERE = ".*"


@dataclass(slots=True)
class Site:
    """What one registry knows.

    ``existing`` are the repositories, projects or namespaces that were made by its owner; pushes
    elsewhere are refused by kinds that want them made. Tags that match ``immutable`` are not
    moved. ``artifacts`` says whether content other than images is taken. ``lifetime`` is that of
    tokens, in seconds.
    """

    url: str
    storage: RegistryStorage
    accounts: Sequence[Account] = ()
    existing: set[str] = field(default_factory=set)
    immutable: str | None = None
    artifacts: bool = True
    lifetime: int = 300
    #: Every so many writes one is answered with 429; 0 for never.
    throttle: int = 0
    #: Passwords that were good and are not any more.
    expired: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)
    #: Users (Harbor) or OAuth tokens (Quay) by whom new places may be made; tokens that only read.
    may_create: set[str] = field(default_factory=set)
    may_ask: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    _tokens: dict[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    def account(self, user: str, password: str) -> Account | None:
        """The account with this password."""
        return next((a for a in self.accounts if (a.user, a.password) == (user, password)), None)

    def identified(self, token: str) -> Account | None:
        """The account with this refresh token."""
        return next((a for a in self.accounts if token and a.identity == token), None)

    def issue(self, grants: Mapping[str, frozenset[str]]) -> str:
        """A new token that allows these actions, by repository."""
        token = secrets.token_urlsafe(24)
        self._tokens[token] = grants
        return token

    def grants(self, token: str) -> Mapping[str, frozenset[str]] | None:
        """What a token allows; nothing if it is not, or no longer, good."""
        return self._tokens.get(token)

    def expire(self) -> None:
        """Let every token and password end now."""
        self._tokens.clear()
        self.expired.update(account.password for account in self.accounts)

    def has_tag(self, repository: str, tag: str) -> bool:
        """Whether a tag is there."""
        return self.storage.tag_folder(repository, tag).exists()

    def is_frozen(self, repository: str, tag: str) -> bool:
        """Whether a tag is there and may not be written again."""
        frozen = self.immutable is not None and re.fullmatch(self.immutable, tag) is not None
        return frozen and self.has_tag(repository, tag)

    def holder(self, digest: str) -> str | None:
        """A repository that has a blob."""
        return next(
            (name for name, held in sorted(self.storage.layer_links()) if held == digest), None
        )

    def refuses_now(self) -> bool:
        """Count a write; whether it is one too many."""
        self.counts["writes"] += 1
        return bool(self.throttle) and self.counts["writes"] % self.throttle == 0
