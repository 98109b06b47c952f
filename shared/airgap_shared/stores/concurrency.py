"""Doing many transfers at once, and stopping all of them soon when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: So long an interruption waits for transfers to end in good order, in seconds.
GRACE = 2.0


class Stopped(Exception):
    """Raised inside a transfer that is not wanted any more; never leaves :func:`for_each`."""


class Stop:
    """Tells running transfers that another one failed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask every transfer to stop at its next piece."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether that was asked."""
        return self._event.is_set()

    def guard(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on until a stop is asked for."""
        for chunk in chunks:
            if self._event.is_set():
                raise Stopped
            yield chunk


def for_each(
    items: Iterable[_Item], work: Callable[[_Item, Stop], _Result], jobs: int
) -> list[_Result]:
    """Do ``work`` on every item in up to ``jobs`` threads; results in the order of the items.

    The first failure stops the others and is raised. So does an interruption from the keyboard,
    but that does not wait for long: a transfer that hangs in the network is left behind. It does
    no harm any more, for what :meth:`Stop.guard` guards ends with its next piece.
    """
    batch = _Batch(items, work)
    try:
        batch.start(jobs)
        batch.wait(None)
    except BaseException:
        batch.stop.set()
        batch.wait(GRACE)
        raise
    return batch.results()


class _Batch(Generic[_Item, _Result]):
    """The items of one call, and what became of them."""

    def __init__(self, items: Iterable[_Item], work: Callable[[_Item, Stop], _Result]) -> None:
        self.stop = Stop()
        self._items = list(items)
        self._work = work
        self._numbers = iter(range(len(self._items)))
        self._results: dict[int, _Result] = {}
        self._failures: dict[int, BaseException] = {}
        self._running = 0
        self._changed = threading.Condition()

    def start(self, jobs: int) -> None:
        """Begin, in as many threads as are of use and to be had; in this one if there are none."""
        wanted = min(jobs, len(self._items))
        for started in range(wanted):
            if self._start_one():
                continue
            if not started:
                self._running = 1
                self._run()
            return

    def _start_one(self) -> bool:
        with self._changed:
            self._running += 1
        try:
            # Threads that are waited for at exit could not be left behind.
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:
            with self._changed:
                self._running -= 1
            return False
        return True

    def wait(self, seconds: float | None) -> None:
        """Return when all threads are done, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)

    def results(self) -> list[_Result]:
        """The results in order, or the first failure that is none of our own making."""
        ordered = [self._failures[number] for number in sorted(self._failures)]
        for failure in sorted(ordered, key=lambda failure: isinstance(failure, Stopped)):
            raise failure
        return [self._results[number] for number in range(len(self._items))]

    def _run(self) -> None:
        try:
            while (number := self._take()) is not None:
                self._do(number)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            return None if self.stop.is_set() else next(self._numbers, None)

    def _do(self, number: int) -> None:
        try:
            self._results[number] = self._work(self._items[number], self.stop)
        except BaseException as problem:
            self._failures[number] = problem
            self.stop.set()
