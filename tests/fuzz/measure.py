"""What inputs really cost: one target in a process without instrumentation. Started by run.py.

Prints one JSON line: seconds of CPU of the slowest input, the peak size of the process in bytes,
how many inputs, and for a failure its text and the input's path.
"""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / name) for name in ("shared", "bundler", "importer", "tests")]

from fuzz.target import try_out  # noqa: E402
from fuzz.targets import load_target  # noqa: E402


def measure(name: str, folders: list[str]) -> dict[str, object]:
    """Feed every file of some folders, or single files."""
    target = load_target(name)
    for seed in target.seeds():
        try_out(target, seed)
    paths = [path for folder in folders for path in _files(Path(folder))]
    slowest, which, failed, failure = 0.0, "", "", ""
    for path in paths:
        data = path.read_bytes()
        began = time.process_time()
        try:
            try_out(target, data)
        except Exception:
            failed, failure = str(path), traceback.format_exc()
        spent = time.process_time() - began
        if spent > slowest:
            slowest, which = spent, str(path)
    return {
        "inputs": len(paths),
        "slowest": round(slowest, 3),
        "slow": which,
        "peak": _peak(),
        "failed": failed,
        "failure": failure,
    }


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], sys.argv[2:])) + "\n")
