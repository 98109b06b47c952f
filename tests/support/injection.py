"""Faults at system calls: what strace is told to do to a command, and what it did."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import PATIENCE, Finished, Shell
from support.tally import TALLY

_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_KILLED = {-9, 137}


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: who made it, its name, and its arguments and result as strace prints them."""

    thread: int
    name: str
    rest: str


@dataclass(frozen=True, slots=True)
class Traced:
    """How a traced command ended, and its system calls in order."""

    done: Finished
    calls: Sequence[Call]

    @property
    def main(self) -> Sequence[Call]:
        """Those of the main thread: strace counts for an injection thread by thread."""
        return [call for call in self.calls if call.thread == self.calls[0].thread]

    @property
    def killed(self) -> bool:
        """Whether the injected SIGKILL struck."""
        return self.done.code in _KILLED

    @property
    def by_thread(self) -> list[int]:
        """How many calls each thread made, the busiest first: ``when=`` counts for each alone."""
        return [count for _, count in Counter(call.thread for call in self.calls).most_common()]


def trace(
    shell: Shell,
    command: Sequence[str | Path],
    calls: str,
    *injections: str,
    path: Path | None = None,
    named: bool = False,
) -> Traced:
    """Run a command under strace, which records ``calls`` and makes the ``injections``.

    An injection is what ``strace -e inject=`` takes (strace(1)): ``fsync:error=EIO:when=2``. With
    a ``path``, only calls on the file that the command is given, or has opened, by this name count.
    ``named`` has file descriptors told with their path.
    """
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    log = shell.folder / ".strace"
    done = subprocess.run(
        [
            *(program, "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", "-e", "signal=none"),
            *(part for one in injections for part in ("-e", f"inject={one}")),
            *(("-P", str(path)) if path else ()),
            *(("-y", "-s", "65536") if named else ()),
            *shell.command_line(*command),
        ],
        cwd=shell.folder,
        env=shell.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
    recorded = log.read_text(errors="replace").splitlines()
    log.unlink()
    found = [match for line in recorded if (match := _CALL.match(line))]
    seen = [Call(int(match["thread"]), match["name"], match["rest"]) for match in found]
    traced = Traced(finished, seen)
    if not traced.killed:
        TALLY.end(finished.code, finished.out, finished.err)
    return traced
