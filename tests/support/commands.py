"""The two commands, run as a user runs them: a process of its own, judged from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.tally import TALLY, Zero

#: Whatever takes longer than this many seconds hangs; only ever waited for by a failing test.
PATIENCE = 900
_CHECKOUT = Path(__file__).resolve().parents[2]
_SOURCE_ROOTS = os.pathsep.join(str(_CHECKOUT / name) for name in ("shared", "bundler", "importer"))

# The peak comes from the process itself: ru_maxrss counts the memory of whoever started it too.
# Ctrl-C works as at a terminal, even where whoever runs the tests in the background ignores it.
_BOOTSTRAP = """
import atexit, importlib, pathlib, re, resource, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
module, peak = sys.argv[1:3]
sys.argv[:] = [sys.argv[3], *sys.argv[4:]]
def report():
    status = pathlib.Path("/proc/self/status").read_text()
    used = resource.getrusage(resource.RUSAGE_SELF)
    size = re.search(r"VmHWM:\\s+(\\d+)", status)[1]
    pathlib.Path(peak).write_text(f"{size} {used.ru_utime + used.ru_stime}")
if peak != "-":
    atexit.register(report)
sys.exit(importlib.import_module(module).main())
"""
#: For commands whose system calls are counted: what Python compiles for itself is none of them.
COUNTED = {"PYTHONDONTWRITEBYTECODE": "1"}
_MODULES = {"airgap-bundle": "airgap_bundler.cli", "airgap-import": "airgap_importer.cli"}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended and what it said.

    ``peak`` is its largest resident size in bytes, ``cpu`` the seconds it computed; None where
    that was not asked for or the process was killed.
    """

    code: int
    out: str
    err: str
    peak: int | None = None
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Shell:
    """Where commands run: a folder and variables over a clean environment.

    HOME is the folder, so no credentials and settings of this machine are found.
    """

    folder: Path
    variables: Mapping[str, str] | None = None

    def run(self, *command: str | Path, stdin: bytes = b"", measure: bool = False) -> Finished:
        """Run ``airgap-bundle …`` or ``airgap-import …`` to its end."""
        peak_file = self.folder / f".peak-{os.getpid()}"
        try:
            done = subprocess.run(
                self.command_line(*command, peak_file=peak_file if measure else None),
                cwd=self.folder,
                env=self.environment,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            TALLY.violate(Zero.CRASHED, f"{command} did not end")
            raise
        out, err = done.stdout.decode(), done.stderr.decode()
        TALLY.end(done.returncode, out, err)
        if not peak_file.exists():
            return Finished(done.returncode, out, err)
        peak, cpu = peak_file.read_text().split()
        peak_file.unlink()
        return Finished(done.returncode, out, err, int(peak) * 1024, float(cpu))

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a command and leave it running; the caller ends it and waits."""
        return subprocess.Popen(
            self.command_line(*command),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def command_line(self, *command: str | Path, peak_file: Path | None = None) -> Sequence[str]:
        """What to execute for a command by its user's name, with this Python."""
        name, *arguments = map(str, command)
        peak = str(peak_file) if peak_file else "-"
        return [sys.executable, "-c", _BOOTSTRAP, _MODULES[name], peak, name, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """All that a command sees of the machine."""
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "PYTHONPATH": _SOURCE_ROOTS,
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            **(self.variables or {}),
        }
