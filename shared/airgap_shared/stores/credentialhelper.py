"""Credential helpers: programs named ``docker-credential-NAME`` that keep secrets elsewhere.

The protocol is that of docker-credential-helpers: the server's name on standard input, a JSON
object with Username and Secret on standard output.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress

from airgap_shared.errors import AuthFailed
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.redaction import readable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Time enough to unlock a keyring by hand, and for a command to end within 30 s if nobody does.
_SECONDS = 25.0
_OUTPUT_LIMIT = 1 << 20
_NOT_FOUND = b"credentials not found"
#: The user name that marks the secret as an identity token.
TOKEN_USER = "<token>"  # noqa: S105


class _TooMuch(Exception):
    """A program prints without end."""


_WHY: dict[type[BaseException], str] = {
    _TooMuch: "prints more than any credentials are long",
    subprocess.TimeoutExpired: "does not answer within {:.0f} s",
}


class HelperMissing(Exception):
    """There is no such program here."""


def ask_helper(
    name: str, server: str, environment: Mapping[str, str], seconds: float = _SECONDS
) -> Credential | None:
    """What the helper knows for a server; nothing if it says that it knows nothing.

    Raises:
        HelperMissing: it is not on the PATH of ``environment``.
        AuthFailed: it fails, takes longer than ``seconds``, or its answer makes no sense.

    """
    program = f"docker-credential-{name}"
    path = None
    if _NAME.fullmatch(name):
        path = shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None:
        raise HelperMissing(readable(program))
    status, output = _run(path, server, environment, seconds)
    if status != 0:
        if _NOT_FOUND in output.lower():
            return None
        raise _failure(program, server, f"ends with status {status}")
    return read_answer(output, program, server)


def _run(
    path: str, server: str, environment: Mapping[str, str], seconds: float
) -> tuple[int, bytes]:
    """Exit status and standard output; standard error may hold secrets and is dropped."""
    name = os.path.basename(path)  # noqa: PTH119 - which() gives text
    try:
        # A session of its own, so that what the helper starts can be ended with it.
        process = subprocess.Popen(  # noqa: S603 - a path found by a checked name, no shell
            [path, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as problem:
        raise _failure(name, server, f"cannot be run: {problem.strerror}") from problem
    deadline = time.monotonic() + seconds
    with process:
        try:
            output = _converse(process, f"{server}\n".encode(), deadline)
            process.wait(max(0.0, deadline - time.monotonic()))
        except BaseException as problem:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if type(problem) not in _WHY:
                raise
            raise _failure(name, server, _WHY[type(problem)].format(seconds)) from None
    return process.returncode, output


def _converse(process: subprocess.Popen[bytes], question: bytes, deadline: float) -> bytes:
    """Everything that the program prints."""
    assert process.stdin is not None  # noqa: S101 - opened as pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        process.stdin.write(question)
        process.stdin.close()
    pieces: list[bytes] = []
    left = _OUTPUT_LIMIT
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise _TooMuch
    raise subprocess.TimeoutExpired(process.args, 0)


def read_answer(output: bytes, program: str, server: str) -> Credential:
    """What a helper's answer says.

    Raises:
        AuthFailed: no credentials; the message does not quote it.

    """
    try:
        answer = json.loads(output)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, RecursionError, LookupError, TypeError):
        # Without the cause, which holds the secret.
        raise _failure(program, server, "gives no credentials as JSON") from None
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        raise _failure(program, server, "gives no credentials as JSON")
    if user == TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(user, secret)


def _failure(program: str, server: str, what: str) -> AuthFailed:
    return AuthFailed(
        f"the credential helper {program} {what}",
        where=server,
        next_step=f"try it: echo {server} | {program} get",
    )
