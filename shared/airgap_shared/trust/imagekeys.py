"""Keys with which vendors sign images: those that cosign makes or takes, each with its one scheme.

They are other keys than those that sign bundles, and may be of kinds that those must not be of.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from airgap_shared.errors import KeyFileInvalid
from airgap_shared.trust.keys import RSA_BITS_LIMIT, refuse_second_block

_RSA_BITS = 2048
_ACCEPTED = f"use ECDSA P-256, Ed25519, or RSA of {_RSA_BITS} to {RSA_BITS_LIMIT} bits"
_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class ImageKey:
    """A public key as DER SubjectPublicKeyInfo, as :func:`parse_image_key` writes it."""

    spki: bytes

    @property
    def key_id(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        wire = self._key.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        digest = hashlib.sha256(base64.b64decode(wire.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed ``message``: its SHA-256 hash, or for Ed25519 itself."""
        key = self._key
        if isinstance(key, ed25519.Ed25519PublicKey):
            try:
                key.verify(signature, message)
            except InvalidSignature:
                return False
            return True
        return self.verifies_hash(signature, hashlib.sha256(message).digest())

    def verifies_hash(self, signature: bytes, digest: bytes) -> bool:
        """Whether this key signed what has this SHA-256 hash; Ed25519 cannot tell."""
        key, kind = self._key, Prehashed(hashes.SHA256())
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, digest, ec.ECDSA(kind))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, digest, padding.PKCS1v15(), kind)
            else:
                return False
        except InvalidSignature:
            return False
        return True

    @property
    def _key(self) -> _Key:
        key = serialization.load_der_public_key(self.spki)
        assert isinstance(key, _Key)  # noqa: S101 - as made
        return key


def parse_image_key(pem: bytes, where: str = "") -> ImageKey:
    """Read a ``BEGIN PUBLIC KEY`` file (``cosign.pub``).

    Raises:
        KeyFileInvalid: something else, more than one key, or one of a kind that is not accepted.

    """
    refuse_second_block(pem, where)
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise KeyFileInvalid(
            "not a public key in PEM form", where=where, next_step="give a file like cosign.pub"
        ) from problem
    if not _is_accepted(key):
        raise KeyFileInvalid(
            "a key of this kind is not accepted for images", where=where, next_step=_ACCEPTED
        )
    return ImageKey(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _is_accepted(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1)
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA_BITS <= key.key_size <= RSA_BITS_LIMIT and key.public_numbers().e >= 65537
    return isinstance(key, ed25519.Ed25519PublicKey)
