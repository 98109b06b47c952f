"""A change of the policy in force, or of the draft of its next version: one version on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airgap_shared.errors import PolicyInvalid, UsageError
from airgap_shared.stores.policystore import (
    hold_policy,
    load_policy,
    policy_exists,
    write_policy,
)
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.policyfile import as_read
from airgap_shared.trust.policyupdate import check_revocations


@dataclass(frozen=True, slots=True)
class PolicyEdit:
    """What was in force, and what takes or may take its place."""

    before: TrustPolicy
    after: TrustPolicy


def edit_policy(path: Path, change: Callable[[TrustPolicy], TrustPolicy]) -> PolicyEdit:
    """Put the changed policy into force.

    Raises:
        PolicyInvalid: there is none, or no reader would take what it becomes.
        Locked, OutputNotWritable, DiskFull: it was not written.

    """
    with hold_policy(path) as held:
        changed = _valid(change(held.policy), held.policy.version + 1, path)
        held.replace(changed)
    return PolicyEdit(held.policy, changed)


def edit_draft(draft: Path, path: Path, change: Callable[[TrustPolicy], TrustPolicy]) -> PolicyEdit:
    """Write what shall follow the policy in force: a new draft, or one that is there, changed.

    Raises:
        UsageError: the draft is the policy in force.
        PolicyInvalid: it was begun from another version, or no reader would take it.
        OutputNotWritable, DiskFull: it was not written.

    """
    _refuse_in_force(draft, path)
    current = load_policy(path)
    before = _draft_of(draft, current) if policy_exists(draft) else current
    changed = _valid(change(before), current.version + 1, draft)
    write_policy(draft, changed)
    return PolicyEdit(current, changed)


def _draft_of(path: Path, current: TrustPolicy) -> TrustPolicy:
    """The draft that is there, if it has everything that its number would claim it has."""
    draft = load_policy(path)
    try:
        if draft.version != current.version + 1:
            raise PolicyInvalid(
                f"the draft is version {draft.version}, and version {current.version} is in "
                "force: what changed in between is not in it",
            )
        check_revocations(draft, current)
    except PolicyInvalid as problem:
        raise PolicyInvalid(
            problem.what,
            where=f"--draft {path}",
            changed="nothing was changed",
            next_step="begin a new draft: name another file, or remove this one",
        ) from problem
    return draft


def _refuse_in_force(draft: Path, policy: Path) -> None:
    """A draft has no lock and no history, so it must not be the policy, by whatever name."""
    with suppress(OSError):
        if draft.samefile(policy):
            raise UsageError(
                "the draft would take the place of the policy",
                where=f"--draft {draft}",
                changed="nothing was changed",
                next_step="name another file, or leave --draft out to change the policy itself",
            )


def _valid(policy: TrustPolicy, version: int, path: Path) -> TrustPolicy:
    """What every reader will make of it; refused here, rather than by the next command."""
    return as_read(replace(policy, version=version), str(path))
