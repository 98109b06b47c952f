"""Which policy may follow which: the rules of TUF for its root."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airgap_shared.errors import (
    AirgapError,
    PayloadTypeUnsupported,
    PolicyInvalid,
    PredicateTypeUnsupported,
    SignatureMissing,
    SignatureThresholdNotMet,
    StatementInvalid,
)
from airgap_shared.trust.envelope import (
    PAYLOAD_TYPE,
    Envelope,
    Signature,
    pre_authentication_encoding,
    seal,
)
from airgap_shared.trust.policy import AppTrust, Quorum, Revocation, TrustedKey, TrustPolicy
from airgap_shared.trust.policyupdate import (
    accept_successor,
    compose_policy_statement,
    parse_policy_statement,
)
from airgap_shared.trust.privatekey import PrivateKey
from support.keys import fixed_key, fixed_rsa_key

OLD, BOTH, NEW = fixed_key(1), fixed_key(2), fixed_rsa_key()
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def policy(version: int, *keys: PrivateKey, threshold: int = 1) -> TrustPolicy:
    public = tuple(key.public_key for key in keys)
    entries = tuple(map(TrustedKey, public))
    return TrustPolicy(entries, (AppTrust(public, threshold=threshold),), version=version)


def signed(successor: TrustPolicy, *signers: PrivateKey) -> Envelope:
    return seal(compose_policy_statement(successor), signers)


CURRENT = policy(3, OLD, BOTH)
NEXT = policy(4, BOTH, NEW)


def refused(envelope: Envelope, error: type[AirgapError], match: str | None = None) -> AirgapError:
    with pytest.raises(error, match=match) as caught:
        accept_successor(envelope, CURRENT, NOW)
    return caught.value


@pytest.mark.parametrize("signers", [[BOTH], [OLD, NEW], [NEW, BOTH, OLD]])
def test_the_next_version_by_both_quorums_is_taken(signers: list[PrivateKey]) -> None:
    successor = accept_successor(signed(NEXT, *signers), CURRENT, NOW)
    assert successor.policy == parse_policy_statement(compose_policy_statement(NEXT))
    assert set(successor.signers) == {key.public_key for key in signers}


@pytest.mark.parametrize("version", [1, 2, 3, 5, 2**31])
def test_a21_only_the_next_version_is_taken(version: int) -> None:
    problem = refused(signed(replace(NEXT, version=version), BOTH), PolicyInvalid, "only 4")
    assert problem.changed == "the policy in force was kept"


def test_a21_not_by_the_new_keys_alone() -> None:
    problem = refused(
        signed(NEXT, NEW), SignatureThresholdNotMet, "0 of 1 keys of the policy in force"
    )
    assert OLD.public_key.key_id in problem.next_step


def test_a21_not_by_the_old_keys_alone() -> None:
    refused(signed(NEXT, OLD), SignatureThresholdNotMet, "0 of 1 keys of the new policy itself")


def test_nobody_signed() -> None:
    refused(Envelope(PAYLOAD_TYPE, compose_policy_statement(NEXT), ()), SignatureMissing)


def test_one_key_counts_once_however_often_it_signs() -> None:
    two = policy(3, OLD, BOTH, threshold=2)
    envelope = signed(policy(4, OLD, BOTH, threshold=2), OLD, OLD, OLD)
    with pytest.raises(SignatureThresholdNotMet, match="1 of 2"):
        accept_successor(envelope, two, NOW)


def test_a_name_of_its_own_choice_makes_no_second_key() -> None:
    two = policy(3, OLD, BOTH, threshold=2)
    envelope = signed(policy(4, OLD, BOTH, threshold=2), OLD)
    forged = Signature(BOTH.public_key.key_id, envelope.signatures[0].value)
    with pytest.raises(SignatureThresholdNotMet, match="1 of 2"):
        accept_successor(replace(envelope, signatures=(*envelope.signatures, forged)), two, NOW)


def test_the_quorum_for_updates_is_the_one_that_is_named() -> None:
    named = replace(CURRENT, updates=Quorum((OLD.public_key,), 1))
    with pytest.raises(SignatureThresholdNotMet, match="policy in force"):
        accept_successor(signed(NEXT, BOTH), named, NOW)
    accept_successor(signed(NEXT, OLD, NEW), named, NOW)


def test_a_key_for_one_application_has_no_power_over_the_others() -> None:
    """Where nobody is named for updates, whoever must sign each application must sign them."""
    shop, bank = (
        AppTrust((key.public_key,), name) for key, name in ((OLD, "shop"), (BOTH, "bank"))
    )
    current = replace(policy(3, OLD, BOTH), apps=(shop, bank))
    after = replace(current, version=4)
    for signer in (OLD, BOTH):
        with pytest.raises(SignatureThresholdNotMet, match="0 of 1 keys of the policy in force"):
            accept_successor(signed(after, signer), current, NOW)
    assert accept_successor(signed(after, OLD, BOTH), current, NOW).policy.version == 4


def test_a_policy_without_applications_is_updated_by_all_keys() -> None:
    current = replace(policy(3, OLD, BOTH), apps=())
    with pytest.raises(SignatureThresholdNotMet, match="1 of 2"):
        accept_successor(signed(NEXT, BOTH), current, NOW)
    accept_successor(signed(NEXT, OLD, BOTH), current, NOW)


def test_a_key_that_the_old_policy_revoked_does_not_count() -> None:
    revoked = replace(CURRENT, revoked=(Revocation(BOTH.public_key.key_id),))
    with pytest.raises(SignatureThresholdNotMet, match="policy in force"):
        accept_successor(signed(NEXT, BOTH), revoked, NOW)
    # Neither for the new policy, where it is trusted again.
    with pytest.raises(SignatureThresholdNotMet, match="new policy itself"):
        accept_successor(signed(NEXT, OLD, BOTH), revoked, NOW)


def test_a_key_that_the_new_policy_revokes_does_not_count() -> None:
    """Whoever stole a key cannot use it to take part in its own revocation."""
    revoking = replace(policy(4, OLD, NEW), revoked=(Revocation(BOTH.public_key.key_id),))
    refused(signed(revoking, BOTH, NEW), SignatureThresholdNotMet, "policy in force")
    assert accept_successor(signed(revoking, OLD), CURRENT, NOW).policy.version == 4


def test_a_revocation_is_not_taken_back_by_any_quorum() -> None:
    strangers = [fixed_key(number).public_key.key_id for number in (8, 9)]
    revoking = replace(CURRENT, revoked=tuple(map(Revocation, strangers)))
    for kept in ((), (Revocation(strangers[0]),)):
        with pytest.raises(PolicyInvalid, match="for ever") as caught:
            accept_successor(signed(replace(NEXT, revoked=kept), OLD, BOTH, NEW), revoking, NOW)
        assert [key_id in caught.value.what for key_id in strangers] == [not kept, True]
        assert caught.value.changed == "the policy in force was kept"
    # What it says of them besides is for people.
    told = replace(NEXT, revoked=tuple(Revocation(key, "lost") for key in strangers))
    assert accept_successor(signed(told, BOTH), revoking, NOW).policy.revoked == told.revoked


def test_a_key_counts_at_its_time_only() -> None:
    ended = replace(
        CURRENT,
        keys=(TrustedKey(OLD.public_key, not_after=NOW - timedelta(days=1)), CURRENT.keys[1]),
    )
    with pytest.raises(SignatureThresholdNotMet, match="policy in force"):
        accept_successor(signed(NEXT, OLD, NEW), ended, NOW)
    accept_successor(signed(NEXT, OLD, NEW), ended, NOW - timedelta(days=2))


def document(successor: TrustPolicy) -> dict[str, Any]:
    loaded = json.loads(compose_policy_statement(successor))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, StatementInvalid),
        (
            {"predicateType": "https://airgap-bundle.dev/attestation/bundle/v1"},
            PredicateTypeUnsupported,
        ),
        ({"subject": []}, StatementInvalid),
        ({"subject": [{"name": "policy.json", "digest": {"sha256": "0" * 64}}]}, StatementInvalid),
        ({"predicate": {}}, PolicyInvalid),
        ({"predicate": None}, StatementInvalid),
    ],
)
def test_what_else_could_be_signed_is_no_policy(
    change: dict[str, Any], error: type[AirgapError]
) -> None:
    payload = json.dumps({**document(NEXT), **change}).encode()
    refused(seal(payload, [BOTH]), error)


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"_type": 1, "_type": 2}'])
def test_what_is_signed_but_no_statement(payload: bytes) -> None:
    refused(seal(payload, [BOTH]), StatementInvalid)


def test_nothing_of_a_stranger_is_read() -> None:
    refused(seal(b"{" * 1000, [NEW]), SignatureThresholdNotMet)


def test_another_payload_type() -> None:
    payload = compose_policy_statement(NEXT)
    value = BOTH.sign(pre_authentication_encoding("text/plain", payload))
    refused(Envelope("text/plain", payload, (Signature("", value),)), PayloadTypeUnsupported)
