"""How much of an open-ended search one run does: a bounded part, or all that is promised."""

from __future__ import annotations

import os

#: AIRGAP_BUDGET=full: all of every search, in hours; a number: that share of it, but all of what
#: docs/reliability.md promises; otherwise a part in minutes.
_LEVEL = os.environ.get("AIRGAP_BUDGET", "")
#: Whether this is no normal run.
FULL = bool(_LEVEL)


def budget(bounded: int, full: int, *, promised: bool = False) -> int:
    """``bounded`` in the normal run, ``full`` or a share of it under ``make scoreboard``."""
    if not _LEVEL:
        return bounded
    if promised or _LEVEL == "full":
        return full
    return max(bounded, int(full * float(_LEVEL)))
