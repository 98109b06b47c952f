from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import KeyFileInvalid
from airgap_shared.oci.digest import Digest
from airgap_shared.trust.imagekeys import parse_image_key
from airgap_shared.trust.imagesignatures import check_sigstore_bundle, check_simple_signing
from support.cosigning import (
    SIGN,
    ImageSigner,
    make_signers,
    message_bundle,
    sigstore_bundle,
    simple_payload,
)

SIGNERS = make_signers()
KEYS = {name: parse_image_key(signer.pem) for name, signer in SIGNERS.items()}
MANIFEST = b'{"schemaVersion":2}'
IMAGE = Digest.of(MANIFEST)
OTHER = Digest.of(b"another image")
KINDS = pytest.mark.parametrize("kind", sorted(SIGNERS))


def statement(digest: Digest = IMAGE, **changes: object) -> bytes:
    document: dict[str, object] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {digest.algorithm: digest.hex}}],
        "predicateType": SIGN,
        "predicate": {},
    }
    return json.dumps({**document, **changes}).encode()


@KINDS
def test_a_simple_signature_by_the_key_is_one(kind: str) -> None:
    payload, signature = SIGNERS[kind].entry(str(IMAGE))
    assert check_simple_signing(payload, signature, KEYS[kind], IMAGE) == ""


@KINDS
def test_a_simple_signature_by_another_key_is_none(kind: str) -> None:
    payload, signature = SIGNERS[kind].entry(str(IMAGE))
    for name, key in KEYS.items():
        if name != kind:
            assert "another key" in check_simple_signing(payload, signature, key, IMAGE)


def test_a_simple_signature_is_of_this_image_and_of_this_kind() -> None:
    signer, key = SIGNERS["ecdsa"], KEYS["ecdsa"]
    assert str(OTHER) in check_simple_signing(*signer.entry(str(OTHER)), key, IMAGE)
    typed = signer.entry(str(IMAGE), type="atomic container signature")
    assert "of the type" in check_simple_signing(*typed, key, IMAGE)
    bare = signer.entry(str(IMAGE), image={})
    assert "no simple signing payload" in check_simple_signing(*bare, key, IMAGE)


def test_a_payload_that_says_two_things_says_nothing() -> None:
    signer = SIGNERS["ecdsa"]
    twice = (
        simple_payload(str(OTHER))[:-1]
        + b', "critical": '
        + json.dumps(json.loads(simple_payload(str(IMAGE)))["critical"]).encode()
        + b"}"
    )
    signature = base64.b64encode(signer.sign(twice)).decode()
    assert "stands twice" in check_simple_signing(twice, signature, KEYS["ecdsa"], IMAGE)


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "é"])
def test_what_is_no_signature_is_none(signature: str) -> None:
    for key in KEYS.values():
        assert check_simple_signing(simple_payload(str(IMAGE)), signature, key, IMAGE)


#: Made once: ECDSA signatures differ in length.
ENTRIES = {name: signer.entry(str(IMAGE)) for name, signer in SIGNERS.items()}


@given(st.data())
def test_a_changed_payload_or_signature_never_counts(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(SIGNERS)))
    payload, signature = ENTRIES[kind]
    raw = bytearray(base64.b64decode(signature))
    changed = bytearray(payload)
    target = data.draw(st.sampled_from([raw, changed]))
    target[data.draw(st.integers(0, len(target) - 1))] ^= data.draw(st.integers(1, 255))
    text = base64.b64encode(bytes(raw)).decode()
    assert check_simple_signing(bytes(changed), text, KEYS[kind], IMAGE)


@KINDS
def test_a_sigstore_bundle_about_the_image_is_a_signature(kind: str) -> None:
    bundle = sigstore_bundle(SIGNERS[kind], statement())
    assert check_sigstore_bundle(bundle, KEYS[kind], IMAGE) == ""
    for name, key in KEYS.items():
        if name != kind:
            assert "another key" in check_sigstore_bundle(bundle, key, IMAGE)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (statement(OTHER), "another image"),
        (statement(subject=[]), "another image"),
        (statement(predicateType="https://slsa.dev/provenance/v1"), "something else"),
        (statement(_type="https://in-toto.io/Statement/v2"), "something else"),
        (b"[]", "no Sigstore bundle"),
        (b"\xff", "no Sigstore bundle"),
    ],
)
def test_a_statement_about_something_else_is_no_signature(payload: bytes, why: str) -> None:
    bundle = sigstore_bundle(SIGNERS["ecdsa"], payload)
    assert why in check_sigstore_bundle(bundle, KEYS["ecdsa"], IMAGE)


def test_another_kind_of_payload_is_no_signature() -> None:
    bundle = sigstore_bundle(SIGNERS["ecdsa"], statement(), "text/plain")
    assert "of the type" in check_sigstore_bundle(bundle, KEYS["ecdsa"], IMAGE)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_signature_of_the_manifest_itself_is_one(kind: str) -> None:
    bundle = message_bundle(SIGNERS[kind], MANIFEST)
    assert check_sigstore_bundle(bundle, KEYS[kind], IMAGE) == ""
    assert check_sigstore_bundle(bundle, KEYS[kind], OTHER)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_bundle_and_no_fault(raw: bytes) -> None:
    assert check_sigstore_bundle(raw, KEYS["ecdsa"], IMAGE)


def _pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed448.Ed448PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"ssh-ed25519 AAAA",
        _pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
        _pem(rsa.generate_private_key(65537, 1024).public_key()),  # noqa: S505 - to be refused
        _pem(rsa.generate_private_key(3, 2048).public_key()),
        _pem(ed448.Ed448PrivateKey.generate().public_key()),
    ],
    ids=["empty", "ssh", "P-384", "short RSA", "exponent 3", "Ed448"],
)
def test_other_keys_are_refused(pem: bytes) -> None:
    with pytest.raises(KeyFileInvalid):
        parse_image_key(pem, "x.pub")


def test_a_key_has_one_name() -> None:
    signer = ImageSigner(ec.generate_private_key(ec.SECP256R1()))
    key = parse_image_key(signer.pem)
    assert key.key_id.startswith("SHA256:")
    assert key == parse_image_key(signer.pem.replace(b"\n", b"\r\n"))
