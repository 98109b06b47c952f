from __future__ import annotations

import io
import threading

import pytest

from airgap_shared.console.progress import (
    BarProgress,
    LineProgress,
    QuietProgress,
    open_progress,
)
from airgap_shared.stores.progress import NoProgress, counted


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(stream: io.StringIO, clock: Clock) -> LineProgress:
    return LineProgress(stream, clock)


def test_a_line_is_written_when_a_task_ends(
    lines: LineProgress, stream: io.StringIO, clock: Clock
) -> None:
    lines.begin("bundle", 2_000_000, "bytes")
    lines.advance(1_500_000)
    assert stream.getvalue() == ""
    clock.now += 2
    lines.advance(500_000)
    lines.end()
    assert stream.getvalue() == "bundle: 2 MB of 2 MB in 2 s, 1 MB/s\n"


def test_a_line_is_written_every_ten_seconds(
    lines: LineProgress, stream: io.StringIO, clock: Clock
) -> None:
    lines.begin("push", 100, "images")
    for _ in range(4):
        clock.now += 5
        lines.advance(10)
    assert stream.getvalue() == "push: 20 of 100 images\npush: 40 of 100 images\n"


def test_a_short_task_has_no_rate(lines: LineProgress, stream: io.StringIO) -> None:
    lines.begin("bundle", 10, "bytes")
    lines.advance(10)
    lines.end()
    lines.end()
    assert stream.getvalue() == "bundle: 10 B of 10 B\n"


def test_a_task_with_nothing_to_do_says_nothing(lines: LineProgress, stream: io.StringIO) -> None:
    lines.begin("bundle", 0, "bytes")
    lines.end()
    assert stream.getvalue() == ""


def test_the_next_task_starts_from_nothing(lines: LineProgress, stream: io.StringIO) -> None:
    for _ in range(2):
        lines.begin("verify", 5, "files")
        lines.advance(5)
        lines.end()
    assert stream.getvalue() == "verify: 5 of 5 files\n" * 2


def test_several_threads_advance_together(lines: LineProgress, stream: io.StringIO) -> None:
    lines.begin("verify", 8000, "pieces")

    def advance() -> None:
        for _ in range(1000):
            lines.advance(1)

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines.end()
    assert stream.getvalue() == "verify: 8000 of 8000 pieces\n"


@pytest.mark.parametrize("kind", [QuietProgress, LineProgress, BarProgress])
def test_notes_are_safe_on_a_terminal(kind: type[QuietProgress], stream: io.StringIO) -> None:
    progress = kind(stream)
    progress.note("warning: \x1b[31m[bold]x[/bold]")
    assert stream.getvalue() == "warning: \\x1b[31m[bold]x[/bold]\n"


def test_bars_are_drawn_and_notes_stand_between_them(stream: io.StringIO) -> None:
    bars = BarProgress(stream)
    for unit in ("bytes", "images"):
        bars.begin("[red]task", 10, unit)
        bars.advance(4)
        bars.note("note: \x1b[31m[bold]x[/bold]")
        bars.end()
    bars.advance(1)
    bars.end()
    shown = stream.getvalue()
    assert shown.count("note: \\x1b[31m[bold]x[/bold]\n") == 2
    assert "[red]task" in shown


@pytest.mark.parametrize(
    ("terminal", "kind"),
    [(True, BarProgress), (False, LineProgress)],
)
def test_the_kind_that_fits(stream: io.StringIO, terminal: bool, kind: type[QuietProgress]) -> None:
    assert type(open_progress(stream, terminal)) is kind


def test_quiet_progress_says_nothing_but_notes(stream: io.StringIO) -> None:
    progress = QuietProgress(stream)
    progress.begin("task", 10, "bytes")
    progress.advance(10)
    progress.end()
    assert stream.getvalue() == ""


def test_content_is_counted_when_it_was_used() -> None:
    class Sum(NoProgress):
        done = 0

        def advance(self, amount: int) -> None:
            self.done += amount

    progress = Sum()
    chunks = counted([b"one", b"", b"three"], progress)
    assert next(chunks) == b"one"
    assert progress.done == 0
    assert b"".join(chunks) == b"three"
    assert progress.done == 8
