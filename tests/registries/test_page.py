"""docs/registries.md is what the suite writes, and speaks of every kind that the importer knows."""

from __future__ import annotations

import http.client
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from airgap_importer.profiles import PROFILES
from airgap_importer.recognition import profile_of
from airgap_importer.registrykind import RegistryKind
from airgap_shared.stores.challenge import parse_challenges
from airgap_shared.stores.introduction import Introduction
from support.kinds.rows import ROWS, Column, Row, Server
from support.kinds.stage import MakeStage, rows
from support.registries_page import Cell, all_cells, compose_page

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "registries.md"


def test_the_page_has_a_row_for_every_profile() -> None:
    assert {row.kind.name for row in ROWS} == {kind.value for kind in PROFILES}


def test_the_page_is_the_one_that_a_green_run_writes() -> None:
    assert _PAGE.read_text() == compose_page(all_cells()), "run: make registries"


def test_every_cell_is_proven_by_some_test() -> None:
    assert all_cells() - set(_cells()) == set()


def _cells() -> Iterator[Cell]:
    """What the tests of this folder prove, as their marks say."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"registries.{path.stem}")
        for name, test in vars(module).items():
            marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
            if name.startswith("test_") and "column" in marks:
                for row in marks["parametrize"].args[1]:
                    yield from ((row.id, column.value) for column in marks["column"].args)


def test_what_does_not_apply_says_why() -> None:
    assert all(reason for row in ROWS for reason in row.absent.values())
    always = {Column.IMPORT, Column.AGAIN, Column.UPDATE, Column.SIGNATURES}
    assert [row.id for row in ROWS if always & row.absent.keys()] == []


def test_green_is_only_what_passed() -> None:
    some = frozenset({("ecr", "import"), ("zot", "signatures")})
    page = compose_page(some)
    assert page.count("✅") == 2
    line = re.findall(r"^\| Amazon ECR \* \| .*", page, re.MULTILINE)[0]
    assert line.startswith("| Amazon ECR * | ✅ | ❌ not proven |")


@rows(lambda row: row.server is not Server.TLS)
def test_a_kind_is_recognised_by_its_answer_or_has_to_be_named(
    make_stage: MakeStage, row: Row
) -> None:
    stage = make_stage(row)
    connection = http.client.HTTPConnection(stage.host, timeout=30)
    connection.request("GET", "/v2/")
    with connection.getresponse() as answer:
        headers = {name.lower(): value for name, value in answer.getheaders()}
        challenges = parse_challenges(answer.headers.get_all("WWW-Authenticate", []))
    connection.close()

    found = profile_of(stage.host, Introduction(answer.status, headers, challenges)).kind

    assert found == (row.kind.name if row.told else RegistryKind.DISTRIBUTION)
