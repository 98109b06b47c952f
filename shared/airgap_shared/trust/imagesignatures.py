"""Signatures of images as cosign makes them with a key, in its old form and its new one.

Old: simple signing (containers/image, docs/signature-protocol of atomic), a payload in a layer and
the signature in an annotation. New: a Sigstore bundle 0.3 whose DSSE envelope holds an in-toto
statement, or which holds a signature of the manifest itself. Only the key is judged: neither
transparency logs nor certificates are looked at.
"""

from __future__ import annotations

import base64
import binascii
import json

from airgap_shared.errors import AirgapError
from airgap_shared.oci.attachment import SIGN_PREDICATE
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import MANIFEST_VALUE_LIMIT
from airgap_shared.trust.envelope import PAYLOAD_TYPE, parse_envelope
from airgap_shared.trust.imagekeys import ImageKey

_SIMPLE_SIGNING = "cosign container image signature"
_STATEMENTS = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
_WHERE = "signature of an image"


def check_simple_signing(payload: bytes, signature: str, key: ImageKey, image: Digest) -> str:
    """Why this is no signature of ``image`` by ``key``; empty if it is one."""
    raw = _decoded(signature)
    if raw is None or not key.verifies(raw, payload):
        return "a signature by another key"
    try:
        critical = Fields(parse_json(payload, _WHERE), _WHERE).record("critical")
        kind = critical.text("type")
        signed = critical.record("image").text("docker-manifest-digest")
    except AirgapError as problem:
        return f"a signed text that is no simple signing payload: {problem.what}"
    if kind != _SIMPLE_SIGNING:
        return f"a signature of the type {kind[:100]!r}"
    return "" if signed == str(image) else f"a signature of {signed[:100]}"


def check_sigstore_bundle(raw: bytes, key: ImageKey, image: Digest) -> str:
    """Why this Sigstore bundle is no signature of ``image`` by ``key``; empty if it is one."""
    try:
        bundle = Fields(parse_json(raw, _WHERE, values=MANIFEST_VALUE_LIMIT), _WHERE)
        message = bundle.optional_record("messageSignature")
        if message is not None:
            return _check_message(message, key, image)
        envelope = parse_envelope(json.dumps(bundle.record("dsseEnvelope").mapping).encode())
        signed = envelope.signed_bytes
        if not any(key.verifies(one.value, signed) for one in envelope.signatures):
            return "a signature by another key"
        if envelope.payload_type != PAYLOAD_TYPE:
            return f"a signature of the type {envelope.payload_type[:100]!r}"
        return _check_statement(envelope.payload, image)
    except AirgapError as problem:
        return f"no Sigstore bundle: {problem.what}"


def _check_message(message: Fields, key: ImageKey, image: Digest) -> str:
    signature = _decoded(message.text("signature"))
    if image.algorithm != "sha256" or signature is None:
        return "no signature of a sha256"
    if not key.verifies_hash(signature, bytes.fromhex(image.hex)):
        return "a signature by another key, or of something else"
    return ""


def _check_statement(payload: bytes, image: Digest) -> str:
    statement = Fields(parse_json(payload, _WHERE), _WHERE)
    kind = statement.text("predicateType")
    if statement.text("_type") not in _STATEMENTS or kind != SIGN_PREDICATE:
        return f"a statement about something else: {kind[:100]}"
    subjects = [entry.text_map("digest") for entry in statement.records("subject")]
    if any(digests.get(image.algorithm) == image.hex for digests in subjects):
        return ""
    return "a signature of another image"


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
