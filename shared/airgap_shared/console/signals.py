"""Signals: raised as exceptions where work can be left, held back where it is almost done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

#: So long the last steps of a command may take after a signal, in seconds.
PATIENCE = 5.0
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived.

    No KeyboardInterrupt for Ctrl-C: the option parser takes that for an end of its own kind.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Reception:
    """What arrived while nothing was to be left; one for the process, as signals are."""

    def __init__(self) -> None:
        self.finishing = False
        self.parting = False
        self.held: int | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Raise for a signal, or hold the first one back for a while."""
        if self.parting:
            _leave(number, None)
        if self.finishing and self.held is None:
            self.held = number
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            return
        self.held = None
        raise Terminated(number)

    def give_up(self, _number: int, _frame: FrameType | None) -> None:
        """Raise for what was held back: finishing takes too long."""
        self.release()

    def release(self) -> None:
        """Raise for what was held back, if anything was."""
        held, self.held = self.held, None
        if held is not None:
            raise Terminated(held)


_RECEPTION = _Reception()


@contextmanager
def raised_signals() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise :class:`Terminated`.

    What the process was told to ignore (nohup) stays ignored.
    """
    previous = {
        number: signal.signal(number, _RECEPTION.receive)
        for number in _NUMBERS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    _RECEPTION.parting = False
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def silent_end() -> Iterator[None]:
    """Around all that a process does: before and after, a signal ends it without a word.

    None does once this is over and the exit code is settled.
    """
    numbers = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def part() -> None:
    """Have the next signal end the process at once: the last one is being told about."""
    _RECEPTION.parting = True


@contextmanager
def finished_first() -> Iterator[None]:
    """Let a few last steps come to their end before a signal is raised.

    A second signal, or five seconds after the first, end them all the same.
    """
    before = signal.signal(signal.SIGALRM, _RECEPTION.give_up)
    _RECEPTION.finishing = True
    try:
        yield
    finally:
        _RECEPTION.finishing = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _RECEPTION.release()


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
