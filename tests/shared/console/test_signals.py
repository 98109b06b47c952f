"""Signals that are raised, held back, and let through in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from airgap_shared.console import signals
from airgap_shared.console.signals import Terminated, finished_first, raised_signals

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Have signals heard, even where whoever runs the tests in the background ignores some."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", _NUMBERS)
def test_they_are_raised(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Terminated) as caught, raised_signals():
        _send(number)
    assert caught.value.number == number
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", _NUMBERS)
def test_the_last_steps_come_to_their_end(number: signal.Signals) -> None:
    steps = []
    with pytest.raises(Terminated) as caught, raised_signals():
        with finished_first():
            _send(number)
            steps.append("done")
        steps.append("more")
    assert steps == ["done"]
    assert caught.value.number == number


def test_a_second_one_is_raised_at_once() -> None:
    steps = []
    with pytest.raises(Terminated) as caught, raised_signals(), finished_first():
        _send(signal.SIGINT)
        steps.append("first")
        _send(signal.SIGTERM)
        steps.append("second")
    assert steps == ["first"]
    assert caught.value.number == signal.SIGTERM


def test_they_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PATIENCE", 0.05)
    with pytest.raises(Terminated) as caught, raised_signals(), finished_first():
        _send(signal.SIGTERM)
        while True:
            signal.pause()
    assert caught.value.number == signal.SIGTERM


def test_steps_that_end_in_peace() -> None:
    with raised_signals(), finished_first():
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised_signals():
            _send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_while_the_last_one_is_told_about_ends_the_process() -> None:
    program = (
        "import os, signal\n"
        "from airgap_shared.console.signals import part, raised_signals\n"
        "with raised_signals():\n"
        "    part()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (143, b"")
