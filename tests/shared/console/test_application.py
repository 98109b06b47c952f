"""What is refused before a command begins: options that cannot be read."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer import Typer
from typer._click.core import Command, Parameter
from typer.core import TyperGroup, TyperOption
from typer.main import get_command
from typer.models import TyperPath

import airgap_bundler.cli
import airgap_importer.cli
from support.commands import Finished, Shell
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


def _piped(folder: Path, options: tuple[str, ...], ending: str) -> Finished:
    """A command as a line of a shell with this at its end."""
    shell = Shell(folder)
    line = f"set -o pipefail; {shlex.join(shell.command_line('airgap-import', *options))} {ending}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("options", [("--help",), ("--version",), ("trust", "show", "--help")])
def test_what_was_only_asked_and_nobody_reads_is_no_failure(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    # What reads nothing is gone before anything is written.
    done = succeeded(_piped(tmp_path, options, "| true"))
    assert done.err == ""


@pytest.mark.parametrize("options", [("--help",), ("--version",), ("trust", "show", "--help")])
def test_what_was_only_asked_and_finds_no_room_is_told(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = refused(_piped(tmp_path, options, "> /dev/full"), 30, "OutputNotWritable")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("options", [(), ("trust",), ("bogus",), ("verify", "x", "--jobs", "65")])
def test_a_refusal_that_cannot_be_told_keeps_its_code(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert _piped(tmp_path, options, "2> /dev/full").code == 2


def _commands(path: tuple[str, ...], command: Command) -> Iterator[tuple[tuple[str, ...], Command]]:
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from _commands((*path, name), below)
    else:
        yield path, command


def _values() -> Iterator[tuple[tuple[str, ...], Parameter]]:
    """Every option and argument that takes a text or a path."""
    for name, application in (
        ("airgap-bundle", airgap_bundler.cli.app),
        ("airgap-import", airgap_importer.cli.app),
    ):
        for path, command in _commands((name,), get_command(application)):
            for parameter in command.params:
                if isinstance(parameter.type, TyperPath) or parameter.type.name == "text":
                    yield path, parameter


VALUES = list(_values())


@pytest.mark.parametrize("application", [airgap_bundler.cli.app, airgap_importer.cli.app])
def test_whether_files_can_be_read_is_tried_by_whoever_reads_them(
    application: Typer,
) -> None:
    """The parser has one error for all of them, and one exit code."""
    command = get_command(application)
    with pytest.raises(SystemExit):
        command(["--version"])
    tried = [one.type for _, below in _commands((), command) for one in below.params]
    files = [kind for kind in tried if isinstance(kind, TyperPath)]
    assert len(files) > 5
    assert not any(kind.readable or kind.exists for kind in files)


def _given(parameter: Parameter, value: str) -> tuple[str, ...]:
    if isinstance(parameter, TyperOption):
        return (f"{parameter.opts[0]}={value}",)
    return ("--", value)


@pytest.mark.parametrize(
    ("path", "parameter"), VALUES, ids=[f"{' '.join(path)} {one.name}" for path, one in VALUES]
)
def test_nothing_is_no_value(tmp_path: Path, path: tuple[str, ...], parameter: Parameter) -> None:
    if parameter.opts[0] in ("--image-namespace", "--owner"):
        return
    done = refused(run_here(tmp_path, *path, *_given(parameter, "")), 2, "UsageError")
    assert "is empty: give a value" in done.err or "Missing" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--app", "--now"])
def test_a_text_is_utf_8(tmp_path: Path, option: str) -> None:
    odd = b"\xff".decode(errors="surrogateescape")
    done = refused(run_here(tmp_path, "airgap-import", "verify", "x", option, odd), 2, "UsageError")
    assert f"{option} is not UTF-8 text" in done.err


def test_the_name_of_a_file_may_be_any_bytes(tmp_path: Path) -> None:
    odd = b"\xff".decode(errors="surrogateescape")
    (tmp_path / odd).mkdir()
    done = run_here(tmp_path, "airgap-import", "status", "--state-dir", f"{odd}/state")
    succeeded(done)
    refused(run_here(tmp_path, "airgap-import", "inspect", odd), 30, "MediaReadError")
