"""A plugin of pytest that counts the adversarial cases; ``--scoreboard FILE`` runs just them.

Tests report by user properties, which reach the process that counts from every worker.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.cases import MARK, cases_in_node, load_cases
from support.registry_binary import registry_binary
from support.standing import Standing
from support.tally import TALLY, Tally, Zero

_FIGURE = "figure:"
_CASE, _ENDINGS, _STATES, _VIOLATION = "case", "judged:endings", "judged:states", "violation:"
_OPTION = "--scoreboard"
_STANDING = pytest.StashKey[Standing]()
_OUTCOMES = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION, metavar="FILE", help="run the tests of adversarial cases and write FILE about them"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(id, ...): the test proves these adversarial cases")
    config.stash[_STANDING] = Standing(load_cases())
    config.stash[_OUTCOMES] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell each test its cases; with ``--scoreboard``, leave the tests without a case out."""
    for item in items:
        item.user_properties += [(_CASE, case) for case in sorted(_cases_of(item))]
    if config.getoption(_OPTION):
        rest = [item for item in items if not _cases_of(item)]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if _cases_of(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what was judged into the report of the test."""
    item.user_properties += _properties(TALLY.drain())
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run, and write the page, if it is one of the scoreboard."""
    config = session.config
    page = config.getoption(_OPTION)
    if not page or hasattr(config, "workerinput"):
        return
    standing = config.stash[_STANDING]
    now = datetime.now(UTC)
    Path(page).write_text(standing.page(dict(_versions()), f"{now:%Y-%m-%d}"))
    if not standing.complete and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The scoreboard: a line about any run, and all of it about a run of its own."""
    standing = config.stash[_STANDING]
    if config.getoption(_OPTION):
        terminalreporter.section("scoreboard")
        terminalreporter.write_line(standing.text())
    elif standing.tests or any(standing.violations.values()):
        terminalreporter.write_line(f"adversarial cases: {standing.short()}")


class _Counting:
    """Counts reports, in the process that hears of all tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._standing = config.stash[_STANDING]
        self._outcomes = config.stash[_OUTCOMES]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The last report of a test tells everything; a worker that dies sends just one."""
        worst = _worse(self._outcomes.get(report.nodeid, ""), report.outcome)
        self._outcomes[report.nodeid] = worst
        if report.when in ("setup", "call"):
            return
        properties = report.user_properties
        cases = {str(value) for name, value in properties if name == _CASE}
        self._standing.add_test(cases | cases_in_node(report.nodeid), worst)
        for name, value in properties:
            if name.startswith(_FIGURE) and isinstance(value, int):
                self._standing.figures[name.removeprefix(_FIGURE)] += value
        self._standing.add_tally(_tally_of(properties))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Counting(session.config))


def _cases_of(item: pytest.Item) -> frozenset[str]:
    marked = {str(case) for mark in item.iter_markers(MARK) for case in mark.args}
    return cases_in_node(item.nodeid) | marked


def _worse(one: str, other: str) -> str:
    order = ("", "passed", "skipped", "failed")
    return max(one, other, key=order.index)


def _properties(tally: Tally) -> Iterator[tuple[str, object]]:
    if tally.endings:
        yield _ENDINGS, tally.endings
    if tally.states:
        yield _STATES, tally.states
    for zero, text in sorted(tally.violations):
        yield f"{_VIOLATION}{zero.name}", text


def _tally_of(properties: list[tuple[str, object]]) -> Tally:
    tally = Tally()
    for name, value in properties:
        if name == _ENDINGS and isinstance(value, int):
            tally.endings += value
        elif name == _STATES and isinstance(value, int):
            tally.states += value
        elif name.startswith(_VIOLATION):
            tally.violate(Zero[name.removeprefix(_VIOLATION)], str(value))
    return tally


def _versions() -> Iterator[tuple[str, str]]:
    """What the run was made with; no name of a machine or folder."""
    yield "Python", platform.python_version()
    yield "docker-registry", _version_in([str(registry_binary()), "--version"])
    if kubectl := shutil.which("kubectl"):
        yield "kubectl", _version_in([kubectl, "version", "--client"])


def _version_in(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"v?(\d+\.\d+[^\s]*)", done.stdout)
    return found[1] if found else "of unknown version"
