"""What this host has seen of the time, taken back: the way out after a clock that was ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from airgap_importer.history.auditlog import append_entry
from airgap_importer.history.folder import all_states, load_state, locked_place, write_state
from airgap_shared.oci.moment import format_time


def reset_clock(folder: Path, now: datetime) -> datetime | None:
    """Forget every time later than ``now``; gives the latest of them, None where there is none.

    It stands in the audit log before anything is forgotten.

    Raises:
        StateCorrupt: something that is remembered cannot be understood.
        Locked: an import is at work.
        StateNotWritable, DiskFull: it cannot be recorded or written.

    """
    ahead = {
        (state.target, state.app): state.latest_seen
        for state in all_states(folder)
        if state.latest_seen is not None and state.latest_seen > now
    }
    if not ahead:
        return None
    latest = max(ahead.values())
    append_entry(folder, {"ev": "clock", "at": format_time(now), "was": format_time(latest)})
    for target, app in sorted(ahead):
        with locked_place(folder, target, app) as place:
            state = load_state(folder, target, app)
            write_state(place, replace(state, latest_seen=now))
    return latest
