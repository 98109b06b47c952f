"""Whether the signatures of an envelope satisfy a policy, and the only maker of what then is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airgap_shared.errors import (
    KeyExpired,
    KeyRevoked,
    KeyUntrusted,
    LimitExceeded,
    PayloadMismatch,
    PayloadTypeUnsupported,
    SignatureInvalid,
    SignatureMissing,
    SignatureThresholdNotMet,
)
from airgap_shared.trust.envelope import PAYLOAD_TYPE, SIGNATURE_LIMIT, Envelope
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.policy import AppTrust, TrustedKey, TrustPolicy

_DETAILS = 10
_ASK = "check the key id with the sender by another way than this disk"


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """A payload that trusted keys signed, and those keys; only :func:`unseal` makes it.

    The threshold of at least one application of the policy is met. Which application it is about
    only the payload says: :func:`check_signers` must follow.
    """

    payload: bytes
    signers: tuple[TrustedKey, ...]


def join_signatures(envelope: Envelope, detached: Iterable[Envelope]) -> Envelope:
    """The envelope with the signatures of others over the same payload.

    Raises:
        PayloadMismatch: one of them is over something else.
        LimitExceeded: more than 16 signatures together.

    """
    for other in detached:
        if (other.payload_type, other.payload) != (envelope.payload_type, envelope.payload):
            raise PayloadMismatch(
                "a detached signature is about another payload",
                next_step="give the signature file that was made for this very bundle",
            )
        envelope = replace(envelope, signatures=(*envelope.signatures, *other.signatures))
    if len(envelope.signatures) > SIGNATURE_LIMIT:
        raise LimitExceeded(f"{len(envelope.signatures)} signatures, over {SIGNATURE_LIMIT}")
    return envelope


def unseal(envelope: Envelope, policy: TrustPolicy, now: datetime) -> VerifiedPayload:
    """Verify the signatures, then the payload type (bundle-spec.md, Verification, 4–6).

    Every trusted key is tried on every signature; key ids decide nothing. Keys count by their
    SubjectPublicKeyInfo, however many signatures they made.

    Raises:
        SignatureMissing: there is no signature.
        SignatureInvalid: a signature names a trusted key but does not fit the payload.
        KeyUntrusted: no signature is by a trusted key.
        KeyRevoked, KeyExpired: only by keys that are trusted no more, or not yet.
        SignatureThresholdNotMet: by fewer than any application of the policy asks for.
        PayloadTypeUnsupported: signed, but not an in-toto statement.

    """
    if not envelope.signatures:
        raise SignatureMissing("the bundle carries no signature")
    made = _makers(envelope, policy.keys)
    if not made:
        _refuse_strangers(envelope, policy)
    signers = _usable(made, policy, None if policy.judge_at_creation else now)
    short = {app: _missing(app, signers) for app in policy.apps}
    if all(short.values()):
        # Which application it is about, nothing that is trusted says yet: all, the nearest first.
        nearest = sorted(short, key=lambda app: -_count(app, signers))
        first, *others = [short[app] for app in nearest] or ["the policy allows no application"]
        raise SignatureThresholdNotMet(first, details=others[:_DETAILS])
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PayloadTypeUnsupported(f"signed content of type {envelope.payload_type[:100]!r}")
    return VerifiedPayload(envelope.payload, signers)


def check_signers(
    verified: VerifiedPayload, policy: TrustPolicy, app: AppTrust, created: datetime
) -> tuple[PublicKey, ...]:
    """The keys that signed for this application, once the payload told which it is.

    ``created`` is the time that the payload claims; it counts where the policy says so.

    Raises:
        KeyExpired: none of the keys was trusted then.
        SignatureThresholdNotMet: fewer than the application needs.

    """
    signers = verified.signers
    if policy.judge_at_creation:
        signers = _usable(signers, policy, created)
    if missing := _missing(app, signers):
        raise SignatureThresholdNotMet(missing, next_step="have the others sign as well")
    return tuple(key.key for key in signers if key.key in app.keys)


def _makers(envelope: Envelope, keys: Sequence[TrustedKey]) -> tuple[TrustedKey, ...]:
    message = envelope.signed_bytes
    return tuple(
        key
        for key in keys
        if any(key.key.verifies(signature.value, message) for signature in envelope.signatures)
    )


def _usable(
    made: Sequence[TrustedKey], policy: TrustPolicy, moment: datetime | None
) -> tuple[TrustedKey, ...]:
    """Those of the keys that are trusted, at this moment if there is one."""
    standing = tuple(key for key in made if not policy.is_revoked(key.key.key_id))
    if not standing:
        raise _revoked(policy, [key.key.key_id for key in made])
    valid = tuple(key for key in standing if moment is None or key.is_valid_at(moment))
    if not valid:
        times = "; ".join(_validity(key) for key in standing)
        raise KeyExpired(
            f"the key is not trusted at {moment:%Y-%m-%dT%H:%M:%SZ}: {times}",
            next_step="have the bundle signed with a current key, or check this machine's clock",
        )
    return valid


def _count(app: AppTrust, signers: Sequence[TrustedKey]) -> int:
    return sum(key.key in app.keys for key in signers)


def _missing(app: AppTrust, signers: Sequence[TrustedKey]) -> str:
    """What an application lacks in signatures; empty when nothing."""
    count = _count(app, signers)
    if count >= app.threshold:
        return ""
    by = ", ".join(key.key.key_id for key in signers)
    return f"signed by {count} of {app.threshold} keys that {app} needs; valid here: {by}"


def _validity(key: TrustedKey) -> str:
    start = f"{key.not_before:%Y-%m-%d}" if key.not_before else "ever"
    end = f"{key.not_after:%Y-%m-%d}" if key.not_after else "ever"
    return f"{key.key.key_id} from {start} to {end}"


def _revoked(policy: TrustPolicy, key_ids: Iterable[str]) -> KeyRevoked:
    known = {entry.key_id: entry.reason for entry in policy.revoked}
    named = [f"{key_id} ({known[key_id] or 'no reason given'})" for key_id in key_ids]
    return KeyRevoked(
        f"signed by a revoked key: {', '.join(named)}"[:500],
        next_step="ask the sender for a bundle signed with a current key",
    )


def _refuse_strangers(envelope: Envelope, policy: TrustPolicy) -> None:
    named = {signature.key_id for signature in envelope.signatures}
    trusted = {key.key.key_id for key in policy.keys}
    if revoked := sorted(key_id for key_id in named if policy.is_revoked(key_id)):
        raise _revoked(policy, revoked)
    if named & trusted:
        raise SignatureInvalid(
            f"the signature of {', '.join(sorted(named & trusted))} does not fit the content",
            next_step="copy the bundle again; if it stays so, ask the sender",
        )
    raise KeyUntrusted(
        f"signed by {', '.join(sorted(named))[:300] or 'an unnamed key'}; "
        f"trusted here: {', '.join(sorted(trusted))}",
        next_step=_ASK,
    )
