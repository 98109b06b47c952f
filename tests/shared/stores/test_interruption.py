from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.stores.concurrency import Stop, for_each


@given(st.lists(st.integers()), st.integers(1, 8))
def test_results_come_in_the_order_of_the_items(items: list[int], jobs: int) -> None:
    assert for_each(items, lambda item, _: item * 2, jobs) == [item * 2 for item in items]


def test_no_more_threads_than_asked_for_work_at_once() -> None:
    lock = threading.Lock()
    working = most = 0
    all_in = threading.Barrier(3, timeout=30)

    def work(_item: int, _stop: Stop) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        all_in.wait()
        with lock:
            working -= 1

    for_each(range(9), work, 3)
    assert most == 3


def test_the_first_failure_is_raised_and_stops_the_others() -> None:
    begun: list[int] = []
    failed = threading.Event()

    def endless(stop: Stop) -> Iterator[bytes]:
        failed.wait(30)
        while not stop.is_set():
            yield b"before"
        yield b"after"

    def work(item: int, stop: Stop) -> None:
        begun.append(item)
        if item == 1:
            failed.set()
            raise LookupError(item)
        for _ in stop.guard(endless(stop)):
            pass

    with pytest.raises(LookupError, match="1"):
        for_each(range(50), work, 2)
    assert sorted(begun) == [0, 1]


def test_of_several_failures_the_first_item_wins() -> None:
    together = threading.Barrier(3, timeout=30)

    def work(item: int, _stop: Stop) -> None:
        together.wait()
        raise LookupError(item)

    with pytest.raises(LookupError, match="0"):
        for_each(range(3), work, 3)


def test_nothing_to_do_is_done() -> None:
    assert for_each([], lambda item, _: item, 4) == []


def test_an_interruption_leaves_behind_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap_shared.stores.concurrency.GRACE", 0.05)
    hanging, release = threading.Event(), threading.Event()

    def work(_item: int, _stop: Stop) -> None:
        hanging.set()
        release.wait(30)

    def interrupt(_self: threading.Condition, *_arguments: object) -> bool:
        monkeypatch.undo()
        assert hanging.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Condition, "wait_for", interrupt)
    with pytest.raises(KeyboardInterrupt):
        for_each([1], work, 1)
    assert not release.is_set()
    release.set()
