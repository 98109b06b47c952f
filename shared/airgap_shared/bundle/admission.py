"""Whether a properly signed release may be imported here and now, and after what came before."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airgap_shared.bundle.statement import Release, Statement
from airgap_shared.errors import (
    AppMismatch,
    AppNotAllowed,
    BundleExpired,
    ClockSkew,
    ClockWentBackwards,
    Equivocation,
    LimitExceeded,
    RollbackDetected,
    SequenceJump,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.moment import format_time
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.policy import AppTrust, TrustPolicy
from airgap_shared.trust.unsealing import VerifiedPayload, check_signers


@dataclass(frozen=True, slots=True)
class Gate:
    """What a bundle is held against: the policy, one moment, and what the user asked for.

    ``app`` is the application that must be inside, ``target`` the registry and path that it is
    to go to; empty where nothing was asked.
    """

    policy: TrustPolicy
    now: datetime
    app: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release that was signed as it must be and is about to be read.

    ``statement`` is the digest of the signed payload, ``trust`` what the policy says of it.
    """

    release: Release
    statement: Digest
    trust: AppTrust
    signers: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The newest release that somebody remembers, and who does (``this host``)."""

    version: str
    sequence: int
    statement: Digest
    keeper: str


@dataclass(frozen=True, slots=True)
class Consent:
    """The exact sequences to which the user agreed to go back, or to leap."""

    rollback: int | None = None
    jump: int | None = None


class Step(enum.StrEnum):
    """How a release follows the one before."""

    FIRST = "first"
    NEWER = "newer"
    SAME = "same"
    ROLLBACK = "rollback"
    JUMP = "jump"


def admit(verified: VerifiedPayload, statement: Statement, gate: Gate) -> Candidate:
    """Hold a statement against the policy (bundle-spec.md, Verification, 9, but for sequences).

    Raises:
        AppMismatch, AppNotAllowed: another application, or one that may not be imported (there).
        SignatureThresholdNotMet, KeyExpired: not signed by those who may sign it.
        ClockSkew: made later than now.
        BundleExpired: past its time, or older than the policy allows.
        LimitExceeded: larger than the policy allows.

    """
    release = statement.release
    trust = _trust_in(release, gate)
    signers = check_signers(verified, gate.policy, trust, release.created)
    _check_target(trust, gate.target)
    _check_times(release, trust, gate)
    limit = gate.policy.max_total_size
    if limit is not None and statement.total_size > limit:
        raise LimitExceeded(
            f"a bundle of {statement.total_size} bytes; the policy allows {limit}",
            next_step="raise limits.max_total_bytes in the policy if that is meant",
        )
    return Candidate(release, Digest.of(verified.payload), trust, signers)


def check_sequence(
    candidate: Candidate, accepted: Sequence[Accepted], consent: Consent, gate: Gate
) -> Step:
    """Compare a release with the newest ones that are remembered.

    Raises:
        RollbackDetected: it is older, and that was not agreed to.
        Equivocation: it has the sequence of another release.
        SequenceJump: its sequence leaps so far that it could be meant to end all updates.

    """
    release = candidate.release
    newest = max(accepted, key=lambda entry: entry.sequence, default=None)
    for entry in accepted:
        if entry.sequence == release.sequence and entry.statement != candidate.statement:
            raise _equivocation(candidate, entry)
    if newest is not None and release.sequence == newest.sequence:
        return Step.SAME
    if newest is not None and release.sequence < newest.sequence:
        return _check_rollback(candidate, newest, consent)
    return _check_jump(release, newest, consent, gate)


def check_clock(now: datetime, latest: datetime | None, policy: TrustPolicy) -> datetime:
    """The moment to judge by: now, but never earlier than what this host has already seen.

    Raises:
        ClockWentBackwards: the clock is further behind than the policy tolerates.

    """
    if latest is None:
        return now
    # Differences of times cannot overflow; sums can, at the ends of the calendar.
    if latest - now > policy.clock_skew:
        raise ClockWentBackwards(
            f"this machine's clock says {format_time(now)}, but an import here "
            f"saw {format_time(latest)}",
            next_step="set the clock right, or give the right time with --now; if it is right and "
            "was ahead at that import: airgap-import state reset-clock",
        )
    return max(now, latest)


def _trust_in(release: Release, gate: Gate) -> AppTrust:
    if gate.app and release.app != gate.app:
        raise AppMismatch(
            f"the bundle is of {release.app}, not of {gate.app}",
            next_step="check that it is the right disk and file",
        )
    trust = gate.policy.trust_in(release.app, release.channel)
    if trust is None:
        raise AppNotAllowed(
            f"the policy does not know {release.app} in the channel {release.channel}",
            next_step="have it added to the policy if it is to be imported here",
        )
    return trust


def _check_target(trust: AppTrust, target: str) -> None:
    prefix = trust.registry_prefix.rstrip("/")
    if prefix and target and not f"{target}/".startswith(f"{prefix}/"):
        raise AppNotAllowed(
            f"the policy allows {trust} in {prefix} only, not in {target}",
            next_step="choose --registry-endpoint and --image-namespace within it",
        )


def _check_times(release: Release, trust: AppTrust, gate: Gate) -> None:
    now = gate.now
    if release.created - now > gate.policy.clock_skew:
        raise ClockSkew(
            f"the bundle was made at {format_time(release.created)}, "
            f"but this machine's clock says {format_time(now)}",
            next_step="set the clock right, or give the right time with --now",
        )
    if now > release.expires:
        raise BundleExpired(
            f"{release.app} {release.version} was to be used before {format_time(release.expires)};"
            f" now it is {format_time(now)}",
            next_step="ask the sender for a current bundle",
        )
    if trust.max_age is not None and now - release.created > trust.max_age:
        raise BundleExpired(
            f"{release.app} {release.version} was made at {format_time(release.created)}, "
            f"more than {trust.max_age.days} days ago, the most that the policy allows",
            next_step="ask the sender for a current bundle",
        )


def _check_rollback(candidate: Candidate, newest: Accepted, consent: Consent) -> Step:
    release = candidate.release
    if consent.rollback == release.sequence and candidate.trust.allow_rollback:
        return Step.ROLLBACK
    advice = f"if you mean to go back, add --allow-rollback {release.sequence}"
    if not candidate.trust.allow_rollback:
        advice = "the policy does not allow this application to go back"
    raise RollbackDetected(
        f"{release.app} {release.version} (seq {release.sequence}) is older than imported "
        f"{newest.version} (seq {newest.sequence})",
        where=f"remembered by {newest.keeper}",
        next_step=f"ask for the newest bundle; {advice}",
    )


def _check_jump(release: Release, newest: Accepted | None, consent: Consent, gate: Gate) -> Step:
    """Sequences are Unix times or small counts; what is beyond both ends all later updates."""
    by_time = int(gate.now.timestamp() + gate.policy.clock_skew.total_seconds())
    plausible = max(by_time, 2 * newest.sequence if newest is not None else 0)
    if release.sequence > plausible:
        if consent.jump == release.sequence:
            return Step.JUMP
        raise SequenceJump(
            f"{release.app} {release.version} has the sequence {release.sequence}; after it, "
            "no release with a plausible one could be imported",
            next_step="ask the sender whether that is meant; "
            f"if so, add --allow-sequence-jump {release.sequence}",
        )
    return Step.FIRST if newest is None else Step.NEWER


def _equivocation(candidate: Candidate, entry: Accepted) -> Equivocation:
    release = candidate.release
    return Equivocation(
        f"{release.app} {release.version} has the sequence {release.sequence} of imported "
        f"{entry.version}, but other content",
        where=f"remembered by {entry.keeper}",
        next_step="ask the sender which of the two is right, and for one with a higher sequence",
        details=[f"imported {entry.statement}", f"offered  {candidate.statement}"],
    )
