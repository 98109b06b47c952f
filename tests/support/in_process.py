"""The two commands run inside the test's own process: the same code paths, without the start."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import airgap_bundler.cli
import airgap_importer.cli
from support.commands import Finished

_APPS = {"airgap-bundle": airgap_bundler.cli.app, "airgap-import": airgap_importer.cli.app}


def run_here(folder: Path, *command: str | Path, stdin: bytes = b"") -> Finished:
    """Run ``airgap-bundle …`` or ``airgap-import …`` in ``folder`` to its end.

    The environment is the test's own; what needs a clean one, or is to be killed or measured,
    belongs into a Shell.
    """
    name, *arguments = map(str, command)
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(_standard_input(stdin))
        try:
            _APPS[name](arguments, prog_name=name)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Finished(code, out.getvalue(), err.getvalue())


@contextmanager
def _standard_input(content: bytes) -> Iterator[None]:
    before = sys.stdin
    with io.TextIOWrapper(io.BytesIO(content)) as pipe:
        sys.stdin = pipe
        try:
            yield
        finally:
            sys.stdin = before
