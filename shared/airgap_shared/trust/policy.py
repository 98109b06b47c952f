"""Whom this site trusts, and whether an envelope satisfies that."""

from __future__ import annotations

from dataclasses import dataclass

from airgap_shared.errors import (
    KeyUntrusted,
    NoTrustConfigured,
    PayloadTypeUnsupported,
    SignatureInvalid,
    SignatureMissing,
)
from airgap_shared.trust.envelope import PAYLOAD_TYPE, Envelope
from airgap_shared.trust.keys import PublicKey


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """The keys of which at least one must have signed."""

    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise NoTrustConfigured(
                "no key says whom to trust",
                changed="nothing was read or changed",
                next_step="give the sender's public key with --key FILE.pub",
            )


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """A payload that a trusted key signed, and the keys that did; only :func:`unseal` makes it."""

    payload: bytes
    signers: tuple[PublicKey, ...]


def unseal(envelope: Envelope, policy: TrustPolicy) -> VerifiedPayload:
    """Verify the signatures, then the payload type (bundle-spec.md, Verification, 4–6).

    Every trusted key is tried on every signature; key ids decide nothing.

    Raises:
        SignatureMissing: there is no signature.
        SignatureInvalid: a signature names a trusted key but does not fit the payload.
        KeyUntrusted: no signature is by a trusted key.
        PayloadTypeUnsupported: signed, but not an in-toto statement.

    """
    if not envelope.signatures:
        raise SignatureMissing("the bundle carries no signature")
    message = envelope.signed_bytes
    signers = tuple(
        key
        for key in dict.fromkeys(policy.keys)
        if any(key.verifies(signature.value, message) for signature in envelope.signatures)
    )
    if not signers:
        _refuse(envelope, policy)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PayloadTypeUnsupported(f"signed content of type {envelope.payload_type[:100]!r}")
    return VerifiedPayload(envelope.payload, signers)


def _refuse(envelope: Envelope, policy: TrustPolicy) -> None:
    named = {signature.key_id for signature in envelope.signatures}
    trusted = {key.key_id for key in policy.keys}
    if named & trusted:
        raise SignatureInvalid(
            f"the signature of {', '.join(sorted(named & trusted))} does not fit the content",
            next_step="copy the bundle again; if it stays so, ask the sender",
        )
    raise KeyUntrusted(
        f"signed by {', '.join(sorted(named))[:300] or 'an unnamed key'}; "
        f"trusted here: {', '.join(sorted(trusted))}",
        next_step="check the key id with the sender by another way than this disk",
    )
