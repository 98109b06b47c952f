from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from airgap_shared.errors import AuthFailed
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.credentialhelper import HelperMissing, ask_helper


def helper(folder: Path, script: str) -> dict[str, str]:
    """The environment in which a helper named ``test`` runs this shell script."""
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "MARK": "set"}


def test_a_user_and_password_are_taken(tmp_path: Path) -> None:
    environment = helper(
        tmp_path,
        'read server; [ "$1" = get ] && [ "$MARK" = set ] && '
        'printf \'{"ServerURL":"x","Username":"%s","Secret":"pw"}\' "$server"',
    )
    assert ask_helper("test", "reg.example:5000", environment) == Credential(
        "reg.example:5000", "pw"
    )


def test_a_token_is_taken_as_one(tmp_path: Path) -> None:
    environment = helper(tmp_path, """echo '{"Username":"<token>","Secret":"refresh"}'""")
    assert ask_helper("test", "h", environment) == Credential(identity_token="refresh")


def test_knowing_nothing_is_no_failure(tmp_path: Path) -> None:
    environment = helper(tmp_path, "echo 'credentials not found in native keychain'; exit 1")
    assert ask_helper("test", "h", environment) is None


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo 'pw hunter2' ; exit 3", "ends with status 3"),
        ("echo hunter2", "no credentials as JSON"),
        ("echo '[\"hunter2\"]'", "no credentials as JSON"),
        ("""echo '{"Username":"hunter2"}'""", "no credentials as JSON"),
        ("""echo '{"Username":"u","Secret":["hunter2"]}'""", "no credentials as JSON"),
        ("""echo '{"Username":"u","Secret":""}'""", "no credentials as JSON"),
        ("true", "no credentials as JSON"),
    ],
)
def test_a_helper_that_fails_is_named_without_its_output(
    tmp_path: Path, script: str, what: str
) -> None:
    with pytest.raises(AuthFailed, match=what) as caught:
        ask_helper("test", "reg.example", helper(tmp_path, script))
    assert "docker-credential-test" in caught.value.what
    assert "hunter2" not in f"{caught.value} {caught.value.next_step}"
    assert caught.value.__cause__ is None


def test_a_helper_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    environment = helper(tmp_path, f"sleep 600 & echo $! > {pid_file}; wait")
    with pytest.raises(AuthFailed, match="does not answer within 1 s"):
        ask_helper("test", "h", environment, seconds=1)
    child = int(pid_file.read_text())
    for _ in range(500):
        if not _runs(child):
            break
        time.sleep(0.01)
    assert not _runs(child)


@pytest.mark.parametrize("script", ["yes hunter2", "yes hunter2 & exec 1>&-; sleep 600"])
def test_a_helper_without_an_end_is_ended(tmp_path: Path, script: str) -> None:
    with pytest.raises(AuthFailed, match="prints more") as caught:
        ask_helper("test", "h", helper(tmp_path, script), seconds=60)
    assert "hunter2" not in str(caught.value)


def test_a_helper_that_reads_nothing_is_heard(tmp_path: Path) -> None:
    script = """exec 0<&-; echo '{"Username":"u","Secret":"pw"}'"""
    assert ask_helper("test", "h", helper(tmp_path, script)) == Credential("u", "pw")


def test_a_helper_that_stays_after_its_answer_is_ended(tmp_path: Path) -> None:
    environment = helper(tmp_path, "echo '{}'; exec 1>&-; sleep 600")
    with pytest.raises(AuthFailed, match="does not answer"):
        ask_helper("test", "h", environment, seconds=1)


def test_a_program_that_cannot_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(AuthFailed, match="cannot be run"):
        ask_helper("test", "h", {"PATH": str(tmp_path)})


@pytest.mark.parametrize("name", ["absent", "../test", "a b", "", "x;touch y", "test\n"])
def test_a_helper_that_is_not_there(tmp_path: Path, name: str) -> None:
    environment = helper(tmp_path, "echo '{}'")
    with pytest.raises(HelperMissing):
        ask_helper(name, "h", environment)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")  # noqa: PTH110


@pytest.mark.parametrize(
    "answer",
    [
        r'{"Username":"bob","Secret":"canary\\ud800"}',
        r'{"Username":"canary\\ud800","Secret":"x"}',
    ],
)
def test_what_no_request_can_carry_is_refused_and_not_shown(tmp_path: Path, answer: str) -> None:
    with pytest.raises(AuthFailed, match="cannot be sent") as caught:
        ask_helper("test", "h", helper(tmp_path, f"printf '{answer}'"))
    assert "canary" not in str(caught.value)
