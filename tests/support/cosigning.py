"""Signatures of images as cosign makes them with a key, written from its specifications alone."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from support.attaching import signature_list
from support.images import BuiltImage, make_artifact

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """A vendor's key for images."""

    key: _Key

    @property
    def pem(self) -> bytes:
        """The public key as a file."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        """As cosign signs with a key of this kind."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPrivateKey():
                return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(message)

    def entry(self, digest: str, **changes: object) -> tuple[bytes, str]:
        """A payload of simple signing about a digest, and its signature as text."""
        payload = simple_payload(digest, **changes)
        return payload, base64.b64encode(self.sign(payload)).decode()

    def signature_of(self, image: BuiltImage) -> BuiltImage:
        """What stands under the image's ``.sig`` tag."""
        return signature_list(self.entry(image.digest))

    def bundle_of(self, image: BuiltImage, predicate: str = SIGN) -> BuiltImage:
        """A referrer that holds a Sigstore bundle with a statement about the image."""
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "", "digest": {"sha256": image.digest.partition(":")[2]}}],
            "predicateType": predicate,
            "predicate": {},
        }
        raw = sigstore_bundle(self, json.dumps(statement).encode())
        annotations = {"dev.sigstore.bundle.predicateType": predicate}
        return make_artifact(raw, BUNDLE_TYPE, image, annotations)


def simple_payload(digest: str, **changes: object) -> bytes:
    """A payload of simple signing."""
    critical: dict[str, object] = {
        "identity": {"docker-reference": "example.com/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": {**critical, **changes}, "optional": None}).encode()


def sigstore_bundle(
    signer: ImageSigner, payload: bytes, kind: str = "application/vnd.in-toto+json"
) -> bytes:
    """A Sigstore bundle of version 0.3 with a DSSE envelope."""
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(signer.sign(encoded)).decode()}],
    }
    return _bundle(dsseEnvelope=envelope)


def message_bundle(signer: ImageSigner, message: bytes) -> bytes:
    """A Sigstore bundle of version 0.3 with a signature of a message."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(message)
    return _bundle(
        messageSignature={
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": base64.b64encode(digest.finalize()).decode(),
            },
            "signature": base64.b64encode(signer.sign(message)).decode(),
        }
    )


def _bundle(**content: object) -> bytes:
    material = {"publicKey": {"hint": "x"}}
    return json.dumps(
        {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, **content}
    ).encode()


def make_signers() -> dict[str, ImageSigner]:
    """One of each kind that is accepted."""
    return {
        "ecdsa": ImageSigner(ec.generate_private_key(ec.SECP256R1())),
        "rsa": ImageSigner(rsa.generate_private_key(65537, 2048)),
        "ed25519": ImageSigner(ed25519.Ed25519PrivateKey.generate()),
    }
