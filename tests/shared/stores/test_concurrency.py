from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from airgap_shared.stores.concurrency import Stop, Stopped, for_each


def endless() -> Iterator[bytes]:
    while True:
        yield b"piece"


def test_a_stop_is_noticed_at_the_next_piece() -> None:
    stop = Stop()
    pieces = stop.guard(iter([b"a", b"b", b"c"]))
    assert next(pieces) == b"a"
    stop.set()
    with pytest.raises(Stopped):
        next(pieces)


def test_without_a_stop_everything_passes() -> None:
    assert list(Stop().guard([b"a", b"", b"b"])) == [b"a", b"", b"b"]


def test_what_others_stopped_is_not_what_is_raised() -> None:
    running = threading.Barrier(3, timeout=30)

    def work(item: int, stop: Stop) -> None:
        running.wait()
        if item == 2:
            raise LookupError
        for _ in stop.guard(endless()):
            pass

    with pytest.raises(LookupError):
        for_each(range(3), work, 3)


def test_ctrl_c_stops_all_and_is_raised() -> None:
    stopped = threading.Semaphore(0)
    running = threading.Barrier(2, timeout=30)

    def work(item: int, stop: Stop) -> None:
        running.wait()
        if item == 0:
            os.kill(os.getpid(), signal.SIGINT)
        try:
            for _ in stop.guard(endless()):
                pass
        finally:
            stopped.release()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            for_each(range(2), work, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.acquire(timeout=30)
    assert stopped.acquire(timeout=30)


def test_where_no_thread_is_to_be_had_all_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[threading.Thread] = []
    begin = threading.Thread.start
    allowed = 2

    def start(thread: threading.Thread) -> None:
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert for_each(range(50), lambda item, stop: item, 8) == list(range(50))
    allowed = len(started)
    assert for_each(range(50), lambda item, stop: item, 8) == list(range(50))
    assert len(started) == allowed
