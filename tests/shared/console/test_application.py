"""What is refused before a command begins: options that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.in_process import run_here
from support.journey import refused, succeeded

UNREADABLE = [
    ("verify", "x", "--jobs", "65"),
    ("verify", "x", "--no-such-option"),
    ("verify",),
    ("no-such-command",),
    ("verify", "x", "--format", "yaml"),
    ("trust", "sign"),
]


@pytest.mark.parametrize("command", UNREADABLE)
def test_options_that_cannot_be_read_are_told_as_every_failure(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = refused(run_here(tmp_path, "airgap-import", *command), 2, "UsageError")
    usage, line = done.err.splitlines()
    assert usage.startswith("Usage: airgap-import ")
    assert line.startswith("error: UsageError: ")
    assert "--help" in line
    assert done.out == ""


@pytest.mark.parametrize("form", [("--format", "json"), ("--format=json",)])
@pytest.mark.parametrize("command", [("verify", "x", "--jobs", "65"), ("verify",)])
def test_programs_get_an_object_for_them_too(
    tmp_path: Path, command: tuple[str, ...], form: tuple[str, ...]
) -> None:
    done = refused(run_here(tmp_path, "airgap-import", *command, *form), 2, "UsageError")
    error = json.loads(done.out)["error"]
    assert (error["name"], error["exitCode"]) == ("UsageError", 2)
    assert error["what"] in done.err


def test_what_comes_after_the_options_is_no_option(tmp_path: Path) -> None:
    command = ("verify", "--jobs", "65", "--", "--format", "json")
    assert refused(run_here(tmp_path, "airgap-import", *command), 2, "UsageError").out == ""


def test_an_option_is_shown_without_what_terminals_act_on(tmp_path: Path) -> None:
    done = run_here(tmp_path, "airgap-import", "verify", "--\x1b[31mred\nerror: DiskFull: x")
    assert len(refused(done, 2, "UsageError").err.splitlines()) == 2
    assert "\x1b" not in done.err


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_was_only_asked_is_no_failure(tmp_path: Path, option: str) -> None:
    assert succeeded(run_here(tmp_path, "airgap-import", option)).out
