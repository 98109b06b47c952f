"""Whom this site trusts for what: keys, the applications they may sign, and limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airgap_shared.errors import NoTrustConfigured, PolicyInvalid
from airgap_shared.trust.keys import PublicKey

DEFAULT_SKEW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key, whose it is, and the time for which it is trusted (both ends included)."""

    key: PublicKey
    owner: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether the key is trusted at this moment."""
        return (self.not_before is None or self.not_before <= moment) and (
            self.not_after is None or moment <= self.not_after
        )


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that is not trusted any more, whatever else is said of it.

    ``key_id`` is the fingerprint; ``since`` is for people: a revoked key counts at no time.
    """

    key_id: str
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppTrust:
    """Who must have signed an application, and where and how it may be imported.

    ``name`` and ``channel`` are None for all. ``threshold`` of the ``keys`` must have signed.
    ``registry_prefix`` is a registry and the path below it that imports must stay in.
    """

    keys: tuple[PublicKey, ...]
    name: str | None = None
    channel: str | None = None
    threshold: int = 1
    max_age: timedelta | None = None
    allow_rollback: bool = False
    registry_prefix: str = ""

    def covers(self, name: str | None, channel: str | None) -> bool:
        """Whether this is about releases of that application in that channel; None: of any."""
        return self.name in (None, name) and self.channel in (None, channel)

    def __str__(self) -> str:
        return f"{self.name or '*'} ({self.channel or 'any channel'})"


@dataclass(frozen=True, slots=True)
class Quorum:
    """Keys of which ``threshold`` must sign the next version of a policy."""

    keys: tuple[PublicKey, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Everything that decides whether a bundle is taken; made of keys, or of a policy file.

    ``version`` counts the versions of a policy file, from 1. ``judge_at_creation`` has keys
    judged at the time that the bundle claims to be made at, instead of now. ``updates`` are those
    who sign the next version; None: those who sign the applications, all of them.

    Raises:
        NoTrustConfigured: there is no key.
        PolicyInvalid: it contradicts itself.

    """

    keys: tuple[TrustedKey, ...]
    apps: tuple[AppTrust, ...]
    revoked: tuple[Revocation, ...] = ()
    version: int = 0
    max_total_size: int | None = None
    clock_skew: timedelta = DEFAULT_SKEW
    judge_at_creation: bool = False
    updates: Quorum | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise NoTrustConfigured(
                "no key says whom to trust",
                changed="nothing was read or changed",
                next_step="give the sender's public key with --key FILE.pub, "
                "or a policy with --policy FILE",
            )
        _refuse_twice((key.key.key_id for key in self.keys), "the key {} stands twice")
        _refuse_twice(map(str, self.apps), "the application {} stands twice")
        for app in self.apps:
            self._check_quorum(app.keys, app.threshold, str(app))
        if self.updates is not None:
            self._check_quorum(self.updates.keys, self.updates.threshold, "updates")

    @classmethod
    def of_keys(cls, keys: Iterable[PublicKey], threshold: int = 1) -> TrustPolicy:
        """The trust that keys alone express: ``threshold`` of them, for any application."""
        distinct = tuple(dict.fromkeys(keys))
        app = AppTrust(distinct, threshold=threshold, allow_rollback=True)
        return cls(tuple(map(TrustedKey, distinct)), (app,))

    @property
    def update_quorums(self) -> tuple[Quorum, ...]:
        """Who must sign the next version of this policy: each of these.

        Where nobody is named, that is whoever must sign each application: a key that may sign one
        of them must not get power over the others.
        """
        if self.updates is not None:
            return (self.updates,)
        if not self.apps:
            return (Quorum(tuple(key.key for key in self.keys), len(self.keys)),)
        return tuple(dict.fromkeys(Quorum(app.keys, app.threshold) for app in self.apps))

    def is_revoked(self, key_id: str) -> bool:
        """Whether this fingerprint is revoked."""
        return any(entry.key_id == key_id for entry in self.revoked)

    def trust_in(self, name: str | None, channel: str | None) -> AppTrust | None:
        """What is asked of an application in a channel: the entry that names most of the two.

        None stands for any application or channel that no other entry names.
        """
        covering = [app for app in self.apps if app.covers(name, channel)]
        by_names = sorted(covering, key=lambda app: (app.name is None, app.channel is None))
        return by_names[0] if by_names else None

    def _check_quorum(self, keys: tuple[PublicKey, ...], threshold: int, where: str) -> None:
        _refuse_twice((key.key_id for key in keys), f"{where} names the key {{}} twice")
        if not 1 <= threshold <= len(keys):
            raise PolicyInvalid(
                f"a threshold of {threshold} for {len(keys)} keys",
                where=where,
                next_step="use a number from 1 to the number of different keys",
            )
        known = {key.key for key in self.keys}
        for key in keys:
            if key not in known:
                raise PolicyInvalid(f"the key {key.key_id} is not among the keys", where=where)


def _refuse_twice(names: Iterable[str], message: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise PolicyInvalid(message.format(name))
