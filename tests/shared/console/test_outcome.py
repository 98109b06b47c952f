from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import airgap_bundler
import airgap_importer
import airgap_shared
from airgap_shared.console.outcome import (
    Format,
    command,
    describe,
    print_result,
    to_document,
)
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    Interrupted,
    UsageError,
)
from airgap_shared.oci.digest import Digest

_DOCUMENTED = Path(__file__).parents[3] / "docs" / "exit-codes.md"


def leaves(kind: type[AirgapError] = AirgapError) -> Iterator[type[AirgapError]]:
    """Every error class of all packages."""
    for below in kind.__subclasses__():
        yield below
        yield from leaves(below)


def all_errors() -> set[type[AirgapError]]:
    for package in (airgap_shared, airgap_bundler, airgap_importer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return set(leaves())


def documented() -> dict[str, int]:
    """Names and codes of docs/exit-codes.md."""
    found: dict[str, int] = {}
    for line in _DOCUMENTED.read_text().splitlines():
        if match := re.match(r"\| (\d+)[, |]", line):
            for name in re.findall(r"`([A-Z]\w+)`", line.rpartition("|")[0].rpartition("|")[2]):
                found[name] = int(match[1])
    return found


#: Groups, which are never raised themselves.
GROUPS = {
    *("BundleFormatError", "SignatureError", "IntegrityError", "ContentRefused"),
    *("RegistryError", "RegistryAuthError", "RegistryIntegrityError", "RegistryUnsafe"),
    *("LocalError", "SourceError", "PolicyError"),
}


def test_every_error_has_the_exit_code_that_is_documented() -> None:
    codes = {kind.__name__: kind.exit_code for kind in all_errors()}
    names = set(codes) - GROUPS
    assert {name: codes[name] for name in names} == {
        name: code for name, code in documented().items() if name in names
    }
    assert set(documented()) == names


def test_groups_have_leaves() -> None:
    for kind in all_errors():
        assert (kind.__name__ in GROUPS) <= bool(kind.__subclasses__())


def test_every_error_says_what_it_is() -> None:
    for kind in all_errors():
        assert kind.__doc__
        problem = kind("what happened", where="there", changed="nothing", next_step="go home")
        assert problem.name == kind.__name__
        assert str(problem) == "what happened (there)"


FULL = DigestMismatch(
    "content differs",
    where="blobs/x",
    changed="nothing was changed",
    next_step="copy it again",
    details=["one", "two"],
)


def test_a_failure_is_one_line_and_its_details() -> None:
    assert describe(FULL) == (
        "error: DigestMismatch: content differs (blobs/x) – nothing was changed – copy it again\n"
        "  one\n"
        "  two"
    )
    assert describe(UsageError("no")) == "error: UsageError: no"


def test_a_failure_cannot_forge_lines_or_colours() -> None:
    nasty = "a\nerror: Fake: b\r\x1b[2J\u202e"
    problem = DigestMismatch(nasty, where=nasty, changed=nasty, next_step=nasty, details=[nasty])
    lines = describe(problem).split("\n")
    assert len(lines) == 2
    assert lines[1].startswith("  a error: Fake")
    assert all(character.isprintable() for line in lines for character in line)


def test_a_failure_is_bounded() -> None:
    endless = "x" * 100_000
    problem = DigestMismatch(endless, where=endless, details=[endless])
    assert len(describe(problem)) < 5000


def test_every_error_has_a_next_step_of_its_own_or_its_group() -> None:
    for kind in all_errors():
        assert kind is AirgapError or kind.advice != AirgapError.advice, kind
        assert 0 < len(kind.advice) < 80 and not kind.advice.endswith("."), kind


@pytest.mark.parametrize("form", Format)
def test_every_error_names_what_was_changed_and_the_next_step(
    capsys: pytest.CaptureFixture[str], form: Format
) -> None:
    for kind in all_errors() - {AirgapError}:
        assert run(kind("what", where="there"), form, "nothing was changed") == kind.exit_code
        out, err = capsys.readouterr()
        told = f"error: {kind.__name__}: what (there) – nothing was changed – {kind.advice}\n"
        assert err == told
        if form is Format.JSON:
            error = json.loads(out)["error"]
            assert (error["changed"], error["nextStep"]) == ("nothing was changed", kind.advice)


def test_what_an_error_says_itself_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FULL, changed="nothing was written") == 13
    assert capsys.readouterr().err == f"{describe(FULL)}\n"


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), KeyError("x")], ids=["signal", "fault"])
def test_what_comes_at_any_moment_is_no_proof_that_nothing_was_changed(
    capsys: pytest.CaptureFixture[str], stop: BaseException
) -> None:
    run(stop, changed="nothing was written")
    assert "nothing" not in capsys.readouterr().err
    run(stop, changed="nothing was changed", always=True)
    assert " – nothing was changed – " in capsys.readouterr().err


def test_a_failure_for_machines() -> None:
    assert to_document(FULL, 13) == {
        "name": "DigestMismatch",
        "exitCode": 13,
        "what": "content differs",
        "where": "blobs/x",
        "changed": "nothing was changed",
        "nextStep": "copy it again",
        "details": ["one", "two"],
    }


def test_what_is_said_already_stays() -> None:
    problem = UsageError("no", next_step="first")
    problem.explain(where="there", changed="nothing", next_step="second")
    assert (problem.where, problem.changed, problem.next_step) == ("there", "nothing", "first")


def run(
    problem: BaseException | None,
    form: Format = Format.TEXT,
    changed: str = "",
    always: bool = False,
) -> object:
    try:
        with command(form, changed, always):
            if problem is not None:
                raise problem
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(autouse=True)
def no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRGAP_DEBUG", raising=False)


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (None, 0, ""),
        (FULL, 13, "error: DigestMismatch: content differs"),
        (UsageError("no"), 2, "error: UsageError: no"),
        (KeyboardInterrupt(), 130, "error: Interrupted: stopped by a signal"),
        (KeyError("x"), 1, "error: InternalError: KeyError in airgap_shared.console."),
        (OSError(5, "I/O"), 1, "error: InternalError: OSError"),
        (MemoryError(), 30, "error: OutOfMemory: no memory is left"),
    ],
)
def test_a_command_ends_with_a_line_and_a_code(
    capsys: pytest.CaptureFixture[str], problem: BaseException | None, code: int, said: str
) -> None:
    assert run(problem) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert "Traceback" not in err


def test_a_traceback_is_shown_when_it_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_DEBUG", "1")
    assert run(KeyError("x")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("debug", ["", "1"])
def test_what_an_exception_of_a_library_repeats_is_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: str
) -> None:
    monkeypatch.setenv("AIRGAP_DEBUG", debug)
    text = "no answer: https://u:canary@host/v2/?_state=canary, Authorization: Bearer canary"
    assert run(RuntimeError(text)) == 1
    shown = capsys.readouterr().err
    assert ("https://host/v2/" in shown) is bool(debug)
    assert "canary" not in shown


def test_a_fault_is_told_by_its_place_and_not_by_its_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        Digest.parse(None)  # type: ignore[arg-type]
    except AttributeError as problem:
        assert run(problem) == 1
    assert "AttributeError in airgap_shared.oci.digest, line " in capsys.readouterr().err


def test_a_crash_would_leave_no_memory_behind() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    with command():
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, before[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_says_so(
    capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, command():
        os.kill(os.getpid(), number)
        raise AssertionError
    assert caught.value.code == 128 + number
    assert "error: Interrupted:" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_machines_are_told_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FULL, Format.JSON) == 13
    out, err = capsys.readouterr()
    assert json.loads(out) == {"format": 1, "error": to_document(FULL, 13)}
    assert err.startswith("error: DigestMismatch")


def test_results_are_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"app": "shop\x1b"}, "shop\x1b[31m", Format.TEXT)
    assert capsys.readouterr().out == "shop\\x1b[31m\n"
    print_result({"app": "shop\x1b"}, "shop", Format.JSON)
    out = capsys.readouterr().out
    assert json.loads(out) == {"format": 1, "app": "shop\x1b"}
    assert "\x1b" not in out


def test_interrupted_has_the_code_of_ctrl_c() -> None:
    assert Interrupted.exit_code == 130
