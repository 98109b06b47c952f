from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import (
    AirgapError,
    DuplicateJSONKey,
    EnvelopeInvalid,
    LimitExceeded,
)
from airgap_shared.trust.envelope import (
    ENVELOPE_LIMIT,
    ENVELOPE_VALUE_LIMIT,
    PAYLOAD_TYPE,
    SIGNATURE_LIMIT,
    Envelope,
    Signature,
    parse_envelope,
    pre_authentication_encoding,
    seal,
)
from airgap_shared.trust.privatekey import PrivateKey

ENVELOPES = st.builds(
    Envelope,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.binary(max_size=100),
    st.lists(
        st.builds(Signature, st.text("SHA256:ab+/", max_size=20), st.binary(max_size=80)),
        max_size=SIGNATURE_LIMIT,
    ).map(tuple),
)
GOOD: dict[str, object] = {
    "payload": "e30=",
    "payloadType": PAYLOAD_TYPE,
    "signatures": [{"keyid": "SHA256:x", "sig": "MAA="}],
}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("kind", "payload", "encoding"),
    [
        (
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        (PAYLOAD_TYPE, b"{}", b"DSSEv1 28 application/vnd.in-toto+json 2 {}"),
        ("", b"", b"DSSEv1 0  0 "),
        ("é", b"\x00\xff", b"DSSEv1 2 \xc3\xa9 2 \x00\xff"),
    ],
)
def test_the_pre_authentication_encoding(kind: str, payload: bytes, encoding: bytes) -> None:
    assert pre_authentication_encoding(kind, payload) == encoding
    assert Envelope(kind, payload, ()).signed_bytes == encoding


@given(ENVELOPES, ENVELOPES)
def test_two_contents_never_share_an_encoding(one: Envelope, other: Envelope) -> None:
    same = (one.payload_type, one.payload) == (other.payload_type, other.payload)
    assert (one.signed_bytes == other.signed_bytes) is same


@given(ENVELOPES)
def test_an_envelope_is_written_and_read(envelope: Envelope) -> None:
    assert parse_envelope(envelope.to_json()) == envelope
    assert envelope.to_json() == parse_envelope(envelope.to_json()).to_json()


@given(st.binary(max_size=100))
def test_both_alphabets_of_base64_are_read(payload: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        raw = encoded({**GOOD, "payload": encode(payload).decode()})
        assert parse_envelope(raw).payload == payload


def test_a_key_id_is_optional_and_further_fields_are_ignored() -> None:
    found = parse_envelope(
        encoded({**GOOD, "extra": [1], "signatures": [{"sig": "MAA=", "cert": "x"}]})
    )
    assert found.signatures == (Signature("", b"0\x00"),)
    assert found.payload == b"{}"


def test_a_payload_is_sealed_by_every_signer() -> None:
    keys = [PrivateKey.generate(), PrivateKey.generate()]
    envelope = parse_envelope(seal(b"payload", keys).to_json())
    assert envelope.payload_type == PAYLOAD_TYPE
    assert [signature.key_id for signature in envelope.signatures] == [
        key.public_key.key_id for key in keys
    ]
    for key, signature in zip(keys, envelope.signatures, strict=True):
        assert key.public_key.verifies(signature.value, envelope.signed_bytes)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": None},
        {"payload": 1},
        {"payload": ["e30="]},
        {"payloadType": None},
        {"payloadType": 1},
        {"payloadType": "\ud800"},
        {"signatures": None},
        {"signatures": {}},
        {"signatures": "x"},
        {"signatures": [None]},
        {"signatures": ["MAA="]},
        {"signatures": [{}]},
        {"signatures": [{"sig": None}]},
        {"signatures": [{"sig": 1}]},
        {"signatures": [{"sig": "MAA=", "keyid": 1}]},
        {"signatures": [{"sig": "MAA"}]},
    ],
)
def test_a_field_that_is_missing_or_of_another_type_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EnvelopeInvalid) as caught:
        parse_envelope(encoded({**GOOD, **change}))
    assert caught.value.where.startswith("signature envelope")


@pytest.mark.parametrize(
    "text",
    [
        "e30",
        "e30==",
        "e3 0=",
        "e30=\n",
        "e30=e30=",
        "=e30",
        "e31=",
        "-/8=",
        "+_8=",
        "e3.0",
        "é30=",
        "ｅ30=",
    ],
)
def test_base64_is_strict(text: str) -> None:
    with pytest.raises(EnvelopeInvalid) as caught:
        parse_envelope(encoded({**GOOD, "payload": text}))
    assert caught.value.where == "signature envelope.payload"


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", b'"x"', b"{}", b"{} {}"])
def test_what_is_no_envelope_is_refused(raw: bytes) -> None:
    with pytest.raises(EnvelopeInvalid):
        parse_envelope(raw)


@pytest.mark.parametrize("key", ["payload", "payloadType", "signatures"])
def test_a_key_that_stands_twice_is_refused(key: str) -> None:
    raw = encoded(GOOD)[:-1] + f', "{key}": {json.dumps(GOOD[key])}}}'.encode()
    with pytest.raises(DuplicateJSONKey):
        parse_envelope(raw)


def test_size_number_and_length_are_limited() -> None:
    signature = {"sig": "MAA="}
    parse_envelope(encoded({**GOOD, "signatures": [signature] * SIGNATURE_LIMIT}))
    with pytest.raises(LimitExceeded, match="17 signatures"):
        parse_envelope(encoded({**GOOD, "signatures": [signature] * (SIGNATURE_LIMIT + 1)}))
    parse_envelope(encoded(GOOD).ljust(ENVELOPE_LIMIT))
    with pytest.raises(LimitExceeded, match="an envelope of"):
        parse_envelope(encoded(GOOD).ljust(ENVELOPE_LIMIT + 1))
    long = base64.b64encode(bytes(1025)).decode()
    with pytest.raises(LimitExceeded, match="a signature over"):
        parse_envelope(encoded({**GOOD, "signatures": [{"sig": long}]}))


def test_the_number_of_values_is_limited() -> None:
    """Fields of others are ignored, but not without end."""
    parse_envelope(encoded({**GOOD, "x": [0] * (ENVELOPE_VALUE_LIMIT // 2)}))
    with pytest.raises(LimitExceeded, match="over 1,000 values"):
        parse_envelope(encoded({**GOOD, "x": [0] * ENVELOPE_VALUE_LIMIT}))
    full = {"keyid": ",".join("[{:" * 40), "sig": "MAA=", "cert": "x"}
    parse_envelope(encoded({**GOOD, "signatures": [full] * SIGNATURE_LIMIT}))


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 7))
def test_a_damaged_envelope_never_fails_in_another_way(junk: bytes, at: int, bit: int) -> None:
    raw = bytearray(encoded(GOOD))
    raw[at % len(raw)] ^= 1 << bit
    for damaged in (bytes(raw), junk, bytes(raw[:at]) + junk):
        try:
            parse_envelope(damaged)
        except AirgapError as problem:
            assert isinstance(problem, EnvelopeInvalid | DuplicateJSONKey)
