"""What one version of a trust policy says otherwise than another, and what of it is less strict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airgap_shared.oci.moment import format_time
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.policy import AppTrust, Quorum, TrustedKey, TrustPolicy

_ANY = "any"


class ChangeKind(StrEnum):
    """Which way a policy changed: ``looser`` is whatever lets more pass than before."""

    ADDED = "added"
    REMOVED = "removed"
    REVOKED = "revoked"
    LOOSER = "looser"
    STRICTER = "stricter"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One thing that is otherwise: a key, an application or the policy, and what of it."""

    kind: ChangeKind
    subject: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}" + (f": {self.what}" if self.what else "")


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit as people read it, and how much it lets pass."""

    name: str
    text: str
    room: float


def changes_between(before: TrustPolicy, after: TrustPolicy) -> list[PolicyChange]:
    """Everything that decides on bundles or on updates and is not the same in both."""
    return [
        *_keys(before, after),
        *_revocations(before, after),
        *_apps(before, after),
        *_limits("policy", _policy_limits(before), _policy_limits(after)),
        *_updates(before, after),
    ]


def _keys(before: TrustPolicy, after: TrustPolicy) -> Iterator[PolicyChange]:
    old, new = ({entry.key: entry for entry in policy.keys} for policy in (before, after))
    for key, entry in new.items():
        name = f"key {key.key_id}"
        if key not in old:
            yield PolicyChange(ChangeKind.ADDED, name, entry.owner)
            continue
        if entry.owner != old[key].owner:
            what = f"owner: {old[key].owner or '-'} → {entry.owner or '-'}"
            yield PolicyChange(ChangeKind.CHANGED, name, what)
        yield from _limits(name, _key_limits(old[key]), _key_limits(entry))
    for key, entry in old.items():
        if key not in new:
            yield PolicyChange(ChangeKind.REMOVED, f"key {key.key_id}", entry.owner)


def _revocations(before: TrustPolicy, after: TrustPolicy) -> Iterator[PolicyChange]:
    for entry in after.revoked:
        if not before.is_revoked(entry.key_id):
            yield PolicyChange(ChangeKind.REVOKED, f"key {entry.key_id}", entry.reason)


def _apps(before: TrustPolicy, after: TrustPolicy) -> Iterator[PolicyChange]:
    """Entries that are new or gone are compared with the one that decides in their place."""
    old, new = (set(map(str, policy.apps)) for policy in (before, after))
    for app in after.apps:
        former = before.trust_in(app.name, app.channel)
        if str(app) not in old:
            what = f"{former} decided so far" if former else ""
            yield PolicyChange(ChangeKind.ADDED, f"application {app}", what)
        if former is not None:
            yield from _app(str(app), former, app)
    for app in before.apps:
        if str(app) not in new:
            heir = after.trust_in(app.name, app.channel)
            what = f"{heir} decides now" if heir else ""
            yield PolicyChange(ChangeKind.REMOVED, f"application {app}", what)
            if heir is not None:
                yield from _app(str(app), app, heir)


def _app(name: str, before: AppTrust, after: AppTrust) -> Iterator[PolicyChange]:
    yield from _signers(name, before.keys, after.keys)
    yield from _limits(name, _app_limits(before), _app_limits(after))
    old, new = before.registry_prefix, after.registry_prefix
    if old != new:
        kind = ChangeKind.CHANGED
        if _is_within(old, new):
            kind = ChangeKind.LOOSER
        elif _is_within(new, old):
            kind = ChangeKind.STRICTER
        yield PolicyChange(kind, name, f"registry: {old or _ANY} → {new or _ANY}")


def _updates(before: TrustPolicy, after: TrustPolicy) -> Iterator[PolicyChange]:
    old, new = before.updates, after.updates
    if old is not None and new is not None:
        yield from _signers("updates", old.keys, new.keys)
        yield from _limits("updates", [_threshold(old.threshold)], [_threshold(new.threshold)])
    elif old != new:
        yield PolicyChange(ChangeKind.CHANGED, "updates", f"{_quorum(old)} → {_quorum(new)}")


def _quorum(quorum: Quorum | None) -> str:
    if quorum is None:
        return "by whoever signs the applications"
    return f"{quorum.threshold} of {', '.join(key.key_id for key in quorum.keys)}"


def _signers(
    name: str, before: Sequence[PublicKey], after: Sequence[PublicKey]
) -> Iterator[PolicyChange]:
    for key in after:
        if key not in before:
            yield PolicyChange(ChangeKind.LOOSER, name, f"{key.key_id} may sign")
    for key in before:
        if key not in after:
            yield PolicyChange(ChangeKind.STRICTER, name, f"{key.key_id} may not sign any more")


def _limits(name: str, before: Sequence[_Limit], after: Sequence[_Limit]) -> Iterator[PolicyChange]:
    for old, new in zip(before, after, strict=True):
        if old.room != new.room:
            kind = ChangeKind.LOOSER if new.room > old.room else ChangeKind.STRICTER
            yield PolicyChange(kind, name, f"{new.name}: {old.text} → {new.text}")


def _key_limits(key: TrustedKey) -> list[_Limit]:
    return [_time("not before", key.not_before, -1), _time("not after", key.not_after, 1)]


def _app_limits(app: AppTrust) -> list[_Limit]:
    return [
        _threshold(app.threshold),
        _most("days of age", None if app.max_age is None else app.max_age.days),
        _Limit("going back", "allowed" if app.allow_rollback else "forbidden", app.allow_rollback),
    ]


def _policy_limits(policy: TrustPolicy) -> list[_Limit]:
    judged = "created" if policy.judge_at_creation else "import"
    return [
        _most("bytes", policy.max_total_size),
        _most("clock skew in seconds", int(policy.clock_skew.total_seconds())),
        _Limit("times of keys judged at", judged, policy.judge_at_creation),
    ]


def _threshold(number: int) -> _Limit:
    return _Limit("keys that must sign", str(number), -number)


def _most(name: str, number: int | None) -> _Limit:
    return _Limit(name, _ANY, math.inf) if number is None else _Limit(name, str(number), number)


def _time(name: str, moment: datetime | None, direction: int) -> _Limit:
    if moment is None:
        return _Limit(name, _ANY, math.inf)
    return _Limit(name, format_time(moment), direction * moment.timestamp())


def _is_within(place: str, prefix: str) -> bool:
    return not prefix or place.startswith(f"{prefix}/")
