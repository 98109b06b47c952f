"""Changes of a trust policy, each giving a whole new one under the same version."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from airgap_shared.errors import PolicyInvalid, UsageError
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.limits import AppLimit, KeyLimit
from airgap_shared.trust.policy import AppTrust, Revocation, TrustedKey, TrustPolicy

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What shall be said of a key: what is None stays, ``without`` is what is taken away."""

    owner: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    without: Collection[KeyLimit] = ()

    def applied_to(self, key: TrustedKey) -> TrustedKey:
        """The entry by these terms."""
        start, end = KeyLimit.NOT_BEFORE, KeyLimit.NOT_AFTER
        return TrustedKey(
            key.key,
            key.owner if self.owner is None else self.owner,
            _limit(start, self.not_before, key.not_before, self.without),
            _limit(end, self.not_after, key.not_after, self.without),
        )


@dataclass(frozen=True, slots=True)
class AppTerms:
    """What shall be asked of an application: what is None stays, ``without`` is taken away."""

    keys: tuple[PublicKey, ...] | None = None
    threshold: int | None = None
    max_age: timedelta | None = None
    allow_rollback: bool | None = None
    registry_prefix: str | None = None
    without: Collection[AppLimit] = ()

    def applied_to(self, app: AppTrust) -> AppTrust:
        """The entry by these terms."""
        prefix = _limit(
            AppLimit.PREFIX, self.registry_prefix, app.registry_prefix or None, self.without
        )
        return AppTrust(
            app.keys if self.keys is None else self.keys,
            app.name,
            app.channel,
            app.threshold if self.threshold is None else self.threshold,
            _limit(AppLimit.MAX_AGE, self.max_age, app.max_age, self.without),
            app.allow_rollback if self.allow_rollback is None else self.allow_rollback,
            prefix or "",
        )


def with_key(
    policy: TrustPolicy, key: PublicKey, terms: KeyTerms, apps: Collection[str] = ()
) -> TrustPolicy:
    """The policy with a key, which applications of these names (``*`` for any) trust as well.

    Raises:
        PolicyInvalid: the key is revoked.
        UsageError: there is no such application, or a limit is set and taken away at once.

    """
    if policy.is_revoked(key.key_id):
        raise PolicyInvalid(
            f"{key.key_id} is revoked",
            next_step="make a new key; revocation is for ever",
        )
    names = {app.name or "*" for app in policy.apps}
    if unknown := sorted(set(apps) - names):
        raise UsageError(
            f"the policy has no application {', '.join(unknown)}", next_step="add it with add-app"
        )
    before = [entry for entry in policy.keys if entry.key == key] or [TrustedKey(key)]
    others = tuple(entry for entry in policy.keys if entry.key != key)
    return replace(
        policy,
        keys=(*others, terms.applied_to(before[0])),
        apps=tuple(_trusting(app, key, apps) for app in policy.apps),
    )


def with_app(
    policy: TrustPolicy, name: str | None, channel: str | None, terms: AppTerms
) -> TrustPolicy:
    """The policy with an application by these terms; a new one trusts one of all keys there are.

    Raises:
        PolicyInvalid: its threshold is impossible, or a key is not among the keys.
        UsageError: a limit is set and taken away at once.

    """
    new = AppTrust(tuple(entry.key for entry in policy.keys), name, channel)
    before = [app for app in policy.apps if (app.name, app.channel) == (name, channel)] or [new]
    others = tuple(app for app in policy.apps if (app.name, app.channel) != (name, channel))
    return replace(policy, apps=(*others, terms.applied_to(before[0])))


def with_revocation(policy: TrustPolicy, revocation: Revocation) -> TrustPolicy:
    """The policy with one more key that never counts; it need not be among the keys.

    Raises:
        PolicyInvalid: it is revoked already.

    """
    if policy.is_revoked(revocation.key_id):
        raise PolicyInvalid(f"{revocation.key_id} is revoked already")
    return replace(policy, revoked=(*policy.revoked, revocation))


def unreachable(policy: TrustPolicy) -> list[str]:
    """What nobody can sign for any more, because too many of its keys are revoked."""
    quorums = [(str(app), app.keys, app.threshold) for app in policy.apps]
    for updates in policy.update_quorums:
        quorums.append(("updates of this policy", updates.keys, updates.threshold))
    found = []
    for name, keys, threshold in quorums:
        usable = sum(not policy.is_revoked(key.key_id) for key in keys)
        if usable < threshold:
            found.append(f"{name}: {threshold} keys must sign, {usable} are left")
    return found


def _limit(
    limit: KeyLimit | AppLimit, given: _T | None, before: _T | None, without: Collection[str]
) -> _T | None:
    """The limit as it shall be: as given, or else as it was, unless it is taken away."""
    if limit not in without:
        return before if given is None else given
    if given is not None:
        raise UsageError(
            f"--{limit} sets what --without {limit} takes away", next_step="leave one of them out"
        )
    return None


def _trusting(app: AppTrust, key: PublicKey, names: Collection[str]) -> AppTrust:
    """The application, with the key among its keys if it has one of the names."""
    if (app.name or "*") not in names or key in app.keys:
        return app
    return replace(app, keys=(*app.keys, key))
