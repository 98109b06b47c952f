"""Private keys that sign, and their files: PKCS#8 with an encryption that holds."""

from __future__ import annotations

import base64
import secrets
import textwrap

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from airgap_shared.errors import KeyFileInvalid
from airgap_shared.trust.keys import ACCEPTED, RSA_BITS, PublicKey, Scheme, public_key_of

#: OWASP's figure for PBKDF2-HMAC-SHA256; the library's own PKCS#8 writer uses 2,048.
_KDF_ROUNDS = 600_000
_F4 = 65537


class PrivateKey:
    """A private key that signs deterministically (ECDSA by RFC 6979, RSA by PKCS#1 v1.5)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls, scheme: Scheme = Scheme.ECDSA_P256) -> PrivateKey:
        """Make a new key from the system's randomness."""
        match scheme:
            case Scheme.ECDSA_P256:
                return cls(ec.generate_private_key(ec.SECP256R1()))
            case Scheme.RSA:
                return cls(rsa.generate_private_key(_F4, RSA_BITS))

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return public_key_of(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature over SHA-256 of ``message``; the same each time."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, PKCS1v15(), hashes.SHA256())
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


def parse_private_key(pem: bytes, passphrase: bytes | None, where: str = "") -> PrivateKey:
    """Read a PKCS#8 or SEC 1 private key file, with its passphrase if it has one.

    Raises:
        KeyFileInvalid: something else, a wrong or missing passphrase, or a key that is not
            accepted.

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
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyFileInvalid("a key of this kind is not accepted", where=where, next_step=ACCEPTED)
    public_key_of(key.public_key(), where)
    return PrivateKey(key)


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
