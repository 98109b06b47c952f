"""Changes of a policy: what is named changes, and all else stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airgap_shared.errors import PolicyInvalid, UsageError
from airgap_shared.trust.limits import AppLimit, KeyLimit
from airgap_shared.trust.policy import AppTrust, Revocation, TrustedKey, TrustPolicy
from airgap_shared.trust.policyedits import AppTerms, KeyTerms, with_app, with_key
from support.keys import fixed_key

FIRST, SECOND, THIRD = (fixed_key(number).public_key for number in range(3))
START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ENTRY = TrustedKey(FIRST, "vendor", START, END)
SHOP = AppTrust((FIRST, SECOND), "shop", None, 2, timedelta(days=30), True, "r/shop")
POLICY = TrustPolicy((ENTRY, TrustedKey(SECOND), TrustedKey(THIRD)), (SHOP,), version=1)


def key_by(terms: KeyTerms) -> TrustedKey:
    (entry,) = (key for key in with_key(POLICY, FIRST, terms).keys if key.key == FIRST)
    return entry


def shop_by(terms: AppTerms) -> AppTrust:
    (app,) = with_app(POLICY, "shop", None, terms).apps
    return app


def test_terms_that_say_nothing_change_nothing() -> None:
    assert key_by(KeyTerms()) == ENTRY
    assert shop_by(AppTerms()) == SHOP


@pytest.mark.parametrize(
    ("terms", "after"),
    [
        (KeyTerms(owner="next"), replace(ENTRY, owner="next")),
        (KeyTerms(owner=""), replace(ENTRY, owner="")),
        (KeyTerms(not_before=END), replace(ENTRY, not_before=END)),
        (KeyTerms(not_after=START), replace(ENTRY, not_after=START)),
        (KeyTerms(without=[KeyLimit.NOT_BEFORE]), replace(ENTRY, not_before=None)),
        (KeyTerms(without=[KeyLimit.NOT_AFTER]), replace(ENTRY, not_after=None)),
        (KeyTerms(without=list(KeyLimit)), TrustedKey(FIRST, "vendor")),
    ],
)
def test_of_a_key_only_what_is_named_changes(terms: KeyTerms, after: TrustedKey) -> None:
    assert key_by(terms) == after


@pytest.mark.parametrize(
    ("terms", "after"),
    [
        (AppTerms(keys=(SECOND, THIRD)), replace(SHOP, keys=(SECOND, THIRD))),
        (AppTerms(threshold=1), replace(SHOP, threshold=1)),
        (AppTerms(max_age=timedelta(days=1)), replace(SHOP, max_age=timedelta(days=1))),
        (AppTerms(allow_rollback=False), replace(SHOP, allow_rollback=False)),
        (AppTerms(registry_prefix="r"), replace(SHOP, registry_prefix="r")),
        (AppTerms(without=[AppLimit.MAX_AGE]), replace(SHOP, max_age=None)),
        (AppTerms(without=[AppLimit.PREFIX]), replace(SHOP, registry_prefix="")),
    ],
)
def test_of_an_application_only_what_is_named_changes(terms: AppTerms, after: AppTrust) -> None:
    assert shop_by(terms) == after


def test_a_limit_is_not_set_and_taken_away_at_once() -> None:
    for key in (
        KeyTerms(not_before=START, without=[KeyLimit.NOT_BEFORE]),
        KeyTerms(not_after=END, without=[KeyLimit.NOT_AFTER]),
    ):
        with pytest.raises(UsageError, match="--without not-"):
            key_by(key)
    for app in (
        AppTerms(max_age=timedelta(days=1), without=[AppLimit.MAX_AGE]),
        AppTerms(registry_prefix="r", without=[AppLimit.PREFIX]),
    ):
        with pytest.raises(UsageError, match="--without"):
            shop_by(app)


def test_a_new_application_trusts_one_of_all_keys() -> None:
    after = with_app(POLICY, "shop", "beta", AppTerms(registry_prefix="r/beta"))
    everybody = (FIRST, SECOND, THIRD)
    assert after.apps == (SHOP, AppTrust(everybody, "shop", "beta", registry_prefix="r/beta"))


def test_fewer_keys_than_must_sign_are_refused() -> None:
    with pytest.raises(PolicyInvalid, match="a threshold of 2 for 1 keys"):
        shop_by(AppTerms(keys=(FIRST,)))


def test_a_revoked_key_is_not_added_again() -> None:
    revoked = replace(POLICY, revoked=(Revocation(FIRST.key_id),))
    with pytest.raises(PolicyInvalid, match="is revoked"):
        with_key(revoked, FIRST, KeyTerms())
