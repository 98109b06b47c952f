"""No adversarial case gets lost."""

from __future__ import annotations

import pytest

from support.cases import load_cases, proved_cases

_LIST = load_cases()


@pytest.mark.parametrize("group", _LIST.titles)
def test_every_case_has_a_test(group: str) -> None:
    buildable = {one.id for one in _LIST.cases if one.group == group and not one.not_built}
    assert sorted(buildable - proved_cases()) == []


def test_what_is_not_built_has_no_test() -> None:
    """Else it is built, and the list must say so."""
    assert sorted(proved_cases() & {case.id for case in _LIST.cases if case.not_built}) == []


def test_cases_stand_once_and_in_their_group() -> None:
    ids = [case.id for case in _LIST.cases]
    assert ids == sorted(set(ids), key=lambda id: ("ABCDEFGHKL".index(id[0]), id))
    assert {case.group for case in _LIST.cases} == set(_LIST.titles)
