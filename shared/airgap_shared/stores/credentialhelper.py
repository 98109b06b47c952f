"""Credential helpers: programs named ``docker-credential-NAME`` that keep secrets elsewhere.

The protocol is that of docker-credential-helpers: the server's name on standard input, a JSON
object with Username and Secret on standard output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping

from airgap_shared.errors import AuthFailed, CredentialsInvalid
from airgap_shared.stores.credential import Credential, check_text
from airgap_shared.stores.program import Program, ProgramFailed
from airgap_shared.stores.redaction import readable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Time enough to unlock a keyring by hand, and for a command to end within 30 s if nobody does.
_SECONDS = 25.0
_OUTPUT_LIMIT = 1 << 20
_NOT_FOUND = b"credentials not found"
#: The user name that marks the secret as an identity token.
TOKEN_USER = "<token>"  # noqa: S105


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
    program = Program([path, "get"], environment, seconds, _OUTPUT_LIMIT)
    try:
        ending = program.ask(f"{server}\n".encode())
    except ProgramFailed as problem:
        name = os.path.basename(path)  # noqa: PTH119 - which() gives text
        raise _failure(name, server, str(problem)) from problem
    return ending.status, ending.output


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
    try:
        check_text(secret, "the secret", server)
        check_text(user, "the user", server)
    except CredentialsInvalid as problem:
        raise _failure(program, server, f"gives what cannot be sent: {problem.what}") from None
    if user == TOKEN_USER:
        return Credential(identity_token=secret, renewable=True)
    return Credential(user, secret, renewable=True)


def _failure(program: str, server: str, what: str) -> AuthFailed:
    return AuthFailed(
        f"the credential helper {program} {what}",
        where=server,
        next_step=f"try it: echo {server} | {program} get",
    )
