from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airgap_bundler.composing import compose_contents
from airgap_shared.bundle.statement import Member, Release, Role, parse_statement
from airgap_shared.errors import StatementInvalid
from airgap_shared.kube.objects import ManifestFile

TIME = datetime(2026, 1, 1, tzinfo=UTC)
RELEASE = Release("shop", "1", "stable", 1, TIME, TIME, "test")
FILES = [ManifestFile("app.yaml", b"a: b\n")]


def members(rules: bytes) -> list[tuple[Role, str]]:
    contents = compose_contents(FILES, b"{}", (), {}, rules)
    statement = contents.statement(RELEASE, ("linux/amd64",))
    assert parse_statement(statement.to_json()) == statement
    assert rules == contents.content.get("application/rules.yaml", b"")
    return [(member.role, member.path) for member in statement.members]


def test_rules_travel_behind_the_inventory() -> None:
    assert members(b"format: 1\n")[2:5] == [
        (Role.INVENTORY, "application/inventory.json"),
        (Role.RULES, "application/rules.yaml"),
        (Role.APPLICATION, "application/upstream/app.yaml"),
    ]


def test_a_bundle_without_rules_has_no_such_member() -> None:
    assert Role.RULES not in [role for role, _ in members(b"")]


@pytest.mark.parametrize("path", ["application/other.yaml", "application/rules.yaml"])
def test_there_are_rules_at_one_place_only(path: str) -> None:
    statement = compose_contents(FILES, b"{}", (), {}, b"x").statement(RELEASE, ())
    rules = next(member for member in statement.members if member.role is Role.RULES)
    other = Member(path, rules.size, rules.digest, Role.RULES)
    wrong = replace(statement, members=(*statement.members[:4], other, *statement.members[4:]))
    with pytest.raises(StatementInvalid):
        parse_statement(wrong.to_json())
