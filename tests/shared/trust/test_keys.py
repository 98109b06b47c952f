from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import KeyFileInvalid
from airgap_shared.trust.imagekeys import parse_image_key
from airgap_shared.trust.keys import PublicKey, parse_public_key
from airgap_shared.trust.privatekey import PrivateKey, parse_private_key
from support.keys import fixed_key

KEY = fixed_key(1)
MESSAGE = b"a message"

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
needs_ssh_keygen = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="ssh-keygen is not here"
)

FOREIGN: dict[str, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey] = {
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA-2048": rsa.generate_private_key(65537, 2048),
    "RSA with the exponent 3": rsa.generate_private_key(3, 3072),
}


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_private_key_is_written_and_read() -> None:
    again = parse_private_key(KEY.to_pem(), None)
    assert again.public_key == KEY.public_key
    assert again.sign(MESSAGE) == KEY.sign(MESSAGE)


@pytest.mark.parametrize("passphrase", [b"x", b"with spaces and \xc3\xa9", b"\xff\x00", b"p" * 300])
def test_a_private_key_is_encrypted_and_decrypted(passphrase: bytes) -> None:
    pem = KEY.to_pem(passphrase)
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert pem != KEY.to_pem(passphrase)
    assert parse_private_key(pem, passphrase).public_key == KEY.public_key
    with pytest.raises(KeyFileInvalid, match="passphrase is wrong"):
        parse_private_key(pem, passphrase + b"x")


def test_lines_of_a_key_file_are_of_the_usual_length() -> None:
    for pem in (KEY.to_pem(), KEY.to_pem(b"x"), KEY.public_key.pem):
        lines = pem.decode("ascii").split("\n")
        assert lines[-1] == ""
        assert all(len(line) == 64 for line in lines[1:-3])


@pytest.mark.parametrize(
    ("pem", "passphrase", "what", "next_step"),
    [
        (KEY.to_pem(b"x"), None, "is encrypted", "--passphrase-file"),
        (KEY.to_pem(), b"x", "is not encrypted", "leave --passphrase-file out"),
    ],
)
def test_the_passphrase_fits_the_file(
    pem: bytes, passphrase: bytes | None, what: str, next_step: str
) -> None:
    with pytest.raises(KeyFileInvalid, match=what) as caught:
        parse_private_key(pem, passphrase, "vendor.key")
    assert next_step in caught.value.next_step
    assert caught.value.where == "vendor.key"


@needs_openssl
@pytest.mark.parametrize(
    "options",
    [
        ["-topk8", "-nocrypt"],
        ["-topk8", "-scrypt", "-scrypt_N", "1024", "-passout", "pass:word"],
        ["-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-passout", "pass:word"],
        ["-topk8", "-v2", "aes-128-cbc", "-iter", "1000", "-passout", "pass:word"],
        ["-topk8", "-v2", "des3", "-passout", "pass:word"],
    ],
)
def test_keys_that_openssl_wrote_are_read(options: list[str]) -> None:
    passphrase = b"word" if "-passout" in options else None
    pem = openssl("pkcs8", *options, stdin=KEY.to_pem())
    assert parse_private_key(pem, passphrase).public_key == KEY.public_key


@needs_openssl
def test_keys_in_the_older_form_are_read(tmp_path: Path) -> None:
    sec1 = openssl("ec", stdin=KEY.to_pem())
    assert b"BEGIN EC PRIVATE KEY" in sec1
    assert parse_private_key(sec1, None).public_key == KEY.public_key
    with_parameters = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert b"BEGIN EC PARAMETERS" in with_parameters
    parse_private_key(with_parameters, None)


@needs_openssl
@pytest.mark.parametrize("passphrase", [None, b"word"])
def test_openssl_reads_our_keys(passphrase: bytes | None, tmp_path: Path) -> None:
    word = [] if passphrase is None else ["-passin", "pass:word"]
    public = openssl("pkey", *word, "-pubout", stdin=KEY.to_pem(passphrase))
    assert parse_public_key(public) == KEY.public_key
    assert public == KEY.public_key.pem
    if passphrase is not None:
        structure = openssl("asn1parse", stdin=KEY.to_pem(passphrase)).decode()
        for name in ("PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc"):
            assert name in structure
        assert ":0927C0\n" in structure  # 600,000


@needs_openssl
def test_openssl_verifies_our_signatures(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(KEY.public_key.pem)
    (tmp_path / "sig").write_bytes(KEY.sign(MESSAGE))
    verify = ("dgst", "-sha256", "-verify", tmp_path / "key.pub", "-signature", tmp_path / "sig")
    assert openssl(*verify, stdin=MESSAGE) == b"Verified OK\n"


@needs_openssl
def test_we_verify_signatures_of_openssl(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY.to_pem())
    signature = openssl("dgst", "-sha256", "-sign", tmp_path / "key", stdin=MESSAGE)
    assert KEY.public_key.verifies(signature, MESSAGE)
    assert signature != KEY.sign(MESSAGE)


@needs_ssh_keygen
def test_the_key_id_is_the_fingerprint_that_ssh_keygen_prints(tmp_path: Path) -> None:
    public = tmp_path / "key.pub"
    for key in (KEY.public_key, PrivateKey.generate().public_key):
        public.write_bytes(key.pem)
        converted = tmp_path / "ssh.pub"
        done = subprocess.run(
            ["ssh-keygen", "-i", "-m", "PKCS8", "-f", public], capture_output=True, check=True
        )
        converted.write_bytes(done.stdout)
        printed = subprocess.run(
            ["ssh-keygen", "-lf", converted], capture_output=True, check=True, text=True
        )
        assert printed.stdout.split()[1] == key.key_id


@given(st.binary(max_size=100))
def test_signatures_are_the_same_each_time_and_fit_one_message(message: bytes) -> None:
    signature = KEY.sign(message)
    assert signature == KEY.sign(message)
    assert KEY.public_key.verifies(signature, message)
    assert not KEY.public_key.verifies(signature, message + b"\x00")
    assert not PrivateKey.generate().public_key.verifies(signature, message)


def test_the_deterministic_signature_is_that_of_rfc_6979() -> None:
    secret = int("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721", 16)
    key = PrivateKey(ec.derive_private_key(secret, ec.SECP256R1()))
    # RFC 6979, A.2.5, with SHA-256, message = "sample", as r and s in DER.
    r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    s = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    assert key.sign(b"sample").hex() == f"3046022100{r}022100{s}"


@pytest.mark.parametrize("kind", FOREIGN)
def test_keys_of_other_kinds_are_refused(kind: str) -> None:
    key = FOREIGN[kind]
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for read in (
        lambda: parse_private_key(private, None, "f"),
        lambda: parse_public_key(public, "f"),
    ):
        with pytest.raises(KeyFileInvalid, match="not accepted") as caught:
            read()
        assert caught.value.where == "f"
        assert "ECDSA P-256, or RSA of 3072 to 8192 bits" in caught.value.next_step


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\xff" * 100,
        b"ssh-ed25519 AAAA user@host",
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
        KEY.public_key.pem[:-40],
        KEY.public_key.pem.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        KEY.public_key.spki,
    ],
)
def test_what_is_no_key_file_is_refused(content: bytes) -> None:
    with pytest.raises(KeyFileInvalid):
        parse_public_key(content)
    with pytest.raises(KeyFileInvalid):
        parse_private_key(content, None)


@pytest.mark.parametrize("passphrase", [None, b"x"])
def test_a_private_key_is_not_taken_for_a_public_one(passphrase: bytes | None) -> None:
    with pytest.raises(KeyFileInvalid, match="this is a private key") as caught:
        parse_public_key(KEY.to_pem(passphrase))
    assert "keep the private key off this machine" in caught.value.next_step


@pytest.mark.parametrize("between", [b"", b"\n", b"and another:\n"])
def test_two_keys_in_one_file_are_refused(between: bytes) -> None:
    both = KEY.public_key.pem + between + fixed_key(2).public_key.pem
    for read in (parse_public_key, parse_image_key):
        with pytest.raises(KeyFileInvalid, match="more than one key") as caught:
            read(both, "both.pub")
        assert caught.value.where == "both.pub"
    commented = b"the vendor's\n" + KEY.public_key.pem + b"from 2026 on\n"
    assert parse_public_key(commented) == KEY.public_key


def test_one_key_in_two_encodings_is_one_key() -> None:
    loaded = load_der_public_key(KEY.public_key.spki)
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    point = loaded.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    body = base64.b64encode(prefix + point)
    pem = b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"
    assert parse_public_key(pem) == KEY.public_key
    assert {parse_public_key(pem), KEY.public_key} == {PublicKey(KEY.public_key.spki)}
