"""From flags to a signer: a private key's file, or the program that has the key."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_shared.errors import KeyFileInvalid, UsageError

if TYPE_CHECKING:
    from airgap_shared.trust.keys import Signer
    from airgap_shared.trust.privatekey import PrivateKey

_PASSPHRASE_LIMIT = 4096


class SchemeChoice(enum.StrEnum):
    """The kinds of keys by name; those of trust.keys, which would load a library for --help."""

    ECDSA_P256 = "ecdsa-p256-sha256"
    RSA = "rsa-pkcs1v15-sha256"


SigningKeyOption = Annotated[
    Path,
    typer.Option(
        "--key", metavar="KEY", help="The private key to sign with; with --signer-cmd, the public."
    ),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The passphrase of the key."),
]
SignerCommandOption = Annotated[
    str | None,
    typer.Option(
        "--signer-cmd",
        metavar="CMD",
        help="A program that signs what it reads, for keys in an HSM or KMS.",
    ),
]


@dataclass(frozen=True, slots=True)
class SignerOptions:
    """The flags about signing that all commands share."""

    key: Path
    passphrase_file: Path | None = None
    command: str | None = None

    def signer(self) -> Signer:
        """Who signs.

        Raises:
            KeyFileInvalid: the key cannot be used.
            SignerFailed: there is no such program.
            UsageError: a passphrase for a program.

        """
        if self.command is None:
            return load_key(self.key, self.passphrase_file)
        from airgap_shared.console.trusting import read_public_keys
        from airgap_shared.stores.signercommand import find_signer

        if self.passphrase_file is not None:
            raise UsageError(
                "with --signer-cmd, --key is the public key and has no passphrase",
                where="--passphrase-file",
                next_step="leave it out; the program asks for what it needs",
            )
        (public_key,) = read_public_keys([self.key])
        return find_signer(self.command, public_key, os.environ)


def load_key(path: Path, passphrase_file: Path | None) -> PrivateKey:
    """The private key to sign with, from a file that nobody else can read.

    Raises:
        KeyFileInvalid: it cannot be used.

    """
    from airgap_shared.console.files import read_key_file
    from airgap_shared.trust.privatekey import parse_private_key

    pem = read_key_file(path)
    if b"PUBLIC KEY" in pem:
        raise KeyFileInvalid(
            "this is a public key; the private one signs",
            where=str(path),
            next_step="name the private key, as keygen wrote it: PREFIX.key",
        )
    if path.stat().st_mode & 0o077:
        raise KeyFileInvalid(
            "other users can read the private key", where=str(path), next_step=f"chmod 600 {path}"
        )
    return parse_private_key(pem, read_passphrase(passphrase_file), str(path))


def read_passphrase(path: Path | None) -> bytes | None:
    """The first line of a passphrase file; None without a file.

    Raises:
        KeyFileInvalid: it cannot be read, or its first line is no passphrase.

    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            line = file.readline(_PASSPHRASE_LIMIT + 1)
    except OSError as problem:
        raise KeyFileInvalid(
            f"cannot read the passphrase: {problem.strerror}", where=str(path)
        ) from problem
    phrase = line.removesuffix(b"\n").rstrip(b"\r")
    if not phrase:
        raise KeyFileInvalid("the passphrase is empty", where=str(path))
    if len(phrase) > _PASSPHRASE_LIMIT:
        raise KeyFileInvalid("the passphrase has no end", where=str(path))
    return phrase
