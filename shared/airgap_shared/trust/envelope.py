"""The DSSE envelope: a payload, its type, and signatures over both (DSSE v1.0.2)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass

from airgap_shared.errors import EnvelopeInvalid, LimitExceeded, SignatureInvalid
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.trust.keys import PublicKey, Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ENVELOPE_LIMIT = 16 * 1024 * 1024
#: It is read before any signature; an honest one has some hundred values.
ENVELOPE_VALUE_LIMIT = 1_000
SIGNATURE_LIMIT = 16
SIGNATURE_BYTES_LIMIT = 1024
_WHERE = "signature envelope"
_JSON_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; ``key_id`` is a hint that nothing is decided by."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """What was signed, as bytes, and the signatures; nothing in it is trusted yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding: what the signatures are over."""
        return pre_authentication_encoding(self.payload_type, self.payload)

    def to_json(self) -> bytes:
        """The envelope as it is stored: sorted keys, no white space."""
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": signature.key_id, "sig": base64.b64encode(signature.value).decode()}
                for signature in self.signatures
            ],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of the DSSE protocol: lengths in bytes, so that nothing can be moved across."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, signers: Iterable[Signer]) -> Envelope:
    """Sign a payload.

    Raises:
        SignatureInvalid: what a signer made is not by its key.
        AirgapError: of a signer, when it cannot sign.

    """
    return Envelope(PAYLOAD_TYPE, payload, tuple(_sign(payload, signer) for signer in signers))


def signature_by(envelope: Envelope, key: PublicKey) -> Signature | None:
    """The first signature that this key made, under its own name; None if there is none."""
    message = envelope.signed_bytes
    for signature in envelope.signatures:
        if key.verifies(signature.value, message):
            return Signature(key.key_id, signature.value)
    return None


def _sign(payload: bytes, signer: Signer) -> Signature:
    message, key = pre_authentication_encoding(PAYLOAD_TYPE, payload), signer.public_key
    value = signer.sign(message)
    if not key.verifies(value, message):
        raise SignatureInvalid(
            f"what was signed does not verify with {key.key_id}",
            changed="nothing was written",
            next_step="give the public key that belongs to the signer; it signs "
            f"what it reads, by {key.scheme}",
        )
    return Signature(key.key_id, value)


def parse_envelope(raw: bytes, file: str = "") -> Envelope:
    """Read an envelope strictly; extra fields are ignored as DSSE asks.

    ``file`` names it in errors where it is one of its own.

    Raises:
        EnvelopeInvalid: not an envelope.
        DuplicateJSONKey: a key stands twice.
        LimitExceeded: more than 16 MiB, 1,000 values or 16 signatures.

    """
    where = f"{file}: {_WHERE}" if file else _WHERE
    if len(raw) > ENVELOPE_LIMIT:
        raise LimitExceeded(f"an envelope of {len(raw)} bytes, over {ENVELOPE_LIMIT}", where=where)
    if not raw.lstrip(_JSON_SPACE).startswith(b"{"):
        raise EnvelopeInvalid("not a JSON object", where=where)
    document = parse_json(raw, where, EnvelopeInvalid, values=ENVELOPE_VALUE_LIMIT)
    fields = Fields(document, where, EnvelopeInvalid)
    entries = fields.records("signatures")
    if len(entries) > SIGNATURE_LIMIT:
        raise LimitExceeded(f"{len(entries)} signatures, over {SIGNATURE_LIMIT}", where=where)
    signatures = tuple(
        Signature(entry.optional_text("keyid") or "", _decode(entry, "sig")) for entry in entries
    )
    if any(len(signature.value) > SIGNATURE_BYTES_LIMIT for signature in signatures):
        raise LimitExceeded(f"a signature over {SIGNATURE_BYTES_LIMIT} bytes", where=where)
    return Envelope(fields.text("payloadType"), _decode(fields, "payload"), signatures)


def _decode(fields: Fields, key: str) -> bytes:
    """Base64, standard or URL-safe (the protocol requires both to be accepted), padded.

    One content has one text in each alphabet; neither a mixture nor spare bits are taken.
    """
    text = fields.text(key)
    try:
        content = base64.b64decode(text, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        fields.refuse("not base64", key)
    if text.encode() not in (base64.b64encode(content), base64.urlsafe_b64encode(content)):
        fields.refuse("not base64", key)
    return content
