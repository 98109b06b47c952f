"""The two commands run inside the test's own process: the same code paths, without the start."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import NoReturn

from typer.main import get_command

import airgap_bundler.cli
import airgap_importer.cli
from support.commands import PATIENCE, Finished
from support.tally import TALLY, Zero

# Made once: typer reads the signature of every command each time it is called.
_COMMANDS = {
    "airgap-bundle": get_command(airgap_bundler.cli.app),
    "airgap-import": get_command(airgap_importer.cli.app),
}
#: Where commands keep what they remember, unless the environment says so already.
_STATE = "AIRGAP_STATE_DIR"


def run_here(
    folder: Path,
    *command: str | Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``airgap-bundle …`` or ``airgap-import …`` in ``folder`` to its end.

    Without an ``environment`` it is the test's own, but for the state, which is kept beside the
    folder. What is to be killed or measured belongs into a Shell.
    """
    name, *arguments = map(str, command)
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(_standard_input(stdin))
        stack.enter_context(_surroundings(folder, environment))
        stack.enter_context(_patience())
        try:
            _COMMANDS[name](arguments, prog_name=name)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except Exception:
            TALLY.end(1, out.getvalue(), traceback.format_exc())
            raise
    TALLY.end(code, out.getvalue(), err.getvalue())
    return Finished(code, out.getvalue(), err.getvalue())


def state_of(folder: Path) -> Path:
    """Where commands that are run in ``folder`` keep what they remember."""
    return Path(os.environ.get(_STATE) or folder.with_name(f"{folder.name}-state"))


class _Hangs(BaseException):
    """A command does not end."""


@contextmanager
def _standard_input(content: bytes) -> Iterator[None]:
    before = sys.stdin
    with io.TextIOWrapper(io.BytesIO(content)) as pipe:
        sys.stdin = pipe
        try:
            yield
        finally:
            sys.stdin = before


@contextmanager
def _surroundings(folder: Path, environment: Mapping[str, str] | None) -> Iterator[None]:
    before = dict(os.environ)
    if environment is None:
        os.environ[_STATE] = str(state_of(folder))
    else:
        _replace_environment(environment)
    try:
        yield
    finally:
        _replace_environment(before)


def _replace_environment(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


@contextmanager
def _patience() -> Iterator[None]:
    """Break off what hangs, and count it; signals reach the main thread only."""

    def give_up(_number: int, _frame: FrameType | None) -> NoReturn:
        TALLY.violate(Zero.CRASHED, "a command did not end")
        raise _Hangs

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
