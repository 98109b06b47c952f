"""How much of an open-ended search one run does: a bounded part, or all that is promised."""

from __future__ import annotations

import os

#: AIRGAP_BUDGET=full: everything that docs/reliability.md promises; otherwise a part in minutes.
FULL = os.environ.get("AIRGAP_BUDGET") == "full"


def budget(bounded: int, full: int) -> int:
    """``bounded`` in the normal run, ``full`` under ``make scoreboard``."""
    return full if FULL else bounded
