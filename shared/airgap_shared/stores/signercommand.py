"""A signer that is a program: an HSM's, a smart card's or a KMS's own client."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from airgap_shared.errors import SignerFailed
from airgap_shared.stores.program import Program, ProgramFailed
from airgap_shared.stores.redaction import readable
from airgap_shared.trust.envelope import SIGNATURE_BYTES_LIMIT
from airgap_shared.trust.keys import PublicKey

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SignerCommand:
    """The program that holds the private half of ``public_key``.

    It gets the message (not its hash) on standard input and gives the signature, DER for ECDSA,
    on standard output. Made by :func:`find_signer`.
    """

    public_key: PublicKey
    program: Program

    def sign(self, message: bytes) -> bytes:
        """Have the program sign; whoever uses the signature verifies it.

        Raises:
            SignerFailed: it cannot be run, fails, takes longer than 60 s or says too much.

        """
        name = readable(self.program.arguments[0])
        try:
            ending = self.program.ask(message)
        except ProgramFailed as problem:
            raise _failure(name, str(problem)) from problem
        if ending.status != 0:
            raise _failure(name, f"ends with status {ending.status}", ending.errors)
        if not ending.output:
            raise _failure(name, "gives no signature", ending.errors)
        return ending.output


def find_signer(
    command: str,
    public_key: PublicKey,
    environment: Mapping[str, str],
    seconds: float = _SECONDS,
) -> SignerCommand:
    """The signer of a command line, in which quotes group words and nothing else is special.

    Raises:
        SignerFailed: it names no program that can be run.

    """
    try:
        arguments = shlex.split(command)
    except ValueError as problem:
        raise _failure(readable(command), f"cannot be read: {problem}") from problem
    if not arguments:
        raise _failure("", "names no program")
    path = shutil.which(arguments[0], path=environment.get("PATH", ""))
    if path is None:
        raise _failure(readable(arguments[0]), "is not here, or cannot be run")
    program = Program(
        (path, *arguments[1:]), environment, seconds, SIGNATURE_BYTES_LIMIT, terminal=True
    )
    return SignerCommand(public_key, program)


def _failure(name: str, what: str, errors: bytes = b"") -> SignerFailed:
    said = readable(errors.decode(errors="replace").strip())
    return SignerFailed(
        f"the signer {name} {what}",
        where="--signer-cmd",
        changed="nothing was signed or written",
        next_step="it gets what is to be signed on standard input, and gives the signature "
        "(ASN.1 DER for ECDSA) on standard output",
        details=[f"it says: {said}"] if said else [],
    )
