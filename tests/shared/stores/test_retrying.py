from __future__ import annotations

import email.utils
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import AirgapError, RateLimited, RegistryRejected, RegistryUnavailable
from airgap_shared.stores.retrying import Attempts, Transient, parse_retry_after, retry
from airgap_shared.stores.settings import Patience
from support.clients import FakeClock

ERROR = RegistryUnavailable("gone", where="reg.example")


def failing(times: int, fault: Transient) -> Callable[[], str]:
    left = [fault] * times

    def operation() -> str:
        if left:
            raise left.pop()
        return "done"

    return operation


def test_pauses_grow_up_to_the_cap() -> None:
    clock = FakeClock()
    patience = Patience(attempts=6, backoff_base=1, backoff_cap=5, timing=clock.timing())
    assert retry(failing(5, Transient(ERROR)), patience) == "done"
    assert clock.pauses == [1, 2, 4, 5, 5]


def test_pauses_are_random_from_nothing_up() -> None:
    clock = FakeClock(fraction=0.0)
    retry(failing(2, Transient(ERROR)), Patience(timing=clock.timing()))
    assert clock.pauses == [0, 0]


@pytest.mark.parametrize(("tries", "expected"), [(None, 4), (2, 2), (9, 4)])
def test_the_error_comes_when_the_attempts_are_spent(tries: int | None, expected: int) -> None:
    clock = FakeClock()
    patience = Patience(attempts=4, timing=clock.timing())
    with pytest.raises(RegistryUnavailable) as caught:
        retry(failing(100, Transient(ERROR, tries=tries)), patience)
    assert caught.value is ERROR
    assert len(clock.pauses) == expected - 1


def test_the_budget_bounds_the_whole() -> None:
    clock = FakeClock()
    patience = Patience(
        attempts=100, backoff_base=10, backoff_cap=10, budget=35, timing=clock.timing()
    )
    with pytest.raises(RegistryUnavailable):
        retry(failing(100, Transient(ERROR)), patience)
    assert clock.pauses == [10, 10, 10]


@pytest.mark.parametrize("error", [ERROR, RegistryRejected("x")])
def test_the_servers_wish_is_granted(error: AirgapError) -> None:
    clock = FakeClock()
    retry(failing(1, Transient(error, 7)), Patience(backoff_base=0.5, timing=clock.timing()))
    assert clock.pauses == [7.5]


def test_a_longer_wish_than_our_patience_ends_it() -> None:
    clock = FakeClock()
    with pytest.raises(RateLimited, match="asks to wait 301 s") as caught:
        retry(failing(1, Transient(ERROR, 301)), Patience(timing=clock.timing()))
    assert caught.value.where == "reg.example"
    assert clock.pauses == []


def test_other_errors_are_not_repeated() -> None:
    seen = []

    def operation() -> None:
        seen.append(1)
        raise RegistryRejected("no")

    with pytest.raises(RegistryRejected):
        retry(operation, Patience(timing=FakeClock().timing()))
    assert seen == [1]


def test_progress_starts_the_count_over() -> None:
    clock = FakeClock()
    attempts = Attempts(Patience(attempts=2, timing=clock.timing()))
    for _ in range(5):
        attempts.pause(Transient(ERROR))
        attempts.start_over()
    attempts.pause(Transient(ERROR))
    with pytest.raises(RegistryUnavailable):
        attempts.pause(Transient(ERROR))


NOW = 1_700_000_000.0


def http_date(at: float) -> str:
    return email.utils.formatdate(at, usegmt=True)


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        ("12", None, 12),
        (" 0 ", None, 0),
        ("-1", None, None),
        ("1.5", None, None),
        ("soon", None, None),
        ("²", None, None),
        (http_date(NOW + 30), None, 30),
        (http_date(NOW - 30), None, 0),
        # The server's clock is an hour ahead of ours.
        (http_date(NOW + 3630), http_date(NOW + 3600), 30),
        (http_date(NOW + 30), "rubbish", 30),
    ],
)
def test_both_forms_of_retry_after(
    value: str | None, date: str | None, expected: float | None
) -> None:
    assert parse_retry_after(value, date, NOW) == expected


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_retry_after_is_survived(value: str, date: str) -> None:
    wait = parse_retry_after(value, date, NOW)
    assert wait is None or wait >= 0
