from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle.admission import (
    Accepted,
    Candidate,
    Consent,
    Gate,
    Step,
    admit,
    check_clock,
    check_sequence,
)
from airgap_shared.errors import (
    AirgapError,
    AppMismatch,
    AppNotAllowed,
    BundleExpired,
    ClockSkew,
    ClockWentBackwards,
    Equivocation,
    KeyExpired,
    LimitExceeded,
    RollbackDetected,
    SequenceJump,
    SignatureThresholdNotMet,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.trust.envelope import seal
from airgap_shared.trust.policy import AppTrust, TrustedKey, TrustPolicy
from airgap_shared.trust.unsealing import unseal
from support.bundles import RELEASE, make_contents
from support.images import make_image
from support.keys import fixed_key

VENDOR, OFFICER = fixed_key(1), fixed_key(2)
KEYS = (VENDOR.public_key, OFFICER.public_key)
STATEMENT = make_contents({"team/app:1": make_image([b"layer"])}).statement
NOW = RELEASE.created + timedelta(days=10)
OPEN = TrustPolicy.of_keys((VENDOR.public_key,))
SHOP = AppTrust(KEYS, "shop", "stable", threshold=1)
CANDIDATE = Candidate(RELEASE, Digest.of(b"this"), OPEN.apps[0], KEYS[:1])
GATE = Gate(OPEN, NOW)
COUNTS = st.integers(0, 2**63 - 1)


def held(gate: Gate, *signers: object) -> Candidate:
    """The statement, signed by the vendor unless others are named, before this gate."""
    envelope = seal(STATEMENT.to_json(), [VENDOR] if not signers else [VENDOR, OFFICER])
    return admit(unseal(envelope, gate.policy, gate.now), STATEMENT, gate)


def policy(app: AppTrust, **others: object) -> TrustPolicy:
    return TrustPolicy(tuple(map(TrustedKey, KEYS)), (app,), **others)  # type: ignore[arg-type]


def accepted(sequence: int, content: bytes = b"that") -> Accepted:
    return Accepted("1.0", sequence, Digest.of(content), "this host")


def candidate(sequence: int, content: bytes = b"this") -> Candidate:
    release = replace(RELEASE, sequence=sequence)
    return replace(CANDIDATE, release=release, statement=Digest.of(content))


def test_what_keys_alone_express_is_every_application() -> None:
    found = held(GATE)
    assert found.release == RELEASE
    assert found.statement == Digest.of(STATEMENT.to_json())
    assert found.signers == KEYS[:1]


@pytest.mark.parametrize(
    ("gate", "error"),
    [
        (Gate(OPEN, NOW, app="mail"), AppMismatch),
        (Gate(policy(replace(SHOP, name="mail")), NOW), AppNotAllowed),
        (Gate(policy(replace(SHOP, channel="beta")), NOW), AppNotAllowed),
        (Gate(policy(replace(SHOP, threshold=2)), NOW), SignatureThresholdNotMet),
        (Gate(policy(SHOP, max_total_size=STATEMENT.total_size - 1), NOW), LimitExceeded),
        (Gate(policy(replace(SHOP, max_age=timedelta(days=9))), NOW), BundleExpired),
        (Gate(OPEN, RELEASE.expires + timedelta(seconds=1)), BundleExpired),
        (Gate(OPEN, RELEASE.created - timedelta(days=1, seconds=1)), ClockSkew),
    ],
)
def test_what_is_not_allowed_is_refused(gate: Gate, error: type[AirgapError]) -> None:
    with pytest.raises(error):
        held(gate)


@pytest.mark.parametrize(
    "gate",
    [
        Gate(OPEN, NOW, app="shop"),
        Gate(policy(SHOP), NOW, app="shop"),
        Gate(policy(SHOP, max_total_size=STATEMENT.total_size), NOW),
        Gate(policy(replace(SHOP, max_age=timedelta(days=10))), NOW),
        Gate(OPEN, RELEASE.expires),
        Gate(OPEN, RELEASE.created - timedelta(days=1)),
        Gate(policy(replace(SHOP, name=None, channel=None)), NOW),
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(gate: Gate) -> None:
    held(gate)


def test_two_signers_meet_a_threshold_of_two() -> None:
    found = held(Gate(policy(replace(SHOP, threshold=2)), NOW), "both")
    assert found.signers == KEYS


@pytest.mark.parametrize(
    ("prefix", "target", "allowed"),
    [
        ("registry.corp/shop", "registry.corp/shop", True),
        ("registry.corp/shop", "registry.corp/shop/more", True),
        ("registry.corp/shop/", "registry.corp/shop", True),
        ("registry.corp", "registry.corp/anything", True),
        ("registry.corp/shop", "", True),
        ("", "elsewhere/x", True),
        ("registry.corp/shop", "registry.corp/shopping", False),
        ("registry.corp/shop", "registry.corp", False),
        ("registry.corp", "registry.corp.evil/shop", False),
    ],
)
def test_an_application_stays_where_the_policy_wants_it(
    prefix: str, target: str, allowed: bool
) -> None:
    gate = Gate(policy(replace(SHOP, registry_prefix=prefix)), NOW, target=target)
    if allowed:
        held(gate)
    else:
        with pytest.raises(AppNotAllowed):
            held(gate)


def test_keys_judged_at_creation_are_not_judged_now() -> None:
    ended = RELEASE.created + timedelta(days=1)
    keys = (TrustedKey(VENDOR.public_key, not_after=ended),)
    app = AppTrust(KEYS[:1], "shop")
    held(Gate(TrustPolicy(keys, (app,), judge_at_creation=True), NOW))
    with pytest.raises(KeyExpired):
        held(Gate(TrustPolicy(keys, (app,)), NOW))
    keys = (TrustedKey(VENDOR.public_key, not_before=ended),)
    with pytest.raises(KeyExpired):
        held(Gate(TrustPolicy(keys, (app,), judge_at_creation=True), NOW))


def test_the_entry_that_names_most_decides() -> None:
    apps = (
        AppTrust(KEYS, None, None, threshold=2),
        AppTrust(KEYS, "shop", None),
        AppTrust(KEYS, "shop", "stable", max_age=timedelta(days=3)),
        AppTrust(KEYS, None, "stable"),
    )
    whole = TrustPolicy(tuple(map(TrustedKey, KEYS)), apps)
    assert whole.trust_in("shop", "stable") is apps[2]
    assert whole.trust_in("shop", "beta") is apps[1]
    assert whole.trust_in("mail", "stable") is apps[3]
    assert whole.trust_in("mail", "beta") is apps[0]


@given(COUNTS, st.lists(COUNTS, max_size=3))
def test_no_release_goes_before_one_that_is_remembered(
    sequence: int, remembered: list[int]
) -> None:
    """Whatever is remembered: a lower sequence is never taken, an equal one only if the same."""
    before = [accepted(number) for number in remembered]
    try:
        step = check_sequence(candidate(sequence), before, Consent(), GATE)
    except (RollbackDetected, Equivocation, SequenceJump):
        return
    assert all(number < sequence for number in remembered)
    assert step is (Step.NEWER if remembered else Step.FIRST)


@given(COUNTS, COUNTS)
def test_the_same_release_is_the_same_wherever_it_is_remembered(sequence: int, other: int) -> None:
    before = [accepted(min(sequence, other), b"x"), accepted(sequence, b"this")]
    if sequence == other:
        with pytest.raises(Equivocation):
            check_sequence(candidate(sequence), before, Consent(), GATE)
    elif other < sequence:
        assert check_sequence(candidate(sequence), before, Consent(), GATE) is Step.SAME


def test_going_back_needs_the_exact_sequence_and_a_policy_that_lets() -> None:
    before, old = [accepted(15)], candidate(12)
    assert check_sequence(old, before, Consent(rollback=12), GATE) is Step.ROLLBACK
    for consent in (Consent(), Consent(rollback=11), Consent(rollback=15), Consent(jump=12)):
        with pytest.raises(RollbackDetected, match=r"\(seq 12\) is older than .*\(seq 15\)"):
            check_sequence(old, before, consent, GATE)
    strict = replace(old, trust=replace(old.trust, allow_rollback=False))
    with pytest.raises(RollbackDetected) as caught:
        check_sequence(strict, before, Consent(rollback=12), GATE)
    assert "policy does not allow" in caught.value.next_step


def test_nothing_agrees_to_two_releases_of_one_sequence() -> None:
    for consent in (Consent(), Consent(rollback=15), Consent(jump=15)):
        with pytest.raises(Equivocation):
            check_sequence(candidate(15), [accepted(15)], consent, GATE)


@pytest.mark.parametrize(
    ("sequence", "before", "fine"),
    [
        (1, None, True),
        (int(NOW.timestamp()), None, True),
        (int((NOW + timedelta(days=1)).timestamp()), None, True),
        (int((NOW + timedelta(days=1)).timestamp()) + 1, None, False),
        (2**63 - 1, None, False),
        (2**63 - 1, 5, False),
        (202611261530, 202611251200, True),
        (2 * 10**11, 10**11, True),
        (2 * 10**11 + 1, 10**11, False),
    ],
)
def test_a_leap_that_would_end_all_updates(sequence: int, before: int | None, fine: bool) -> None:
    remembered = [] if before is None else [accepted(before)]
    if fine:
        check_sequence(candidate(sequence), remembered, Consent(), GATE)
        return
    with pytest.raises(SequenceJump):
        check_sequence(candidate(sequence), remembered, Consent(), GATE)
    agreed = Consent(jump=sequence)
    assert check_sequence(candidate(sequence), remembered, agreed, GATE) is Step.JUMP


def test_the_ends_of_the_calendar_are_times_like_any() -> None:
    first, last = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
    assert check_clock(first, first, OPEN) == first
    assert check_clock(last, first, OPEN) == last
    with pytest.raises(ClockWentBackwards):
        check_clock(first, last, OPEN)
    with pytest.raises(ClockSkew):
        held(Gate(OPEN, first))
    with pytest.raises(BundleExpired):
        held(Gate(OPEN, last))
    assert check_sequence(candidate(9), [], Consent(), Gate(OPEN, last)) is Step.FIRST


def test_the_clock_is_believed_forwards_only() -> None:
    day = timedelta(days=1)
    assert check_clock(NOW, None, OPEN) == NOW
    assert check_clock(NOW, NOW - day, OPEN) == NOW
    assert check_clock(NOW, NOW + day, OPEN) == NOW + day
    with pytest.raises(ClockWentBackwards, match="2026-01-11"):
        check_clock(NOW, NOW + day + timedelta(seconds=1), OPEN)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))
def test_time_is_never_judged_earlier_than_it_was_seen(moment: datetime) -> None:
    try:
        judged = check_clock(moment, NOW, OPEN)
    except ClockWentBackwards:
        assert moment < NOW - OPEN.clock_skew
    else:
        assert judged == max(moment, NOW)
