from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import (
    KeyUntrusted,
    NoTrustConfigured,
    PayloadTypeUnsupported,
    SignatureInvalid,
    SignatureMissing,
)
from airgap_shared.trust.envelope import (
    Envelope,
    Signature,
    pre_authentication_encoding,
    seal,
)
from airgap_shared.trust.keys import PublicKey
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.privatekey import PrivateKey
from airgap_shared.trust.unsealing import VerifiedPayload
from airgap_shared.trust.unsealing import unseal as unseal_at
from support.keys import fixed_key

OURS, THEIRS, OTHER = fixed_key(1), fixed_key(2), fixed_key(3)
PAYLOAD = b'{"_type": "statement"}'
SEALED = seal(PAYLOAD, [OURS])


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def trusting(*keys: PrivateKey) -> TrustPolicy:
    return TrustPolicy.of_keys(key.public_key for key in keys)


def unseal(envelope: Envelope, policy: TrustPolicy) -> VerifiedPayload:
    return unseal_at(envelope, policy, NOW)


def signers(verified: VerifiedPayload) -> tuple[PublicKey, ...]:
    return tuple(key.key for key in verified.signers)


@pytest.mark.parametrize(
    ("signing", "trusted", "found"),
    [
        ([OURS], [OURS], [OURS]),
        ([OURS], [THEIRS, OURS], [OURS]),
        ([THEIRS, OURS], [OURS], [OURS]),
        ([OURS, THEIRS], [THEIRS, OURS], [THEIRS, OURS]),
        ([OURS, OURS], [OURS, OURS], [OURS]),
        ([OURS, THEIRS, OTHER], [OTHER], [OTHER]),
    ],
)
def test_every_trusted_key_that_signed_is_named_once(
    signing: list[PrivateKey], trusted: list[PrivateKey], found: list[PrivateKey]
) -> None:
    verified = unseal(seal(PAYLOAD, signing), trusting(*trusted))
    assert verified.payload == PAYLOAD
    assert signers(verified) == tuple(key.public_key for key in found)


@pytest.mark.parametrize("hint", ["", "SHA256:wrong", THEIRS.public_key.key_id, "\x1b[31m"])
def test_a_key_id_decides_nothing(hint: str) -> None:
    (signature,) = SEALED.signatures
    hinted = replace(SEALED, signatures=(replace(signature, key_id=hint),))
    assert signers(unseal(hinted, trusting(OURS))) == (OURS.public_key,)


def test_without_a_signature_nothing_is_trusted() -> None:
    with pytest.raises(SignatureMissing):
        unseal(Envelope(SEALED.payload_type, PAYLOAD, ()), trusting(OURS))


def test_a_stranger_is_named_with_those_who_are_trusted() -> None:
    with pytest.raises(KeyUntrusted) as caught:
        unseal(SEALED, trusting(THEIRS, OTHER))
    for key in (OURS, THEIRS, OTHER):
        assert key.public_key.key_id in caught.value.what


def test_an_unnamed_stranger() -> None:
    (signature,) = SEALED.signatures
    with pytest.raises(KeyUntrusted, match="signed by an unnamed key"):
        unseal(replace(SEALED, signatures=(replace(signature, key_id=""),)), trusting(THEIRS))


def test_a_stranger_cannot_borrow_a_trusted_name() -> None:
    (signature,) = seal(PAYLOAD, [THEIRS]).signatures
    forged = replace(SEALED, signatures=(replace(signature, key_id=OURS.public_key.key_id),))
    with pytest.raises(SignatureInvalid, match=OURS.public_key.key_id.replace("+", r"\+")):
        unseal(forged, trusting(OURS))


@given(st.data())
def test_any_other_payload_is_refused(data: st.DataObject) -> None:
    changed = bytearray(PAYLOAD)
    changed[data.draw(st.integers(0, len(PAYLOAD) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SignatureInvalid):
        unseal(replace(SEALED, payload=bytes(changed)), trusting(OURS))


@given(st.data())
def test_any_other_signature_is_refused(data: st.DataObject) -> None:
    (signature,) = SEALED.signatures
    changed = bytearray(signature.value)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    forged = replace(SEALED, signatures=(replace(signature, value=bytes(changed)),))
    with pytest.raises(SignatureInvalid):
        unseal(forged, trusting(OURS))


@given(st.binary(max_size=200))
def test_no_rubbish_passes_for_a_signature(value: bytes) -> None:
    with pytest.raises(KeyUntrusted):
        unseal(replace(SEALED, signatures=(Signature("", value),)), trusting(OURS))


def test_a_signature_over_the_bare_payload_is_none() -> None:
    bare = Signature(OURS.public_key.key_id, OURS.sign(PAYLOAD))
    with pytest.raises(SignatureInvalid):
        unseal(replace(SEALED, signatures=(bare,)), trusting(OURS))


def test_the_payload_type_is_signed_too() -> None:
    with pytest.raises(SignatureInvalid):
        unseal(replace(SEALED, payload_type="text/plain"), trusting(OURS))


def test_another_payload_type_is_refused_once_it_is_known_to_be_meant() -> None:
    message = pre_authentication_encoding("text/plain", PAYLOAD)
    signature = Signature(OURS.public_key.key_id, OURS.sign(message))
    envelope = Envelope("text/plain", PAYLOAD, (signature,))
    with pytest.raises(PayloadTypeUnsupported, match="text/plain"):
        unseal(envelope, trusting(OURS))
    with pytest.raises(KeyUntrusted):
        unseal(envelope, trusting(THEIRS))


def test_a_policy_without_keys_is_none() -> None:
    with pytest.raises(NoTrustConfigured):
        TrustPolicy.of_keys(())
