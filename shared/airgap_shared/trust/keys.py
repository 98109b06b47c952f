"""Signing keys: ECDSA P-256, named by the fingerprint that ssh-keygen prints."""

from __future__ import annotations

import base64
import hashlib
import secrets
import textwrap
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from airgap_shared.errors import KeyFileInvalid

KEY_FILE_LIMIT = 64 * 1024
#: OWASP's figure for PBKDF2-HMAC-SHA256; the library's own PKCS#8 writer uses 2,048.
_KDF_ROUNDS = 600_000


class Signer(Protocol):
    """Something that signs bytes and knows the public half of its key."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 public key as DER SubjectPublicKeyInfo, which alone decides equality."""

    spki: bytes

    @property
    def key_id(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it; a name for people, never a decision."""
        wire = self._key.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        digest = hashlib.sha256(base64.b64decode(wire.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def pem(self) -> bytes:
        """The key as a ``BEGIN PUBLIC KEY`` file."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` (ASN.1 DER) over SHA-256 of ``message`` was made by this key."""
        try:
            self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    @property
    def _key(self) -> ec.EllipticCurvePublicKey:
        key = serialization.load_der_public_key(self.spki)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - checked when loaded
        return key


class PrivateKey:
    """A P-256 private key that signs deterministically (RFC 6979)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new key from the system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return _public(self._key.public_key(), "")

    def sign(self, message: bytes) -> bytes:
        """The ASN.1 DER signature over SHA-256 of ``message``; the same each time."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def to_pem(self, passphrase: bytes | None = None) -> bytes:
        """The key as a PKCS#8 PEM file, encrypted (PBES2, AES-256) when a passphrase is given."""
        der = self._key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        if passphrase is None:
            return _pem("PRIVATE KEY", der)
        return _pem("ENCRYPTED PRIVATE KEY", _encrypt(der, passphrase))


def parse_public_key(pem: bytes, where: str = "") -> PublicKey:
    """Read a ``BEGIN PUBLIC KEY`` file.

    Raises:
        KeyFileInvalid: something else, or a key that is not ECDSA P-256.

    """
    if b"PRIVATE KEY" in pem[:KEY_FILE_LIMIT]:
        raise KeyFileInvalid(
            "this is a private key",
            where=where,
            next_step="give the public key (.pub); keep the private key off this machine",
        )
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise KeyFileInvalid("not a public key in PEM form", where=where) from problem
    return _public(key, where)


def parse_private_key(pem: bytes, passphrase: bytes | None, where: str = "") -> PrivateKey:
    """Read a PKCS#8 or SEC 1 private key file, with its passphrase if it has one.

    Raises:
        KeyFileInvalid: something else, a wrong or missing passphrase, or not ECDSA P-256.

    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as problem:
        encrypted = passphrase is None
        raise KeyFileInvalid(
            "the key is encrypted" if encrypted else "the key is not encrypted",
            where=where,
            next_step="give its passphrase with --passphrase-file"
            if encrypted
            else "leave --passphrase-file out",
        ) from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise KeyFileInvalid(
            "not a private key in PEM form, or the passphrase is wrong", where=where
        ) from problem
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileInvalid("not an ECDSA P-256 key", where=where)
    _public(key.public_key(), where)
    return PrivateKey(key)


def _public(key: object, where: str) -> PublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileInvalid("not an ECDSA P-256 key", where=where)
    return PublicKey(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _pem(label: str, der: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _encrypt(der: bytes, passphrase: bytes) -> bytes:
    """EncryptedPrivateKeyInfo with PBES2 (RFC 8018): PBKDF2-HMAC-SHA256 and AES-256-CBC."""
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = PBKDF2HMAC(hashes.SHA256(), 32, salt, _KDF_ROUNDS).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    secret = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    prf = _sequence(_oid("2a864886f70d0209"), b"\x05\x00")
    rounds = _tlv(0x02, _KDF_ROUNDS.to_bytes(3, "big"))
    kdf = _sequence(_oid("2a864886f70d01050c"), _sequence(_tlv(0x04, salt), rounds, prf))
    cipher = _sequence(_oid("60864801650304012a"), _tlv(0x04, iv))
    algorithm = _sequence(_oid("2a864886f70d01050d"), _sequence(kdf, cipher))
    return _sequence(algorithm, _tlv(0x04, secret))


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + value


def _sequence(*items: bytes) -> bytes:
    return _tlv(0x30, b"".join(items))


def _oid(body: str) -> bytes:
    return _tlv(0x06, bytes.fromhex(body))
