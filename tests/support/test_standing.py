"""What counts as a passed case, and what the scoreboard says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.cases import Case, CaseList, cases_in_node
from support.standing import Outcome, Standing
from support.tally import Tally, Zero, crashes

_LIST = CaseList(
    (Case("A01", "one"), Case("A02", "two"), Case("B01", "three")), {"A": "First", "B": "Second"}
)


@pytest.fixture
def standing() -> Standing:
    """Every case passes."""
    standing = Standing(_LIST)
    standing.add_test(["A01", "A02"], "passed")
    standing.add_test(["B01"], "passed")
    return standing


@pytest.mark.parametrize(
    ("node", "cases"),
    [
        ("tests/a.py::test_b05_more[A01]", {"B05"}),
        ("tests/a.py::TestB05::test_a01_and_this", {"A01", "B05"}),
        ("tests/a.py::TestB05B06::test_it", {"B05", "B06"}),
        ("tests/a.py::test_b05_c06_both", {"B05", "C06"}),
        ("tests/test_b05_file.py::test_it", set()),
        ("tests/a.py::TestBase::test_b5_it", set()),
    ],
)
def test_names_tell_cases(node: str, cases: set[str]) -> None:
    assert cases_in_node(node) == cases


def test_everything_passed_is_complete(standing: Standing) -> None:
    assert standing.complete
    assert [*standing.groups()] == [("A", "First", 2, 2), ("B", "Second", 1, 1)]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("failed", Outcome.FAILED), ("skipped", Outcome.SKIPPED)]
)
def test_one_bad_test_spoils_a_case(standing: Standing, outcome: str, expected: Outcome) -> None:
    standing.add_test(["A02"], outcome)
    assert not standing.complete
    assert [(case.id, how) for case, how in standing.open_cases()] == [("A02", expected)]
    assert [passed for _, _, passed, _ in standing.groups()] == [1, 1]


def test_a_case_without_a_test_is_missing(standing: Standing) -> None:
    del standing.tests["B01"]
    assert not standing.complete
    assert "B01 no test" in standing.text()


def test_what_is_not_built_does_not_pass(standing: Standing) -> None:
    cases = (*_LIST.cases[:2], replace(_LIST.cases[2], not_built="later"))
    standing.list = CaseList(cases, _LIST.titles)
    assert not standing.complete
    assert "not built yet: later" in standing.page({}, "today")


def test_a_violation_spoils_the_run(standing: Standing) -> None:
    tally = Tally()
    tally.violate(Zero.CHANGED, "a tag")
    standing.add_tally(tally)
    assert not standing.complete
    assert "| tags or overlays changed by a failed run | 1 |" in standing.page({}, "today")


@pytest.mark.parametrize(
    ("code", "err", "crashed"),
    [
        (0, "", False),
        (10, "error: NotABundle: x", False),
        (143, "error: Interrupted: x", False),
        (1, "error: InternalError: x", True),
        (10, "Traceback (most recent call last)", True),
        (-11, "", True),
        (139, "", True),
    ],
)
def test_crashes_are_seen(code: int, err: str, crashed: bool) -> None:
    assert any(crashes(code, "", err)) == crashed
