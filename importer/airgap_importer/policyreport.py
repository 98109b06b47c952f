"""A trust policy for people to read: a line for each thing that it says."""

from __future__ import annotations

from collections.abc import Sequence

from airgap_shared.oci.moment import format_time
from airgap_shared.trust.policy import AppTrust, TrustPolicy
from airgap_shared.trust.policychanges import PolicyChange


def report_lines(policy: TrustPolicy) -> list[str]:
    """Its version, keys, applications, revocations, and who signs the next version."""
    lines = [f"version {policy.version}", "keys:"]
    for key in policy.keys:
        times = [
            f"{word} {format_time(moment)}"
            for word, moment in (("from", key.not_before), ("until", key.not_after))
            if moment is not None
        ]
        state = "REVOKED" if policy.is_revoked(key.key.key_id) else key.key.scheme.value
        lines.append("  " + "  ".join((key.key.key_id, state, key.owner or "-", *times)))
    lines += ["applications:", *(f"  {_about(app)}" for app in policy.apps)]
    if policy.revoked:
        lines.append("revoked:")
        lines += [f"  {entry.key_id}  {entry.reason or '-'}" for entry in policy.revoked]
    lines += [
        f"updates: {quorum.threshold} of {', '.join(key.key_id for key in quorum.keys)}"
        for quorum in policy.update_quorums
    ]
    return lines


def change_lines(changes: Sequence[PolicyChange]) -> list[str]:
    """What is otherwise than before."""
    return ["changes:", *(f"  {change}" for change in changes)] if changes else ["changes: none"]


def change_documents(changes: Sequence[PolicyChange]) -> list[dict[str, str]]:
    """The same for programs."""
    return [
        {"kind": change.kind.value, "subject": change.subject, "what": change.what}
        for change in changes
    ]


def _about(app: AppTrust) -> str:
    facts = [f"{app}: {app.threshold} of {', '.join(key.key_id for key in app.keys)}"]
    if app.max_age is not None:
        facts.append(f"at most {app.max_age.days} days old")
    if app.registry_prefix:
        facts.append(f"into {app.registry_prefix} only")
    if app.allow_rollback:
        facts.append("may go back")
    return "; ".join(facts)
