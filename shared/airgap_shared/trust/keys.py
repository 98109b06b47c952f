"""Public keys: ECDSA P-256 and RSA, named by the fingerprint that ssh-keygen prints."""

from __future__ import annotations

import base64
import enum
import functools
import hashlib
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from airgap_shared.errors import KeyFileInvalid

KEY_FILE_LIMIT = 64 * 1024
#: Below, factoring is in reach within the life of a bundle (NIST SP 800-57, 128 bits).
RSA_BITS = 3072
#: Above, a signature is larger than an envelope holds.
RSA_BITS_LIMIT = 8192
#: From F4 on as FIPS 186-5 asks; below 2^31, which is what Go, and so cosign, takes.
_EXPONENTS = range(65537, 1 << 31, 2)
ACCEPTED = f"use ECDSA P-256, or RSA of {RSA_BITS} to {RSA_BITS_LIMIT} bits"


class Scheme(enum.StrEnum):
    """How a kind of key signs; it follows from the key, never from what is verified."""

    ECDSA_P256 = "ecdsa-p256-sha256"
    RSA = "rsa-pkcs1v15-sha256"


class Signer(Protocol):
    """Something that signs bytes and knows the public half of its key."""

    @property
    def public_key(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key as DER SubjectPublicKeyInfo, which alone decides equality.

    Made by :func:`parse_public_key` or :func:`public_key_of`, which write the DER anew, so that
    one key has one text.
    """

    spki: bytes

    @property
    def key_id(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it; a name for people, never a decision."""
        return _fingerprint(self.spki)

    @property
    def scheme(self) -> Scheme:
        """The one way in which this key signs."""
        is_curve = isinstance(self._key, ec.EllipticCurvePublicKey)
        return Scheme.ECDSA_P256 if is_curve else Scheme.RSA

    @property
    def pem(self) -> bytes:
        """The key as a ``BEGIN PUBLIC KEY`` file."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` over SHA-256 of ``message`` was made by this key.

        It is ASN.1 DER for ECDSA, PKCS#1 v1.5 for RSA.
        """
        key = self._key
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            else:
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    @property
    def _key(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        return _load(self.spki)


def parse_public_key(pem: bytes, where: str = "") -> PublicKey:
    """Read a ``BEGIN PUBLIC KEY`` file.

    Raises:
        KeyFileInvalid: something else, more than one key, or one of a kind that is not accepted.

    """
    if b"PRIVATE KEY" in pem[:KEY_FILE_LIMIT]:
        raise KeyFileInvalid(
            "this is a private key",
            where=where,
            next_step="give the public key (.pub); keep the private key off this machine",
        )
    refuse_second_block(pem, where)
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise KeyFileInvalid("not a public key in PEM form", where=where) from problem
    return public_key_of(key, where)


def refuse_second_block(pem: bytes, where: str) -> None:
    """Raise :class:`KeyFileInvalid` for more than one PEM block: only the first would count."""
    if pem.count(b"-----BEGIN") > 1:
        raise KeyFileInvalid(
            "more than one key in one place", where=where, next_step="give each key by itself"
        )


def public_key_of(key: object, where: str = "") -> PublicKey:
    """The public key of this one of the cryptography library.

    Raises:
        KeyFileInvalid: its kind or size is not accepted.

    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise _refusal(f"an elliptic curve key of the curve {key.curve.name}", where)
    elif not isinstance(key, rsa.RSAPublicKey):
        kind = type(key).__name__.removeprefix("_").removesuffix("PublicKey")
        raise _refusal(f"a key of the kind {kind}", where)
    elif not RSA_BITS <= key.key_size <= RSA_BITS_LIMIT:
        raise _refusal(f"an RSA key of {key.key_size} bits", where)
    elif key.public_numbers().e not in _EXPONENTS:
        raise _refusal("an RSA key with an unusual public exponent", where)
    return PublicKey(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _refusal(what: str, where: str) -> KeyFileInvalid:
    return KeyFileInvalid(f"{what} is not accepted", where=where, next_step=ACCEPTED)


@functools.lru_cache(maxsize=256)
def _load(spki: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    key = serialization.load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - as made
    return key


@functools.lru_cache(maxsize=1024)
def _fingerprint(spki: bytes) -> str:
    wire = _load(spki).public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    digest = hashlib.sha256(base64.b64decode(wire.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
