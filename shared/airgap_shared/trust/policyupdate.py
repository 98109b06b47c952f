"""Signed versions of a trust policy: what follows on the one in force, and who must say so.

The rules are those of The Update Framework for its root of trust (TUF 5.3): the next number, signed
by the quorum in force and by the one that it names itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from airgap_shared.errors import (
    DuplicateJSONKey,
    PayloadTypeUnsupported,
    PolicyInvalid,
    PredicateTypeUnsupported,
    SignatureMissing,
    SignatureThresholdNotMet,
    StatementInvalid,
)
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.moment import format_time
from airgap_shared.trust.envelope import PAYLOAD_TYPE, Envelope
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.policyfile import compose_policy, policy_document, policy_of

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://airgap-bundle.dev/attestation/trust-policy/v1"
SUBJECT = "policy.json"
_WHERE = "signed policy"


@dataclass(frozen=True, slots=True)
class Successor:
    """A policy that may take the place of the one in force, and who signed it."""

    policy: TrustPolicy
    signers: tuple[PublicKey, ...]


def compose_policy_statement(policy: TrustPolicy) -> bytes:
    """What is signed for a policy: an in-toto Statement about its document."""
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": SUBJECT, "digest": {"sha256": _digest(policy)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": policy_document(policy),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def parse_policy_statement(payload: bytes) -> TrustPolicy:
    """The policy in a statement.

    Raises:
        StatementInvalid, PredicateTypeUnsupported: the statement is about something else.
        PolicyInvalid: the policy cannot be relied on.

    """
    try:
        document = parse_json(payload, _WHERE, StatementInvalid)
    except DuplicateJSONKey as problem:
        raise StatementInvalid(problem.what, where=_WHERE) from problem
    fields = Fields(document, _WHERE, StatementInvalid)
    if fields.text("_type") != STATEMENT_TYPE:
        fields.refuse("not an in-toto Statement v1", "_type")
    kind = fields.text("predicateType")
    if kind != PREDICATE_TYPE:
        raise PredicateTypeUnsupported(f"signed content is about {kind[:100]!r}, not a policy")
    policy = policy_of(fields.record("predicate").mapping, _WHERE)
    subjects = fields.records("subject")
    if (
        len(subjects) != 1
        or subjects[0].text("name") != SUBJECT
        or subjects[0].text_map("digest").get("sha256") != _digest(policy)
    ):
        fields.refuse("the subject is not the policy", "subject")
    return policy


def accept_successor(envelope: Envelope, current: TrustPolicy, now: datetime) -> Successor:
    """The policy in an envelope, once it is known that it may follow the one in force.

    Raises:
        SignatureMissing: there is no signature.
        SignatureThresholdNotMet: not by the quorum in force, or not by its own.
        PayloadTypeUnsupported, PredicateTypeUnsupported, StatementInvalid: it is no policy.
        PolicyInvalid: the policy cannot be relied on, is not the next version, or takes a
            revocation back.

    """
    if not envelope.signatures:
        raise SignatureMissing("the policy carries no signature")
    # First by what is known already: nothing of a stranger's document is looked at.
    _require(envelope, current, None, now, "of the policy in force")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PayloadTypeUnsupported(f"signed content of type {envelope.payload_type[:100]!r}")
    successor = parse_policy_statement(envelope.payload)
    if successor.version != current.version + 1:
        raise PolicyInvalid(
            f"this is version {successor.version}; version {current.version} is in force, "
            f"so only {current.version + 1} can follow",
            changed="the policy in force was kept",
            next_step="install the versions one after the other",
        )
    old = _require(envelope, current, successor, now, "of the policy in force")
    new = _require(envelope, successor, current, now, "of the new policy itself")
    check_revocations(successor, current)
    return Successor(successor, tuple(dict.fromkeys((*old, *new))))


def check_revocations(successor: TrustPolicy, current: TrustPolicy) -> None:
    """Raise :class:`PolicyInvalid` for a successor that does not revoke what is revoked."""
    forgotten = [
        entry.key_id for entry in current.revoked if not successor.is_revoked(entry.key_id)
    ]
    if forgotten:
        raise PolicyInvalid(
            f"it does not revoke {', '.join(forgotten)} any more; revocation is for ever",
            changed="the policy in force was kept",
            next_step="have a version signed that revokes as well what is revoked now",
        )


def compose_acceptance(successor: Successor, now: datetime, clock: datetime) -> bytes:
    """The record of a policy that was judged by a time that the caller claimed.

    A JSON object: ``version``, ``now`` as claimed, what the ``clock`` said, and the ids of the
    ``signers`` that counted at the claimed time.
    """
    document = {
        "version": successor.policy.version,
        "now": format_time(now),
        "clock": format_time(clock),
        "signers": [key.key_id for key in successor.signers],
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("ascii")


def _require(
    envelope: Envelope, policy: TrustPolicy, other: TrustPolicy | None, now: datetime, whose: str
) -> tuple[PublicKey, ...]:
    """The keys of the policy's quorums that signed; those that either revokes never count."""
    trusted = {key.key: key for key in policy.keys}
    message = envelope.signed_bytes

    def has_signed(key: PublicKey) -> bool:
        return (
            trusted[key].is_valid_at(now)
            and not policy.is_revoked(key.key_id)
            and not (other is not None and other.is_revoked(key.key_id))
            and any(key.verifies(signature.value, message) for signature in envelope.signatures)
        )

    found: list[PublicKey] = []
    for quorum in policy.update_quorums:
        signers = [key for key in quorum.keys if has_signed(key)]
        if len(signers) < quorum.threshold:
            missing = [key.key_id for key in quorum.keys if key not in signers]
            raise SignatureThresholdNotMet(
                f"signed by {len(signers)} of {quorum.threshold} keys {whose}",
                changed="the policy in force was kept",
                next_step=f"have it signed as well by: {', '.join(missing)}",
            )
        found += signers
    return tuple(dict.fromkeys(found))


def _digest(policy: TrustPolicy) -> str:
    return hashlib.sha256(compose_policy(policy)).hexdigest()
