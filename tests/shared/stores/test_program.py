"""Programs that are asked something: what they may take, say and leave behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from airgap_shared.stores.program import Ending, Program, ProgramFailed

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "MARK": "set"}


def program(script: str, seconds: float = 20.0, limit: int = 100_000) -> Program:
    return Program(["/bin/sh", "-c", script], ENVIRONMENT, seconds, limit)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def wait_for_end(pid: int) -> None:
    while is_alive(pid):
        time.sleep(0.01)


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_the_question_arrives_whole_and_so_does_the_answer(size: int) -> None:
    question = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert program("cat").ask(question) == Ending(0, question, b"")


def test_a_program_need_not_listen() -> None:
    assert program("exec <&-; echo done").ask(b"x" * 10_000_000).output == b"done\n"


def test_it_may_answer_before_it_has_listened() -> None:
    script = "head -c 90000 /dev/zero; cat >/dev/null"
    assert len(program(script).ask(b"x" * 1_000_000).output) == 90_000


def test_status_errors_and_environment() -> None:
    ending = program('echo "$MARK"; echo oh >&2; exit 3').ask(b"")
    assert ending == Ending(3, b"set\n", b"oh\n")
    assert "HOME" not in program("env").ask(b"").output.decode()


def test_too_much_of_an_answer_is_none() -> None:
    with pytest.raises(ProgramFailed, match="more than 1000 bytes"):
        program("cat /dev/zero", limit=1000).ask(b"")


def test_complaints_without_end_do_not_fill_memory() -> None:
    ending = program("head -c 10000000 /dev/zero >&2; echo done").ask(b"")
    assert ending.output == b"done\n"
    assert len(ending.errors) == 1 << 16


def test_time_is_bounded_and_nothing_is_left(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! $$ > {tmp_path}/pids; sleep 600"
    with pytest.raises(ProgramFailed, match="within 1 s"):
        program(script, seconds=1.0).ask(b"")
    for pid in (tmp_path / "pids").read_text().split():
        wait_for_end(int(pid))


def test_what_it_leaves_behind_holds_nobody_up_and_is_ended(tmp_path: Path) -> None:
    script = f"sleep 600 >&- & echo $! > {tmp_path}/pid; echo done"
    assert program(script).ask(b"").output == b"done\n"
    wait_for_end(int((tmp_path / "pid").read_text()))


def test_a_program_that_only_stops_talking_is_still_waited_for() -> None:
    with pytest.raises(ProgramFailed, match="within 1 s"):
        program("exec >&- 2>&-; sleep 600", seconds=1.0).ask(b"")


@pytest.mark.parametrize("path", ["/nonexistent/program", "/etc/passwd", "/tmp"])  # noqa: S108
def test_what_cannot_be_run_is_said(path: str) -> None:
    with pytest.raises(ProgramFailed, match="cannot be run"):
        Program([path], ENVIRONMENT, 5.0, 100).ask(b"")


_AT_A_TERMINAL = """
import os, pty, sys
from airgap_shared.stores.program import Program
script = 'read pin </dev/tty; cat; echo " $pin"'
print(Program(["/bin/sh", "-c", script], dict(os.environ), 20, 100, terminal=True).ask(b"asked"))
print("ours again" if os.tcgetpgrp(0) == os.getpgrp() else "lost")
"""


def test_a_signer_can_ask_for_a_pin_at_the_terminal() -> None:
    """In a process with a terminal of its own, on which somebody types."""
    typing = f"""
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-c", {_AT_A_TERMINAL!r}])
os.write(terminal, b"4711\\n")
said = b""
try:
    while piece := os.read(terminal, 1000):
        said += piece
except OSError:
    pass
print(said.decode(), os.waitpid(pid, 0)[1])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = (
        Program([sys.executable, "-c", typing], environment, 60.0, 10_000).ask(b"").output.decode()
    )
    assert "b'asked 4711\\n'" in said
    assert "ours again" in said
