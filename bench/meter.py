"""Run one command and measure it: ``meter.py RESULT [--until FOLDER BYTES] COMMAND...``.

A process of its own, and a small one: the kernel begins a child's peak of memory with that of the
process it was forked from, so that whoever measures must not be larger than what is measured.
RESULT gets one JSON object; the command's standard output and error pass through. With
``--until`` the command and its children are killed when so many bytes are on the disk in FOLDER.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

_SAMPLE = 0.05
_LOOK = 0.005
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512


def main() -> None:
    """Run, wait, write what it took."""
    result, *command = sys.argv[1:]
    folder, limit = "", 0
    if command[0] == "--until":
        folder, limit, command = command[1], int(command[2]), command[3:]
    ended = threading.Event()
    peak = [0]
    # What the step before left to be written would be paid for by whoever syncs next.
    os.sync()
    began = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, setpgroup=0)
    watchers = [threading.Thread(target=_sample, args=(pid, ended, peak))]
    if folder:
        watchers.append(threading.Thread(target=_stop, args=(pid, ended, folder, limit)))
    for watcher in watchers:
        watcher.start()
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    ended.set()
    for watcher in watchers:
        watcher.join()
    largest = usage.ru_maxrss * 1024
    with open(result, "w") as file:  # noqa: PTH123 - pathlib would make this process larger
        json.dump(
            {
                "status": os.waitstatus_to_exitcode(status),
                "wall": wall,
                "cpu": usage.ru_utime + usage.ru_stime,
                "largest": largest,
                "together": max(largest, peak[0]),
                "written": usage.ru_oublock * _BLOCK,
            },
            file,
        )


def _sample(pid: int, ended: threading.Event, peak: list[int]) -> None:
    """Find the most memory that the command and its children have at any moment."""
    while not ended.wait(_SAMPLE):
        peak[0] = max(peak[0], sum(map(_resident, _family(pid))))


def _stop(pid: int, ended: threading.Event, folder: str, limit: int) -> None:
    """Kill everything when enough is on the disk."""
    while not ended.wait(_LOOK):
        if used(folder) >= limit:
            os.killpg(pid, signal.SIGKILL)
            return


def _family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    found = [pid]
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
        for thread in threads:
            for child in _read(f"/proc/{pid}/task/{thread}/children").split():
                found += _family(int(child))
    except OSError:
        pass
    return found


def _resident(pid: int) -> int:
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123
        return file.read()


def used(folder: str) -> int:
    """The bytes that are on the disk below a folder: holes in files do not count."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * _BLOCK  # noqa: PTH118
            except OSError:
                continue
    return total


if __name__ == "__main__":
    main()
