"""Signers that are programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airgap_shared.errors import SignatureInvalid, SignerFailed
from airgap_shared.stores.signercommand import SignerCommand, find_signer
from airgap_shared.trust.envelope import seal
from airgap_shared.trust.privatekey import PrivateKey
from support.keys import fixed_key, fixed_rsa_key

KEY, RSA = fixed_key(1), fixed_rsa_key()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Signers that have the keys: ``sign`` and ``sign-rsa``."""
    for name, key in (("sign", KEY), ("sign-rsa", RSA)):
        (tmp_path / f"{name}.key").write_bytes(key.to_pem())
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexec openssl dgst -sha256 -sign {tmp_path}/{name}.key\n")
        program.chmod(0o755)
    return tmp_path


def signer(command: str, folder: Path, key: PrivateKey = KEY, seconds: float = 20) -> SignerCommand:
    path = f"{folder}:{os.environ.get('PATH', os.defpath)}"
    return find_signer(command, key.public_key, {"PATH": path}, seconds)


@pytest.mark.parametrize(("command", "key"), [("sign", KEY), ("sign-rsa", RSA)])
def test_a_program_signs(folder: Path, command: str, key: PrivateKey) -> None:
    envelope = seal(b"payload", [signer(command, folder, key)])
    assert key.public_key.verifies(envelope.signatures[0].value, envelope.signed_bytes)
    assert envelope.signatures[0].key_id == key.public_key.key_id


def test_quotes_group_words_and_there_is_no_shell(folder: Path) -> None:
    word = "a b $HOME `id` * ; | >"
    assert signer(f"printf '%s' '{word}'", folder).sign(b"").decode() == word
    assert signer("printf %s $(id)", folder).sign(b"") == b"$(id)"


def test_k07_a_signature_by_another_key_is_none(folder: Path) -> None:
    with pytest.raises(SignatureInvalid, match=RSA.public_key.key_id.replace("+", r"\+")):
        seal(b"payload", [signer("sign", folder, RSA)])


@pytest.mark.parametrize("command", ["echo rubbish", "head -c 70 /dev/zero", "cat"])
def test_k07_rubbish_is_no_signature(folder: Path, command: str) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        seal(b"payload", [signer(command, folder)])
    assert caught.value.exit_code == 11
    assert caught.value.changed == "nothing was written"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("", "names no program"),
        ("'unclosed", "cannot be read"),
        ("no-such-program", "is not here"),
        ("/nonexistent/sign", "is not here"),
        ("sh -c 'exit 4'", "ends with status 4"),
        ("sh -c 'kill -9 $$'", "ends with status -9"),
        ("true", "gives no signature"),
        ("cat /dev/zero", "prints more than 1024 bytes"),
        ("sleep 600", "does not answer within 1 s"),
    ],
)
def test_k07_a_signer_that_fails_is_named(folder: Path, command: str, what: str) -> None:
    with pytest.raises(SignerFailed, match=what) as caught:
        signer(command, folder, seconds=1).sign(b"message")
    assert caught.value.exit_code == 2
    assert caught.value.where == "--signer-cmd"


def test_what_it_complains_of_is_passed_on_without_secrets(folder: Path) -> None:
    script = "printf 'wrong PIN\\033[31m Bearer abcdefgh123 https://u:pw@kms/?sig=1' >&2; exit 1"
    with pytest.raises(SignerFailed) as caught:
        signer(f'sh -c "{script}"', folder).sign(b"")
    (said,) = caught.value.details
    assert "wrong PIN" in said
    for hidden in ("\x1b", "abcdefgh123", "u:pw", "sig=1"):
        assert hidden not in said
