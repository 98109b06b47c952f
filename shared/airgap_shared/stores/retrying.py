"""Trying again: bounded, with full jitter, and as the server asks (RFC 9110 §10.2.3)."""

from __future__ import annotations

import email.utils
import logging
from collections.abc import Callable
from typing import TypeVar

from airgap_shared.errors import AirgapError, RateLimited
from airgap_shared.stores.settings import Patience

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
#: Some refusals look like passing faults; after so many they are believed.
FEW = 3


class Transient(Exception):
    """A failure that may pass: the error to report when patience ends, and what was asked.

    ``retry_after`` is the pause that the server wants, in seconds; ``tries`` a smaller bound on
    the attempts than the general one.
    """

    def __init__(
        self, error: AirgapError, retry_after: float | None = None, tries: int | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.retry_after = retry_after
        self.tries = tries


class Attempts:
    """The repetitions of one operation."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failed = 0
        self._began: float | None = None

    def start_over(self) -> None:
        """Forget earlier failures: there was progress."""
        self._failed = 0
        self._began = None

    def pause(self, fault: Transient) -> None:
        """Wait before the next attempt.

        Raises:
            AirgapError: the error of ``fault``, when there is no next attempt.
            RateLimited: the server wants a longer pause than we are prepared to make.

        """
        patience = self._patience
        now = patience.timing.monotonic()
        self._began = now if self._began is None else self._began
        self._failed += 1
        limit = patience.attempts if fault.tries is None else min(fault.tries, patience.attempts)
        if self._failed >= limit:
            raise fault.error from fault.error.__cause__
        delay = self._delay(fault)
        if now + delay > self._began + patience.budget:
            raise fault.error from fault.error.__cause__
        _log.info("trying again in %.1f s after: %s", delay, fault.error)
        patience.timing.sleep(delay)

    def _delay(self, fault: Transient) -> float:
        patience = self._patience
        ceiling = min(patience.backoff_cap, patience.backoff_base * 2.0 ** (self._failed - 1))
        jitter = patience.timing.fraction() * ceiling
        if fault.retry_after is None:
            return jitter
        if fault.retry_after > patience.max_retry_after:
            raise RateLimited(
                f"the registry asks to wait {fault.retry_after:.0f} s, longer than "
                f"{patience.max_retry_after:.0f} s",
                where=fault.error.where,
                next_step="run the same command again later; what is done stays done",
            ) from fault.error
        # A little more than asked: many clients come back at the same moment otherwise.
        return fault.retry_after + min(jitter, 1.0)


def retry(operation: Callable[[], _Result], patience: Patience) -> _Result:
    """Do ``operation`` until it succeeds, fails for good, or patience ends."""
    attempts = Attempts(patience)
    while True:
        try:
            return operation()
        except Transient as fault:
            attempts.pause(fault)


def parse_retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Seconds to wait by a ``Retry-After`` header, in either of its forms.

    A date is compared with the answer's own ``Date``, so that a wrong clock here does not
    matter; ``now`` (Unix time) stands in when there is none.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _unix_time(text)
    if until is None:
        return None
    sent = _unix_time(date or "")
    return max(0.0, until - (now if sent is None else sent))


def _unix_time(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
