"""Waiting without waiting, for commands that run inside the test's own process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from airgap_shared.stores.settings import Timing


@contextmanager
def impatient() -> Iterator[None]:
    """Pauses between two tries take no time; their number and order stay as they are."""
    defaults = Timing.__init__.__defaults__

    def pass_over(_seconds: float) -> None:
        time.sleep(0)

    assert defaults is not None and defaults.count(time.sleep) == 1
    Timing.__init__.__defaults__ = tuple(
        pass_over if one is time.sleep else one for one in defaults
    )
    try:
        yield
    finally:
        Timing.__init__.__defaults__ = defaults
