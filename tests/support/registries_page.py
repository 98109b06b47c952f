"""A plugin of pytest that proves docs/registries.md; ``--registries-page=FILE`` writes it.

A test says by ``@column(...)`` what it proves, and by its parameter ``row`` about which kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.kinds.rows import ROWS, Column, Row

_OPTION = "--registries-page"
_MARK, _CELL = "column", "registry cell"
_STANDING = pytest.StashKey["Cells"]()

Cell = tuple[str, str]

_HEAD = """\
# Registries

How imports into each kind of registry go. The table is written by the tests (`make registries`):
the same suite runs against every kind. A cell is green when all its tests passed; where something
does not apply, the cell says why.

distribution is the real one. **The kinds marked * are behaviour-tested, and were never tried
live**: each is a real docker-registry behind a proxy that refuses and answers as that kind does,
with its challenges, tokens, error codes and texts, as its source, its documentation or reports of
its users show them (`tests/support/kinds/table.py` names them).
"""

_FOOT = """\

* *import*: every blob, manifest and tag arrives, byte for byte the same in all kinds, and no
  request is refused on the way.
* *re-import*: not a single request about a blob, and nothing written.
* *update with a changed tag*: only what is new is sent; what was there stays.
* *signatures*: they come along, listed by the registry or under the tag that clients look for.
* *creation*: what has to exist first is made by `--create-repositories` (ECR, Harbor, Quay), or
  asked for in one message, command by command; "by the push": nothing has to.
* *wrong password*: told by the first answer, exit 21; nothing is sent and nothing tried twice.
* *no push right*: every repository that refuses is named, exit 21; nothing is sent. The open
  registry is read-only then, exit 22.
* *token expiry mid-run*: the import goes on with new ones. Passwords that end (ECR's live twelve
  hours) are had anew from a credential helper or by access keys; given by hand, they end it.

## What each kind needs from its admin

| registry | what to ask for |
|---|---|
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION, metavar="FILE", help="run the suite of all registries and write FILE about it"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARK}(column, ...): the test proves these columns of docs/registries.md"
    )
    config.stash[_STANDING] = Cells()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell each test its cells; for the page, leave the tests without any out."""
    for item in items:
        item.user_properties += [(_CELL, list(cell)) for cell in _cells_of(item)]
    if config.getoption(_OPTION):
        rest = [item for item in items if not _cells_of(item)]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if _cells_of(item)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page, and fail the run if a cell is not green."""
    config = session.config
    page = config.getoption(_OPTION)
    if not page or hasattr(config, "workerinput"):
        return
    cells = config.stash[_STANDING]
    Path(page).write_text(compose_page(cells.passed))
    if cells.missing() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.getoption(_OPTION):
        missing = config.stash[_STANDING].missing()
        lines = [f"not proven: {row}, {column}" for row, column in missing]
        terminalreporter.section("registries")
        terminalreporter.write_line("\n".join(lines) or "every cell is green")


class Cells:
    """What was proven so far, in the process that hears of all tests."""

    def __init__(self) -> None:
        self._outcomes: dict[Cell, bool] = {}

    @property
    def passed(self) -> frozenset[Cell]:
        """The cells all of whose tests passed."""
        return frozenset(cell for cell, good in self._outcomes.items() if good)

    def missing(self) -> list[Cell]:
        """The cells that apply and are not green."""
        return sorted(all_cells() - self.passed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == _CELL and isinstance(value, list):
                cell = (str(value[0]), str(value[1]))
                self._outcomes[cell] = self._outcomes.get(cell, True) and report.passed


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(session.config.stash[_STANDING])


def all_cells() -> frozenset[Cell]:
    """The cells that have to be proven."""
    return frozenset(
        (row.id, column.value) for row in ROWS for column in Column if column not in row.absent
    )


def compose_page(passed: frozenset[Cell]) -> str:
    """The page, given the cells that are green."""
    titles = " | ".join(column.value for column in Column)
    lines = [_HEAD, f"| registry | {titles} |", "|---" * (len(Column) + 1) + "|"]
    lines += [_line(row, passed) for row in ROWS]
    needs = [f"| {_title(row)} | {row.admin} |" for row in ROWS]
    return "\n".join(lines) + "\n" + _FOOT + "\n".join(needs) + "\n"


def _line(row: Row, passed: frozenset[Cell]) -> str:
    cells = " | ".join(_cell(row, column, passed) for column in Column)
    return f"| {_title(row)} | {cells} |"


def _cell(row: Row, column: Column, passed: frozenset[Cell]) -> str:
    if column in row.absent:
        return row.absent[column]
    return "✅" if (row.id, column.value) in passed else "❌ not proven"


def _title(row: Row) -> str:
    return f"{row.title} *" if row.imitated else row.title


def _cells_of(item: pytest.Item) -> list[Cell]:
    """What a test proves when it passes."""
    row = _parameters(item).get("row")
    columns = [one for mark in item.iter_markers(_MARK) for one in mark.args]
    return [(row.id, one.value) for one in columns] if isinstance(row, Row) else []


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    spec = getattr(item, "callspec", None)
    return {} if spec is None else dict(spec.params)
