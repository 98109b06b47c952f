"""Doing many transfers at once, and stopping all of them soon when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Stopped(Exception):
    """Raised inside a transfer that is not wanted any more; never leaves :func:`for_each`."""


class Stop:
    """Tells running transfers that another one failed."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask every transfer to stop at its next piece."""
        self._event.set()

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

    The first failure stops the others and is raised; so does an interruption from the keyboard.
    """
    stop = Stop()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, item, stop) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if any(not future.done() or future.exception() for future in futures):
                stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    _raise_first(futures)
    return [future.result() for future in futures]


def _raise_first(futures: list[Future[_Result]]) -> None:
    failures = [
        future.exception() for future in futures if not future.cancelled() and future.exception()
    ]
    for failure in sorted(failures, key=lambda failure: isinstance(failure, Stopped)):
        if failure is not None:
            raise failure
