"""What was once found stays found, and good and slightly wrong inputs do no harm either."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType

import pytest

from fuzz.target import Target, try_out
from fuzz.targets import FINDINGS, NAMES, kept_findings, load_target
from support.budget import budget
from support.garbling import Garbler

_CHANGED = budget(60, 3000)
#: They refuse nothing, and leave out what they cannot read.
_LENIENT = ("challenge", "retry-after", "complaint", "bundle-head", "kept-content")
#: Of CPU, not of the clock: a guard against inputs that never end, far above what any takes.
_SECONDS = 20.0


@contextmanager
def _guarded() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"an input takes over {_SECONDS} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _changed(target: Target, seeds: list[bytes], number: int) -> bytes:
    random = Random(number)  # noqa: S311 - repeatable on purpose
    garbler, seed = Garbler(random), random.choice(seeds)
    for _ in range(random.randint(1, 4)):
        mutate = target.mutate
        seed = (
            garbler.bytes_like(seed) if mutate is None else mutate(seed, random, garbler.bytes_like)
        )
    return seed[: target.longest]


@pytest.mark.parametrize("name", NAMES)
def test_l03_no_target_fails(name: str, figure: Callable[[str, int], None]) -> None:
    target = load_target(name)
    seeds = list(target.seeds())
    kept = [path.read_bytes() for path in kept_findings(name)]
    for data in (*seeds, *kept):
        with _guarded():
            try_out(target, data)
    refused = 0
    for number in range(_CHANGED):
        data = _changed(target, seeds, number)
        with _guarded():
            refused += bool(try_out(target, data))
    assert refused or name in _LENIENT
    figure("inputs fed to fuzz targets", len(seeds) + len(kept) + _CHANGED)


def test_l03_every_finding_belongs_to_a_target() -> None:
    folders = FINDINGS.iterdir() if FINDINGS.is_dir() else ()
    assert {folder.name for folder in folders} <= set(NAMES)


def test_l03_a_broken_promise_is_a_finding() -> None:
    def feed(data: bytes) -> None:
        assert b"\x00" not in data

    target = Target(feed, lambda: [b"x"])
    assert try_out(target, b"y") == ""
    with pytest.raises(AssertionError):
        try_out(target, b"\x00")
