"""Changes of a trust policy, each giving a whole new one under the same version."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from airgap_shared.errors import PolicyInvalid, UsageError
from airgap_shared.trust.policy import AppTrust, Revocation, TrustedKey, TrustPolicy


def with_key(policy: TrustPolicy, key: TrustedKey, apps: Collection[str] = ()) -> TrustPolicy:
    """The policy with a key, which applications of these names (``*`` for any) trust as well.

    A key that is there already gets this owner and these times.

    Raises:
        PolicyInvalid: the key is revoked.
        UsageError: there is no such application.

    """
    if policy.is_revoked(key.key.key_id):
        raise PolicyInvalid(
            f"{key.key.key_id} is revoked",
            next_step="make a new key; revocation is for ever",
        )
    names = {app.name or "*" for app in policy.apps}
    if unknown := sorted(set(apps) - names):
        raise UsageError(
            f"the policy has no application {', '.join(unknown)}", next_step="add it with add-app"
        )
    others = tuple(entry for entry in policy.keys if entry.key != key.key)
    return replace(
        policy,
        keys=(*others, key),
        apps=tuple(_trusting(app, key, apps) for app in policy.apps),
    )


def with_app(policy: TrustPolicy, app: AppTrust) -> TrustPolicy:
    """The policy with an application; an entry of the same name and channel is replaced.

    Raises:
        PolicyInvalid: its threshold is impossible, or a key is not among the keys.

    """
    others = tuple(
        entry for entry in policy.apps if (entry.name, entry.channel) != (app.name, app.channel)
    )
    return replace(policy, apps=(*others, app))


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


def _trusting(app: AppTrust, key: TrustedKey, names: Collection[str]) -> AppTrust:
    """The application, with the key among its keys if it has one of the names."""
    if (app.name or "*") not in names or key.key in app.keys:
        return app
    return replace(app, keys=(*app.keys, key.key))
