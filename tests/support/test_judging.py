"""The judge can find against somebody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support import judging
from support.commands import Finished
from support.judging import Scene, judge_cost, judge_ending, judge_failure, judge_success
from support.registry_storage import RegistryStorage, Snapshot
from support.tally import Tally, Zero

_REFUSED = Finished(10, "", "error: NotABundle: it is none\n")
_DONE = Finished(0, "done", "")
_BEFORE = Scene(
    Snapshot({"sha256:a": "sha256:a"}, frozenset(), frozenset(), {("shop", "1"): "sha256:a"}),
    {"base/app.yaml": b"old"},
    {"state.json": b"{}"},
)


@pytest.fixture(autouse=True)
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """What is found here is counted here, not in the run."""
    tally = Tally()
    monkeypatch.setattr(judging, "TALLY", tally)
    return tally


def _with_blob(named: str, real: str) -> Scene:
    blobs = {**_BEFORE.registry.blobs, named: real}
    return replace(_BEFORE, registry=replace(_BEFORE.registry, blobs=blobs))


def _found(tally: Tally) -> set[Zero]:
    return {zero for zero, _ in tally.violations}


def test_nothing_changed_is_right(tally: Tally) -> None:
    judge_failure(_REFUSED, _BEFORE, _BEFORE)
    judge_failure(_REFUSED, _BEFORE, _with_blob("sha256:b", "sha256:b"), signed={"sha256:b"})
    judge_success(_DONE, _BEFORE, _with_blob("sha256:b", "sha256:b"), signed={"sha256:b"})
    assert tally.states == 3
    assert _found(tally) == set()


@pytest.mark.parametrize(
    ("after", "zero"),
    [
        (_with_blob("sha256:b", "sha256:b"), Zero.UNVERIFIED),
        (_with_blob("sha256:c", "sha256:b"), Zero.UNVERIFIED),
        (replace(_BEFORE, overlay={"base/app.yaml": b"new"}), Zero.CHANGED),
        (replace(_BEFORE, overlay={}), Zero.CHANGED),
        (replace(_BEFORE, state={"state.json": b"[]"}), Zero.CHANGED),
        (
            replace(_BEFORE, registry=replace(_BEFORE.registry, tags={("shop", "1"): "sha256:b"})),
            Zero.CHANGED,
        ),
    ],
)
def test_a_failed_run_that_changed_something_is_counted(
    tally: Tally, after: Scene, zero: Zero
) -> None:
    with pytest.raises(AssertionError):
        judge_failure(_REFUSED, _BEFORE, after, signed={"sha256:c"})
    assert _found(tally) == {zero}


def test_a_run_that_succeeded_with_a_stranger_is_counted(tally: Tally) -> None:
    with pytest.raises(AssertionError):
        judge_success(_DONE, _BEFORE, _with_blob("sha256:b", "sha256:b"), signed={"sha256:c"})
    assert _found(tally) == {Zero.UNVERIFIED}


def test_keep_tags_may_stay_of_a_late_failure() -> None:
    tags = {**_BEFORE.registry.tags, ("shop", "airgap-aa"): "sha256:a"}
    after = replace(_BEFORE, registry=replace(_BEFORE.registry, tags=tags))
    judge_failure(_REFUSED, _BEFORE, after, late=True)
    with pytest.raises(AssertionError):
        judge_failure(_REFUSED, _BEFORE, after)


@pytest.mark.parametrize(
    "done",
    [
        Finished(1, "", "error: InternalError: x"),
        Finished(-11, "", ""),
        Finished(10, "", "Traceback (most recent call last)"),
    ],
)
def test_crashes_are_counted(tally: Tally, done: Finished) -> None:
    with pytest.raises(AssertionError):
        judge_ending(done)
    assert _found(tally) == {Zero.CRASHED}


@pytest.mark.parametrize(
    "done",
    [Finished(11, "", "error: NotABundle: x"), Finished(10, "", "it failed"), Finished(99, "", "")],
)
def test_ends_that_do_not_fit_the_documentation_are_no_ends(done: Finished) -> None:
    with pytest.raises(AssertionError):
        judge_ending(done)


@pytest.mark.parametrize(("peak", "cpu"), [(300_000_000, 1.0), (1, 11.0), (None, None)])
def test_cost_is_bounded(peak: int | None, cpu: float | None) -> None:
    with pytest.raises(AssertionError):
        judge_cost(replace(_DONE, peak=peak, cpu=cpu))


def test_what_apply_leaves_in_any_case_is_no_overlay(tmp_path: Path) -> None:
    storage = RegistryStorage(tmp_path / "storage")
    overlay = tmp_path / "deploy"
    (overlay / ".airgap" / "staged" / "base").mkdir(parents=True)
    (overlay / ".airgap" / "marker.json").touch()
    assert Scene.of(storage, overlay).overlay == {}
    (overlay / "base").mkdir()
    (overlay / ".airgap" / "receipt.json").touch()
    assert set(Scene.of(storage, overlay).overlay) == {"base", ".airgap/receipt.json"}
