"""Sigstore bundles of version 0.3: one signature in the form that cosign reads.

The JSON is that of protobuf-specs, sigstore_bundle.proto, with a public key for its material.
"""

from __future__ import annotations

import base64
import json

from airgap_shared.trust.envelope import Envelope, Signature

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def compose_sigstore_bundle(envelope: Envelope, signature: Signature) -> bytes:
    """The bundle of one signature, whose key id must be the key's SSH fingerprint.

    The hint and the envelope's key id must be equal (sigstore_bundle.proto), and verifiers in Go
    skip a signature whose key id is another than they compute themselves.
    """
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signature.key_id}},
        "dsseEnvelope": {
            "payload": _encode(envelope.payload),
            "payloadType": envelope.payload_type,
            "signatures": [{"sig": _encode(signature.value), "keyid": signature.key_id}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
