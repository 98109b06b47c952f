"""Waiting for what another process does, without trusting the clock for more than giving up."""

from __future__ import annotations

import time
from collections.abc import Callable

_PATIENCE = 60.0
_STEP = 0.02


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Return as soon as ``happened`` says something true; fail when it never does."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(_STEP)
