"""What must stay zero, counted over a whole run of the tests."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

_TRACEBACKS = ("Traceback (most recent call last)", "Fatal Python error")
#: Exit codes of somebody who was asked to stop.
INTERRUPTED = frozenset(128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
_TEXT_LIMIT = 2000


class Zero(enum.StrEnum):
    """What is counted, and must stay zero."""

    UNVERIFIED = "unverified blobs retrievable"
    CHANGED = "tags or overlays changed by a failed run"
    CRASHED = "tracebacks, signal deaths and hangs"


@dataclass(slots=True)
class Tally:
    """What was seen since the last time somebody looked.

    ``endings`` counts ends of commands, ``states`` comparisons of everything before and after.
    """

    endings: int = 0
    states: int = 0
    violations: set[tuple[Zero, str]] = field(default_factory=set)

    def drain(self) -> Tally:
        """Everything so far; counting begins anew."""
        taken = Tally(self.endings, self.states, self.violations)
        self.endings, self.states, self.violations = 0, 0, set()
        return taken

    def violate(self, zero: Zero, text: str) -> None:
        """Count a violation, each text once; whoever found it fails besides."""
        self.violations.add((zero, text[-_TEXT_LIMIT:]))

    def end(self, code: int, out: str, err: str) -> None:
        """Count an end of a command."""
        self.endings += 1
        for fault in crashes(code, out, err):
            self.violate(Zero.CRASHED, fault)


#: The one that the scoreboard reads after each test.
TALLY = Tally()


def crashes(code: int, out: str, err: str) -> Iterator[str]:
    """The ways in which this was no end that a user may meet, who asked for no tracebacks."""
    for text in () if os.environ.get("AIRGAP_DEBUG") else (err, out):
        if any(mark in text for mark in _TRACEBACKS):
            yield f"a traceback: {text}"
    if code == 1:
        yield f"exit code 1: {err}"
    if code < 0 or (code > 128 and code not in INTERRUPTED):
        yield f"death by a signal: {code}"
