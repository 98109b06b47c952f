"""Group A: who signed what, and whether anybody here trusts them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from support.hostile import (
    ENVELOPE,
    PAYLOAD_TYPE,
    Draft,
    Key,
    envelope_of,
    pack,
    pae,
    seal,
    segment_of,
)
from support.images import make_image
from support.in_process import run_here
from support.journey import deployment, refused, succeeded
from support.victim import Victim

_SLSA = "https://slsa.dev/provenance/v1"


@pytest.fixture(scope="module")
def draft() -> Draft:
    return Draft.of(
        {"docker.io/team/app:1": make_image([b"signed"])},
        {"app.yaml": deployment("web", "team/app:1")},
    )


@pytest.fixture
def payload(draft: Draft) -> bytes:
    return json.dumps(draft.statement()).encode()


def _sealed(draft: Draft, key: Key, envelope: bytes) -> bytes:
    """The bundle of the draft behind another envelope."""
    return pack([segment_of(ENVELOPE, envelope), *draft.segments(key)[1:]])


def test_a01_no_signature(victim: Victim, draft: Draft, key: Key, payload: bytes) -> None:
    data = _sealed(draft, key, envelope_of(payload, []))
    victim.resists(data, 11, "SignatureMissing")


def test_a02_a_key_nobody_knows(victim: Victim, draft: Draft, key: Key) -> None:
    stranger = Key()
    victim.resists(draft.pack(stranger), 11, "KeyUntrusted")
    said = victim.verify(draft.pack(stranger)).err
    assert stranger.key_id in said
    assert key.key_id in said


def test_a02_a_stranger_under_a_trusted_name(
    victim: Victim, draft: Draft, key: Key, payload: bytes
) -> None:
    data = _sealed(draft, key, seal(payload, Key(), key_id=key.key_id))
    victim.resists(data, 11, "SignatureInvalid")


def test_a03_a_flipped_bit_in_what_is_signed(
    victim: Victim, draft: Draft, key: Key, payload: bytes
) -> None:
    envelope = json.loads(seal(payload, key))
    for at in range(0, len(payload), len(payload) // 5):
        changed = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        envelope["payload"] = base64.b64encode(changed).decode()
        data = _sealed(draft, key, json.dumps(envelope).encode())
        victim.resists(data, 11, "SignatureInvalid")


@pytest.mark.parametrize("kind", ["application/json", "", PAYLOAD_TYPE + " ", "text/plain"])
def test_a04_another_payload_type(
    victim: Victim, draft: Draft, key: Key, payload: bytes, kind: str
) -> None:
    data = _sealed(draft, key, seal(payload, key, payload_type=kind))
    victim.resists(data, 11, "PayloadTypeUnsupported")


def test_a04_a_type_other_than_the_one_signed(
    victim: Victim, draft: Draft, key: Key, payload: bytes
) -> None:
    envelope = json.loads(seal(payload, key, payload_type="application/json"))
    envelope["payloadType"] = PAYLOAD_TYPE
    data = _sealed(draft, key, json.dumps(envelope).encode())
    victim.resists(data, 11, "SignatureInvalid")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            {"predicateType": _SLSA, "predicate": {"buildDefinition": {}}},
            "PredicateTypeUnsupported",
        ),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "StatementInvalid"),
        ({"subject": []}, "StatementInvalid"),
        ({"subject": [{"name": "index.json", "digest": {"sha256": "0" * 64}}]}, "StatementInvalid"),
        ({"predicate": None}, "StatementInvalid"),
    ],
)
def test_a05_something_else_that_is_signed(
    victim: Victim, draft: Draft, key: Key, change: dict[str, Any], name: str
) -> None:
    payload = json.dumps({**draft.statement(), **change}).encode()
    victim.resists(_sealed(draft, key, seal(payload, key)), 11, name)


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{}", b"\xff", b"{" * 100_000])
def test_a05_something_signed_that_is_no_statement(
    victim: Victim, draft: Draft, key: Key, payload: bytes
) -> None:
    victim.resists(_sealed(draft, key, seal(payload, key)), 11, "StatementInvalid")


@pytest.mark.parametrize("hint", ["", "somebody", "SHA256:" + "A" * 43])
def test_a11_a_wrong_hint_does_not_matter(
    victim: Victim, draft: Draft, key: Key, payload: bytes, hint: str
) -> None:
    succeeded(victim.verify(_sealed(draft, key, seal(payload, key, key_id=hint))))


def test_a_good_signature_among_others_is_found(
    victim: Victim, draft: Draft, key: Key, payload: bytes
) -> None:
    succeeded(victim.verify(_sealed(draft, key, seal(payload, Key(), Key(), key, Key()))))


@pytest.mark.parametrize("count", [17, 1000])
def test_a12_too_many_signatures(
    victim: Victim, draft: Draft, key: Key, payload: bytes, count: int
) -> None:
    good = ("good", key.sign(pae(payload)))
    envelope = envelope_of(payload, [*[("junk", b"junk")] * (count - 1), good])
    victim.resists(_sealed(draft, key, envelope), 14, "LimitExceeded")


class TestA15:
    """Base64, strictly."""

    def test_the_url_safe_alphabet_is_taken(self, victim: Victim, draft: Draft, key: Key) -> None:
        payload = json.dumps({**draft.statement(), "note": "\u00ff>>>???~~~"}, ensure_ascii=False)
        envelope = json.loads(seal(payload.encode(), key))
        envelope["payload"] = base64.urlsafe_b64encode(payload.encode()).decode()
        assert set("-_") & set(envelope["payload"])
        succeeded(victim.verify(_sealed(draft, key, json.dumps(envelope).encode())))

    @pytest.mark.parametrize("field", ["payload", "sig"])
    @pytest.mark.parametrize("inside", ["!", " ", "\n", "=", "é"])
    def test_anything_else_inside_is_refused(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, field: str, inside: str
    ) -> None:
        envelope = json.loads(seal(payload, key))
        holder = envelope if field == "payload" else envelope["signatures"][0]
        holder[field] = holder[field][:8] + inside + holder[field][8:]
        data = _sealed(draft, key, json.dumps(envelope).encode())
        victim.resists(data, 10, "EnvelopeInvalid")


class TestA16:
    """Signatures of another kind."""

    def _resists(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, signature: bytes
    ) -> None:
        envelope = envelope_of(payload, [(key.key_id, signature)])
        victim.resists(_sealed(draft, key, envelope), 11, "SignatureInvalid")

    def test_r_and_s_without_asn1(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        r, s = utils.decode_dss_signature(key.sign(pae(payload)))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        self._resists(victim, draft, key, payload, raw)

    @pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1)])
    def test_numbers_that_fit_everything_to_careless_readers(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, r: int, s: int
    ) -> None:
        self._resists(victim, draft, key, payload, utils.encode_dss_signature(r, s))

    @pytest.mark.parametrize(
        "junk", [b"", b"\x00", b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", b"x" * 1024]
    )
    def test_bytes_that_are_none(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, junk: bytes
    ) -> None:
        self._resists(victim, draft, key, payload, junk)

    def test_rsa_and_ed25519(self, victim: Victim, draft: Draft, key: Key, payload: bytes) -> None:
        message = pae(payload)
        rsa_key = rsa.generate_private_key(65537, 2048)
        signed = rsa_key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        self._resists(victim, draft, key, payload, signed)
        signed = ed25519.Ed25519PrivateKey.generate().sign(message)
        self._resists(victim, draft, key, payload, signed)

    def test_a_signature_over_the_payload_alone(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        self._resists(victim, draft, key, payload, key.sign(payload))


class TestA20:
    """Nobody to trust, or no key to trust by."""

    def _run(self, victim: Victim, *options: str) -> None:
        for command in (
            ("verify", "received.tar.zst"),
            (
                *("apply", "received.tar.zst", "--registry-endpoint", victim.proxy.host),
                *("--plain-http", "--image-namespace", "n", "--output", "deploy"),
            ),
        ):
            done = run_here(victim.folder, "airgap-import", *command, *options)
            refused(done, 2, "NoTrustConfigured", "KeyFileInvalid")
        assert victim.proxy.requests() == []
        assert not (victim.folder / "deploy").exists()

    @pytest.fixture(autouse=True)
    def _received(self, victim: Victim, draft: Draft, key: Key) -> None:
        (victim.folder / "received.tar.zst").write_bytes(draft.pack(key))

    def test_no_key(self, victim: Victim) -> None:
        self._run(victim)

    @pytest.mark.parametrize("kind", ["rsa", "p384", "private", "junk", "empty", "absent"])
    def test_a_file_that_holds_none(self, victim: Victim, kind: str) -> None:
        path = victim.folder / "other.pub"
        content = _key_file(kind)
        if content is not None:
            path.write_bytes(content)
        self._run(victim, "--key", "vendor.pub", "--key", str(path))


def _key_file(kind: str) -> bytes | None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048).public_key().public_bytes(*spki)
        case "p384":
            return p384.public_key().public_bytes(*spki)
        case "private":
            return p384.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        case "junk":
            return b"\x00\xff" * 100_000
        case "empty":
            return b""
        case _:
            return None


class TestEnvelopes:
    """JSON that is no envelope, before anybody looks at a signature."""

    @pytest.mark.parametrize(
        "raw",
        [b"", b"null", b"[]", b"{}", b'{"payload":1}', b"\xff\xfe", b"[" * 100_000, b"{}{}"],
    )
    def test_are_refused(self, victim: Victim, draft: Draft, key: Key, raw: bytes) -> None:
        victim.resists(_sealed(draft, key, raw), 10, "EnvelopeInvalid")

    def test_a_key_that_stands_twice(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        raw = seal(payload, key)
        twice = raw[:-1] + b', "payload": ""}'
        victim.resists(_sealed(draft, key, twice), (10, 14), "DuplicateJSONKey", "EnvelopeInvalid")
