"""How much of an open-ended search one run does: a bounded part, or all that is promised."""

from __future__ import annotations

import os

#: AIRGAP_BUDGET=promised: all of what docs/reliability.md promises, a part of every other search; a
#: number: that share of the others; full: all of every search, in hours; otherwise a part of each.
_LEVEL = os.environ.get("AIRGAP_BUDGET", "")
#: Whether this is no normal run.
FULL = bool(_LEVEL)


def budget(bounded: int, full: int, *, promised: bool = False) -> int:
    """``bounded`` in the normal run, ``full`` or a share of it where more is asked for."""
    if not _LEVEL:
        return bounded
    if promised or _LEVEL == "full":
        return full
    if _LEVEL == "promised":
        return bounded
    return max(bounded, int(full * float(_LEVEL)))
