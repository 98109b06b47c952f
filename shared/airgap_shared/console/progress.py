"""Progress on standard error: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

from airgap_shared.console.streams import Unheard
from airgap_shared.console.text import byte_size, printable
from airgap_shared.stores.progress import NoProgress, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_LINE_INTERVAL = 10.0


def open_progress(stream: TextIO, terminal: bool) -> Progress:
    """The kind of progress that fits: bars or lines, for as long as somebody looks."""
    heard = cast(TextIO, Unheard(stream))
    return BarProgress(heard) if terminal else LineProgress(heard)


class QuietProgress(NoProgress):
    """Only notes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class LineProgress(QuietProgress):
    """A line when a task ends, and every ten seconds while it lasts."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._lock = threading.Lock()
        self._task = self._unit = ""
        self._total = self._done = 0
        self._started = self._spoken = 0.0

    def begin(self, task: str, total: int, unit: str) -> None:
        with self._lock:
            self._task, self._total, self._unit, self._done = task, total, unit, 0
            self._started = self._spoken = self._clock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = self._clock()
            if now - self._spoken >= _LINE_INTERVAL:
                self._spoken = now
                self.note(f"{self._task}: {self._state()}")

    def end(self) -> None:
        with self._lock:
            if self._task and self._total:
                self.note(f"{self._task}: {self._state()}{self._rate()}")
            self._task = ""

    def _state(self) -> str:
        if self._unit == "bytes":
            return f"{byte_size(self._done)} of {byte_size(self._total)}"
        return f"{self._done} of {self._total} {self._unit}"

    def _rate(self) -> str:
        seconds = self._clock() - self._started
        if self._unit != "bytes" or seconds < 1:
            return ""
        return f" in {seconds:.0f} s, {byte_size(int(self._done / seconds))}/s"


class BarProgress(QuietProgress):
    """A bar for the running task, drawn by rich (which honours NO_COLOR and TERM)."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None

    def begin(self, task: str, total: int, unit: str) -> None:
        from rich import progress
        from rich.console import Console

        columns: list[progress.ProgressColumn] = [
            progress.TextColumn("{task.description:<14}", markup=False),
            progress.BarColumn(),
        ]
        if unit == "bytes":
            columns += [
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
            ]
        else:
            columns += [progress.MofNCompleteColumn(), progress.TextColumn(unit, markup=False)]
        self._bars = progress.Progress(*columns, console=Console(file=self._stream))
        self._task = self._bars.add_task(task, total=total)
        self._bars.start()

    def advance(self, amount: int) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, amount)

    def end(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None

    def note(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
        else:
            super().note(text)
