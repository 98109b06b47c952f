"""Further signatures over what others signed already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airgap_shared.errors import LimitExceeded, PayloadTypeUnsupported, UsageError
from airgap_shared.trust.envelope import (
    PAYLOAD_TYPE,
    SIGNATURE_LIMIT,
    Envelope,
    seal,
    signature_by,
)
from airgap_shared.trust.keys import Signer


def countersign(envelope: Envelope, detached: Sequence[Envelope], signer: Signer) -> Envelope:
    """One more signature over the very same bytes, together with the detached ones.

    ``envelope`` has all signatures that there are so far, those of ``detached`` included.

    Raises:
        UsageError: this key has signed already; once more does not count twice.
        LimitExceeded: there are too many signatures.
        PayloadTypeUnsupported: it is not an in-toto statement.
        AirgapError: of the signer.

    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PayloadTypeUnsupported(f"content of type {envelope.payload_type[:100]!r}")
    key = signer.public_key
    if signature_by(envelope, key) is not None:
        raise UsageError(
            f"{key.key_id} has signed this already; a key counts once",
            changed="nothing was written",
        )
    if len(envelope.signatures) >= SIGNATURE_LIMIT:
        raise LimitExceeded(
            f"{SIGNATURE_LIMIT} signatures are there already, the most there can be"
        )
    before = tuple(signature for other in detached for signature in other.signatures)
    sealed = seal(envelope.payload, [signer])
    return replace(sealed, signatures=(*before, *sealed.signatures))
