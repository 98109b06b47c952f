"""What changed between two versions of a policy, and whether more passes than before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airgap_shared.trust.policy import AppTrust, Quorum, Revocation, TrustedKey, TrustPolicy
from airgap_shared.trust.policychanges import changes_between
from support.keys import fixed_key

FIRST, SECOND, THIRD = (fixed_key(number).public_key for number in range(3))
START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = TrustedKey(FIRST, "vendor", START, END)
SHOP = AppTrust((FIRST, SECOND), "shop", None, 2, 30 * DAY, False, "r/shop")
POLICY = TrustPolicy(
    (KEY, TrustedKey(SECOND)),
    (SHOP,),
    version=1,
    max_total_size=10,
    updates=Quorum((FIRST, SECOND), 2),
)


def said(before: TrustPolicy, after: TrustPolicy) -> list[str]:
    return [str(change) for change in changes_between(before, after)]


def key_as(key: TrustedKey) -> TrustPolicy:
    return replace(POLICY, keys=(key, POLICY.keys[1]))


def shop_as(shop: AppTrust) -> TrustPolicy:
    return replace(POLICY, apps=(shop,))


def test_a_number_alone_is_no_change() -> None:
    assert said(POLICY, replace(POLICY, version=2)) == []


@pytest.mark.parametrize(
    ("looser", "what"),
    [
        (key_as(replace(KEY, not_before=None)), "key {0}: not before: 2025-01-01T00:00:00Z → any"),
        (key_as(replace(KEY, not_before=START - DAY)),
         "key {0}: not before: 2025-01-01T00:00:00Z → 2024-12-31T00:00:00Z"),
        (key_as(replace(KEY, not_after=None)), "key {0}: not after: 2027-01-01T00:00:00Z → any"),
        (key_as(replace(KEY, not_after=END + DAY)),
         "key {0}: not after: 2027-01-01T00:00:00Z → 2027-01-02T00:00:00Z"),
        (shop_as(replace(SHOP, threshold=1)), "shop (any channel): keys that must sign: 2 → 1"),
        (shop_as(replace(SHOP, max_age=None)), "shop (any channel): days of age: 30 → any"),
        (shop_as(replace(SHOP, max_age=31 * DAY)), "shop (any channel): days of age: 30 → 31"),
        (shop_as(replace(SHOP, allow_rollback=True)),
         "shop (any channel): going back: forbidden → allowed"),
        (shop_as(replace(SHOP, registry_prefix="")), "shop (any channel): registry: r/shop → any"),
        (shop_as(replace(SHOP, registry_prefix="r")), "shop (any channel): registry: r/shop → r"),
        (replace(POLICY, max_total_size=None), "policy: bytes: 10 → any"),
        (replace(POLICY, clock_skew=2 * DAY), "policy: clock skew in seconds: 86400 → 172800"),
        (replace(POLICY, judge_at_creation=True),
         "policy: times of keys judged at: import → created"),
        (replace(POLICY, updates=Quorum((FIRST, SECOND), 1)),
         "updates: keys that must sign: 2 → 1"),
    ],
)  # fmt: skip
def test_what_lets_more_pass_is_looser_and_the_way_back_is_stricter(
    looser: TrustPolicy, what: str
) -> None:
    expected = what.format(FIRST.key_id)
    place, _, values = expected.rpartition(": ")
    old, new = values.split(" → ")
    assert said(POLICY, looser) == [f"looser: {expected}"]
    assert said(looser, POLICY) == [f"stricter: {place}: {new} → {old}"]


def test_another_owner_or_registry_is_neither() -> None:
    assert said(POLICY, key_as(replace(KEY, owner=""))) == [
        f"changed: key {FIRST.key_id}: owner: vendor → -"
    ]
    moved = shop_as(replace(SHOP, registry_prefix="r/shopping"))
    assert said(POLICY, moved) == ["changed: shop (any channel): registry: r/shop → r/shopping"]


def test_keys_and_who_may_sign() -> None:
    more = replace(
        POLICY,
        keys=(*POLICY.keys, TrustedKey(THIRD, "next")),
        apps=(replace(SHOP, keys=(FIRST, SECOND, THIRD)),),
    )
    assert said(POLICY, more) == [
        f"added: key {THIRD.key_id}: next",
        f"looser: shop (any channel): {THIRD.key_id} may sign",
    ]
    assert said(more, POLICY) == [
        f"removed: key {THIRD.key_id}: next",
        f"stricter: shop (any channel): {THIRD.key_id} may not sign any more",
    ]


def test_a_revocation() -> None:
    revoked = replace(POLICY, revoked=(Revocation(THIRD.key_id, "stolen"),))
    assert said(POLICY, revoked) == [f"revoked: key {THIRD.key_id}: stolen"]


def test_who_signs_updates() -> None:
    assert said(POLICY, replace(POLICY, updates=None)) == [
        f"changed: updates: 2 of {FIRST.key_id}, {SECOND.key_id} "
        "→ by whoever signs the applications"
    ]


def test_an_entry_of_its_own_is_compared_with_what_decided_before() -> None:
    beta = AppTrust((FIRST, SECOND), "shop", "beta", 1, 30 * DAY, False, "r/shop")
    both = replace(POLICY, apps=(SHOP, beta))
    assert said(POLICY, both) == [
        "added: application shop (beta): shop (any channel) decided so far",
        "looser: shop (beta): keys that must sign: 2 → 1",
    ]
    assert said(both, POLICY) == [
        "removed: application shop (beta): shop (any channel) decides now",
        "stricter: shop (beta): keys that must sign: 1 → 2",
    ]
    bank = replace(POLICY, apps=(SHOP, replace(SHOP, name="bank")))
    assert said(POLICY, bank) == ["added: application bank (any channel)"]
    assert said(bank, POLICY) == ["removed: application bank (any channel)"]
