"""Group A: who signed what, and whether anybody here trusts them."""

from __future__ import annotations

import base64
import hashlib
import inspect as reflection
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

import airgap_bundler.cli
import airgap_importer.cli
from airgap_shared.console import trusting
from support.commands import Finished, Shell
from support.hostile import (
    ENVELOPE,
    PAYLOAD_TYPE,
    Draft,
    Key,
    RsaKey,
    envelope_of,
    pack,
    pae,
    seal,
    segment_of,
)
from support.images import make_image
from support.in_process import run_here
from support.journey import deployment, refused, succeeded
from support.judging import judge_cost
from support.policies import Document, app_entry, key_entry, policy_of, write_policy
from support.victim import Victim

_SLSA = "https://slsa.dev/provenance/v1"
_BUNDLE = "received.tar.zst"


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


@pytest.fixture(scope="module")
def rsa_key() -> RsaKey:
    return RsaKey()


def trust_by(victim: Victim, document: Document) -> tuple[str, ...]:
    """The flags that have the victim trust by this policy."""
    return ("--policy", str(write_policy(victim.folder.parent, document)))


def verify(victim: Victim, data: bytes, *options: str) -> Finished:
    """Run verify with other flags than ``--key vendor.pub``."""
    (victim.folder / _BUNDLE).write_bytes(data)
    return run_here(victim.folder, "airgap-import", "verify", _BUNDLE, *options)


def apply(victim: Victim, data: bytes, *options: str) -> Finished:
    """The same for apply."""
    (victim.folder / _BUNDLE).write_bytes(data)
    return run_here(
        victim.folder,
        *("airgap-import", "apply", _BUNDLE, "--registry-endpoint", victim.proxy.host),
        *("--plain-http", "--image-namespace", "trusted", "--output", "deploy", *options),
    )


def inspect(victim: Victim, data: bytes, *options: str) -> Finished:
    """The same for inspect."""
    (victim.folder / _BUNDLE).write_bytes(data)
    return run_here(victim.folder, "airgap-import", "inspect", _BUNDLE, *options)


def resists(
    victim: Victim, data: bytes, trust: tuple[str, ...], code: int, *names: str
) -> Finished:
    """Every command refuses, nothing reaches the registry, and nothing is written."""
    before = victim.registry.storage.snapshot()
    victim.proxy.clear()
    for run in (inspect, verify, apply):
        done = refused(run(victim, data, *trust), code, *names)
        assert done.out == ""
    assert victim.proxy.mutations() == []
    assert victim.registry.storage.snapshot() == before
    assert not (victim.folder / "deploy").exists()
    return done


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

    def test_an_rsa_signature_under_the_name_of_a_curve_key(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, rsa_key: RsaKey
    ) -> None:
        """The kind of signature follows from the key that is trusted, not from the signature."""
        self._resists(victim, draft, key, payload, rsa_key.sign(pae(payload)))

    def test_a_curve_signature_under_the_name_of_an_rsa_key(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, rsa_key: RsaKey
    ) -> None:
        trust = trust_by(victim, policy_of([rsa_key], app_entry(rsa_key)))
        envelope = envelope_of(payload, [(rsa_key.key_id, key.sign(pae(payload)))])
        resists(victim, _sealed(draft, key, envelope), trust, 11, "SignatureInvalid")

    @pytest.mark.parametrize("scheme", ["pss", "sha512", "raw"])
    def test_rsa_by_another_scheme(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, scheme: str
    ) -> None:
        private = rsa.generate_private_key(65537, 3072)
        spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (victim.folder / "rsa.pub").write_bytes(private.public_key().public_bytes(*spki))
        message = pae(payload)
        match scheme:
            case "pss":
                salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
                signature = private.sign(message, salted, hashes.SHA256())
            case "sha512":
                signature = private.sign(message, padding.PKCS1v15(), hashes.SHA512())
            case _:
                numbers = private.private_numbers()
                digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
                modulus = numbers.public_numbers.n
                signature = pow(digest, numbers.d, modulus).to_bytes(384, "big")
        data = _sealed(draft, key, envelope_of(payload, [("", signature)]))
        resists(victim, data, ("--key", "rsa.pub"), 11, "KeyUntrusted")
        good = private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        data = _sealed(draft, key, envelope_of(payload, [("", good)]))
        succeeded(verify(victim, data, "--key", "rsa.pub"))

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


class TestEnvelopesOfManyValues:
    """A small file whose envelope unpacks to millions of values: refused before they are made."""

    @staticmethod
    def _filled(unit: bytes) -> bytes:
        head = b'{"payload":"","payloadType":"\\u0041","signatures":[],"x":['
        return head + unit * (((16 << 20) - 200) // len(unit)) + b"0]}"

    @pytest.fixture
    def shell(self, tmp_path: Path, key: Key) -> Shell:
        (tmp_path / "vendor.pub").write_bytes(key.public_pem)
        return Shell(tmp_path)

    @pytest.mark.parametrize("command", ["verify", "inspect"])
    @pytest.mark.parametrize("unit", [b"{},", b'"ab",', b'{"a":0},'], ids=["{}", "text", "keys"])
    def test_in_the_bundle(self, shell: Shell, command: str, unit: bytes) -> None:
        data = pack([segment_of(ENVELOPE, self._filled(unit))])
        assert len(data) < 4096
        (shell.folder / _BUNDLE).write_bytes(data)
        trusted = ("--key", "vendor.pub") if command == "verify" else ()
        done = shell.run("airgap-import", command, _BUNDLE, *trusted, measure=True)
        judge_cost(refused(done, 14, "LimitExceeded"))

    def test_beside_it(self, shell: Shell, draft: Draft, key: Key) -> None:
        (shell.folder / _BUNDLE).write_bytes(draft.pack(key))
        (shell.folder / "more.dsse.json").write_bytes(self._filled(b"[],"))
        command = ("verify", _BUNDLE, "--key", "vendor.pub", "--signature", "more.dsse.json")
        done = shell.run("airgap-import", *command, measure=True)
        judge_cost(refused(done, 14, "LimitExceeded"))

    @pytest.mark.parametrize("text", [b"\\ud83d\\ude00", b"\xf0\x9f\x98\x80\\u4e00"])
    def test_one_long_text_that_takes_four_bytes_a_letter(self, shell: Shell, text: bytes) -> None:
        head = b'{"payload":"","payloadType":"x","signatures":[],"x":"'
        envelope = (head + text).ljust((16 << 20) - 200, b"a") + b'"}'
        (shell.folder / _BUNDLE).write_bytes(pack([segment_of(ENVELOPE, envelope)]))
        done = shell.run("airgap-import", "verify", _BUNDLE, "--key", "vendor.pub", measure=True)
        judge_cost(refused(done, 11, "SignatureMissing"))


def test_a02_a_key_of_another_application_only(victim: Victim, draft: Draft, key: Key) -> None:
    """A signature that is trusted, but for something else."""
    other = Key()
    policy = policy_of([key, other], app_entry(key, name="bank"), app_entry(other, name="shop"))
    trust = trust_by(victim, policy)
    said = resists(victim, draft.pack(key), trust, 11, "SignatureThresholdNotMet").err
    assert "0 of 1 keys that shop" in said
    assert key.key_id in said
    succeeded(verify(victim, draft.pack(other), *trust))


class TestA07:
    """As many as the policy asks for, and everybody counts once."""

    @pytest.fixture
    def officer(self) -> RsaKey:
        return RsaKey()

    @pytest.fixture(params=["keys", "policy"])
    def trust(
        self, request: pytest.FixtureRequest, victim: Victim, key: Key, officer: Key
    ) -> tuple[str, ...]:
        """Two keys, both of which must have signed, said in either way."""
        if request.param == "policy":
            both = app_entry(key, officer, threshold=2)
            return trust_by(victim, policy_of([key, officer], both))
        (victim.folder / "officer.pub").write_bytes(officer.public_pem)
        return ("--key", "vendor.pub", "--key", "officer.pub", "--threshold", "2")

    def test_one_is_too_few(
        self, victim: Victim, draft: Draft, key: Key, trust: tuple[str, ...]
    ) -> None:
        said = resists(victim, draft.pack(key), trust, 11, "SignatureThresholdNotMet").err
        assert "1 of 2" in said
        assert key.key_id in said

    def test_one_that_signs_twice_is_still_one(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes, trust: tuple[str, ...]
    ) -> None:
        twice = _sealed(draft, key, seal(payload, key, key, key))
        assert "1 of 2" in resists(victim, twice, trust, 11, "SignatureThresholdNotMet").err

    def test_one_under_the_name_of_the_other_is_still_one(
        self,
        victim: Victim,
        draft: Draft,
        key: Key,
        officer: Key,
        payload: bytes,
        trust: tuple[str, ...],
    ) -> None:
        value = key.sign(pae(payload))
        envelope = envelope_of(payload, [(key.key_id, value), (officer.key_id, value)])
        data = _sealed(draft, key, envelope)
        resists(victim, data, trust, 11, "SignatureThresholdNotMet")

    def test_both_are_enough(
        self,
        victim: Victim,
        draft: Draft,
        key: Key,
        officer: Key,
        payload: bytes,
        trust: tuple[str, ...],
    ) -> None:
        data = _sealed(draft, key, seal(payload, key, officer))
        said = succeeded(verify(victim, data, *trust)).out
        assert key.key_id in said
        assert officer.key_id in said

    def test_the_other_may_come_apart_from_the_bundle(
        self,
        victim: Victim,
        draft: Draft,
        key: Key,
        officer: Key,
        payload: bytes,
        trust: tuple[str, ...],
    ) -> None:
        data = _sealed(draft, key, seal(payload, key))
        (victim.folder / "officer.dsse.json").write_bytes(seal(payload, officer))
        (victim.folder / "again.dsse.json").write_bytes(seal(payload, key))
        again = ("--signature", "again.dsse.json")
        resists(victim, data, (*trust, *again), 11, "SignatureThresholdNotMet")
        both = (*trust, *again, "--signature", "officer.dsse.json")
        succeeded(inspect(victim, data, *both))
        succeeded(verify(victim, data, *both))
        succeeded(apply(victim, data, *both))


@pytest.mark.parametrize("headed", [True, False])
def test_a07_one_key_in_two_files_is_one(
    victim: Victim, draft: Draft, key: Key, headed: bool
) -> None:
    """Another file, other line lengths, text around it: still the same key."""
    body = b"".join(key.public_pem.splitlines()[1:-1])
    lines = b"\n".join(body[at : at + 40] for at in range(0, len(body), 40))
    again = b"-----BEGIN PUBLIC KEY-----\n" + lines + b"\n-----END PUBLIC KEY-----\n"
    (victim.folder / "again.pub").write_bytes((b"# the vendor\n" if headed else b"") + again)
    trust = ("--key", "vendor.pub", "--key", "again.pub", "--threshold", "2")
    said = resists(victim, draft.pack(key), trust, 2, "PolicyInvalid").err
    assert "a threshold of 2 for 1 keys" in said
    succeeded(verify(victim, draft.pack(key), *trust[:4]))


def test_a09_one_key_under_two_ids(victim: Victim, draft: Draft, key: Key) -> None:
    alias = "SHA256:" + "A" * 43
    policy = policy_of([key], app_entry(key, threshold=1))
    keys = policy["keys"]
    assert isinstance(keys, dict)
    keys[alias] = keys[key.key_id]
    policy["apps"] = [{"name": "*", "keys": [key.key_id, alias], "threshold": 2}]
    said = resists(victim, draft.pack(key), trust_by(victim, policy), 2, "PolicyInvalid").err
    assert alias in said
    assert victim.proxy.requests() == []


@pytest.mark.parametrize("threshold", [0, -1, 2, 10**30])
def test_a10_an_impossible_threshold(
    victim: Victim, draft: Draft, key: Key, threshold: int
) -> None:
    by_flags = ("--key", "vendor.pub", "--threshold", str(threshold))
    resists(victim, draft.pack(key), by_flags, 2, "PolicyInvalid")
    for policy in (
        policy_of([key], app_entry(key, threshold=threshold)),
        policy_of([key], app_entry(key), updates={"keys": [key.key_id], "threshold": threshold}),
    ):
        resists(victim, draft.pack(key), trust_by(victim, policy), 2, "PolicyInvalid")
    assert victim.proxy.requests() == []


class TestPolicyFiles:
    """A policy is what the administrator wrote, or nothing."""

    def _refused(self, victim: Victim, draft: Draft, key: Key, path: Path) -> Finished:
        return resists(victim, draft.pack(key), ("--policy", str(path)), 2, "PolicyInvalid")

    @pytest.fixture
    def path(self, tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
        folder = tmp_path_factory.mktemp("etc")
        return write_policy(folder, policy_of([key], app_entry(key)))

    def test_is_taken_as_it_should_be(
        self, victim: Victim, draft: Draft, key: Key, path: Path
    ) -> None:
        succeeded(verify(victim, draft.pack(key), "--policy", str(path)))

    @pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
    def test_that_others_can_write(
        self, victim: Victim, draft: Draft, key: Key, path: Path, mode: int
    ) -> None:
        path.chmod(mode)
        assert f"chmod go-w {path}" in self._refused(victim, draft, key, path).err

    @pytest.mark.parametrize("mode", [0o777, 0o775])
    def test_in_a_folder_that_others_can_write(
        self, victim: Victim, draft: Draft, key: Key, path: Path, mode: int
    ) -> None:
        path.parent.chmod(mode)
        assert f"chmod go-w {path.parent}" in self._refused(victim, draft, key, path).err

    def test_behind_a_link(self, victim: Victim, draft: Draft, key: Key, path: Path) -> None:
        link = path.with_name("link.json")
        link.symlink_to(path)
        assert "it is a link" in self._refused(victim, draft, key, link).err

    def test_with_a_misspelt_restriction(
        self, victim: Victim, draft: Draft, key: Key, path: Path
    ) -> None:
        app = app_entry(key, max_age=1)
        write_policy(path.parent, policy_of([key], app))
        assert "max_age" in self._refused(victim, draft, key, path).err

    def test_with_a_key_that_stands_twice(
        self, victim: Victim, draft: Draft, key: Key, path: Path
    ) -> None:
        path.write_text(path.read_text().replace('"version": 1', '"version": 1, "version": 2'))
        self._refused(victim, draft, key, path)

    def test_with_keys_beside_it(self, victim: Victim, draft: Draft, key: Key, path: Path) -> None:
        for more in (("--key", "vendor.pub"), ("--threshold", "1")):
            trust = ("--policy", str(path), *more)
            resists(victim, draft.pack(key), trust, 2, "UsageError")

    def test_of_the_host_is_found_and_no_other(
        self,
        victim: Victim,
        draft: Draft,
        key: Key,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Where neither key nor policy is named, one place counts: not the working directory."""
        monkeypatch.setattr(trusting, "DEFAULT_POLICY", path)
        succeeded(verify(victim, draft.pack(key)))
        refused(verify(victim, draft.pack(key), "--threshold", "1"), 2, "UsageError")
        stranger = Key()
        refused(verify(victim, draft.pack(stranger)), 11, "KeyUntrusted")
        path.chmod(0o666)
        refused(verify(victim, draft.pack(key)), 2, "PolicyInvalid")
        succeeded(verify(victim, draft.pack(key), "--key", "vendor.pub"))
        path.unlink()
        (victim.folder / "policy.json").write_text(json.dumps(policy_of([key], app_entry(key))))
        monkeypatch.setenv("AIRGAP_POLICY", str(victim.folder / "policy.json"))
        refused(verify(victim, draft.pack(key)), 2, "NoTrustConfigured")
        (victim.folder / "policy.json").unlink()


class TestA13:
    """A revoked key counts for nothing, at no time."""

    def _policy(self, key: Key, *keys: Key, **fields: object) -> Document:
        revoked = [{"key": key.key_id, "reason": "laptop stolen", "since": "2026-02-01T00:00:00Z"}]
        return policy_of(keys, app_entry(*keys), revoked=revoked, **fields)

    @pytest.mark.parametrize("judged", ["import", "created"])
    def test_that_is_among_the_keys(
        self, victim: Victim, draft: Draft, key: Key, judged: str
    ) -> None:
        trust = trust_by(victim, self._policy(key, key, Key(), judge_at=judged))
        said = resists(victim, draft.pack(key), trust, 11, "KeyRevoked").err
        assert key.key_id in said
        assert "laptop stolen" in said

    def test_that_is_only_named_as_revoked(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = trust_by(victim, self._policy(key, Key()))
        said = resists(victim, draft.pack(key), trust, 11, "KeyRevoked").err
        assert key.key_id in said

    def test_does_not_count_towards_a_threshold(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        other = Key()
        policy = self._policy(key, key, other)
        policy["apps"] = [app_entry(key, other, threshold=2)]
        data = _sealed(draft, key, seal(payload, key, other))
        trust = trust_by(victim, policy)
        assert "1 of 2" in resists(victim, data, trust, 11, "SignatureThresholdNotMet").err

    def test_does_not_spoil_what_others_signed(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        other = Key()
        data = _sealed(draft, key, seal(payload, key, other))
        said = succeeded(verify(victim, data, *trust_by(victim, self._policy(key, key, other)))).out
        assert other.key_id in said
        assert key.key_id not in said


class TestA14:
    """A key counts at its time: now, or that of the bundle where the policy says so."""

    def _trust(self, victim: Victim, key: Key, **fields: object) -> tuple[str, ...]:
        times = {"not_before": "2025-06-01T00:00:00Z", "not_after": "2026-06-01T00:00:00Z"}
        policy = policy_of({key: key_entry(key, **times)}, app_entry(key), **fields)
        return trust_by(victim, policy)

    def test_past_its_end(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = (*self._trust(victim, key), "--now", "2026-06-01T00:00:01Z")
        said = resists(victim, draft.pack(key), trust, 11, "KeyExpired").err
        assert key.key_id in said
        assert "2026-06-01" in said

    def test_before_its_start(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = (*self._trust(victim, key), "--now", "2025-05-31T23:59:59Z")
        resists(victim, draft.pack(key), trust, 11, "KeyExpired")

    @pytest.mark.parametrize("now", ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-03-01"])
    def test_at_its_time(self, victim: Victim, draft: Draft, key: Key, now: str) -> None:
        succeeded(verify(victim, draft.pack(key), *self._trust(victim, key), "--now", now))

    def test_judged_when_the_bundle_was_made(self, victim: Victim, draft: Draft, key: Key) -> None:
        """The bundle was made on 2026-01-01."""
        trust = self._trust(victim, key, judge_at="created")
        succeeded(verify(victim, draft.pack(key), *trust, "--now", "2027-01-01"))

    @pytest.mark.parametrize("created", ["2025-05-31T23:59:59Z", "2026-06-01T00:00:01Z"])
    def test_made_outside_its_time(
        self, victim: Victim, draft: Draft, key: Key, created: str
    ) -> None:
        late = replace(draft, predicate={"created": created})
        trust = (*self._trust(victim, key, judge_at="created"), "--now", "2026-07-01")
        resists(victim, late.pack(key), trust, 11, "KeyExpired")

    def test_where_another_key_is_still_good(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        """A rotation: the bundle is signed with both keys for one cycle."""
        after = Key()
        old, new = (
            key_entry(key, not_after="2026-06-01T00:00:00Z"),
            key_entry(after, not_before="2026-05-01T00:00:00Z"),
        )
        trust = trust_by(victim, policy_of({key: old, after: new}, app_entry(key, after)))
        data = _sealed(draft, key, seal(payload, key, after))
        for now in ("2026-04-01", "2026-05-15", "2026-07-01"):
            succeeded(verify(victim, data, *trust, "--now", now))
        resists(victim, draft.pack(key), (*trust, "--now", "2026-07-01"), 11, "KeyExpired")

    @pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not here")
    @pytest.mark.parametrize(
        ("clock", "code"), [("2026-03-01 12:00:00", 0), ("2026-06-02 00:00:00", 11)]
    )
    def test_by_the_clock_of_the_machine(
        self, victim: Victim, draft: Draft, key: Key, clock: str, code: int
    ) -> None:
        (victim.folder / _BUNDLE).write_bytes(draft.pack(key))
        shell = Shell(victim.folder, {"TZ": "UTC"})
        command = ("airgap-import", "verify", _BUNDLE, *self._trust(victim, key))
        done = subprocess.run(
            ["faketime", clock, *shell.command_line(*command)],
            cwd=victim.folder,
            env=shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert code == 0 or done.stderr.startswith("error: KeyExpired")


class TestA18:
    """A signature that came apart, over something else."""

    @pytest.mark.parametrize(
        "change", [{"version": "1.0.1"}, {"sequence": 1}, {"tool": "another/1"}]
    )
    def test_over_another_statement(
        self, victim: Victim, draft: Draft, key: Key, change: dict[str, object]
    ) -> None:
        other = json.dumps(replace(draft, predicate=change).statement()).encode()
        (victim.folder / "other.dsse.json").write_bytes(seal(other, key))
        trust = ("--key", "vendor.pub", "--signature", "other.dsse.json")
        resists(victim, draft.pack(key), trust, 11, "PayloadMismatch")

    def test_over_the_same_statement_written_otherwise(
        self, victim: Victim, draft: Draft, key: Key
    ) -> None:
        other = json.dumps(draft.statement(), indent=1).encode()
        (victim.folder / "other.dsse.json").write_bytes(seal(other, key))
        trust = ("--key", "vendor.pub", "--signature", "other.dsse.json")
        resists(victim, draft.pack(key), trust, 11, "PayloadMismatch")

    def test_over_another_payload_type(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        other = seal(payload, key, payload_type="text/plain")
        (victim.folder / "other.dsse.json").write_bytes(other)
        trust = ("--key", "vendor.pub", "--signature", "other.dsse.json")
        resists(victim, draft.pack(key), trust, 11, "PayloadMismatch")

    @pytest.mark.parametrize(
        ("raw", "code", "name"),
        [(b"", 10, "EnvelopeInvalid"), (b"{}", 10, "EnvelopeInvalid"), (None, 2, "UsageError")],
    )
    def test_that_is_none(
        self, victim: Victim, draft: Draft, key: Key, raw: bytes | None, code: int, name: str
    ) -> None:
        if raw is not None:
            (victim.folder / "other.dsse.json").write_bytes(raw)
        trust = ("--key", "vendor.pub", "--signature", "other.dsse.json")
        resists(victim, draft.pack(key), trust, code, name)

    def test_too_many_together(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        (victim.folder / "more.dsse.json").write_bytes(seal(payload, *[key] * 16))
        trust = ("--key", "vendor.pub", "--signature", "more.dsse.json")
        resists(victim, draft.pack(key), trust, 14, "LimitExceeded")

    def test_cannot_stand_in_for_an_unsigned_bundle(
        self, victim: Victim, draft: Draft, key: Key, payload: bytes
    ) -> None:
        """It can: what counts is who signed the payload, not which file brought the signature."""
        unsigned = _sealed(draft, key, envelope_of(payload, []))
        (victim.folder / "all.dsse.json").write_bytes(seal(payload, key))
        resists(victim, unsigned, ("--key", "vendor.pub"), 11, "SignatureMissing")
        succeeded(verify(victim, unsigned, "--key", "vendor.pub", "--signature", "all.dsse.json"))


class TestPolicyOfApplications:
    """What a policy says of the application, besides who must have signed it."""

    def test_an_application_that_is_not_named(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = trust_by(victim, policy_of([key], app_entry(key, name="bank")))
        assert "shop" in resists(victim, draft.pack(key), trust, 12, "AppNotAllowed").err

    def test_another_channel(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = trust_by(victim, policy_of([key], app_entry(key, name="shop", channel="stable")))
        succeeded(verify(victim, draft.pack(key), *trust))
        beta = replace(draft, predicate={"channel": "beta"}).pack(key)
        resists(victim, beta, trust, 12, "AppNotAllowed")

    def test_the_entry_that_names_most_decides(
        self, victim: Victim, draft: Draft, key: Key
    ) -> None:
        """A key that may sign anything else may not sign what has an entry of its own."""
        own = Key()
        apps = (app_entry(key), app_entry(own, name="shop"))
        trust = trust_by(victim, policy_of([key, own], *apps))
        resists(victim, draft.pack(key), trust, 11, "SignatureThresholdNotMet")
        succeeded(verify(victim, draft.pack(own), *trust))
        other = replace(draft, predicate={"app": "other"})
        succeeded(verify(victim, other.pack(key), *trust))

    def test_no_application_at_all(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = trust_by(victim, policy_of([key]))
        resists(victim, draft.pack(key), trust, 11, "SignatureThresholdNotMet")

    def test_another_application_than_was_asked_for(
        self, victim: Victim, draft: Draft, key: Key
    ) -> None:
        for trust in (
            ("--key", "vendor.pub"),
            trust_by(victim, policy_of([key], app_entry(key))),
        ):
            resists(victim, draft.pack(key), (*trust, "--app", "bank"), 12, "AppMismatch")
            succeeded(verify(victim, draft.pack(key), *trust, "--app", "shop"))

    def test_older_than_is_allowed(self, victim: Victim, draft: Draft, key: Key) -> None:
        trust = trust_by(victim, policy_of([key], app_entry(key, max_age_days=30)))
        succeeded(verify(victim, draft.pack(key), *trust, "--now", "2026-01-31"))
        late = (*trust, "--now", "2026-02-01")
        assert "30 days" in resists(victim, draft.pack(key), late, 12, "BundleExpired").err

    def test_larger_than_is_allowed(self, victim: Victim, draft: Draft, key: Key) -> None:
        size = sum(len(member.content) for member in draft.members)
        for limit, fits in ((size, True), (size - 1, False)):
            policy = policy_of([key], app_entry(key), limits={"max_total_bytes": limit})
            trust = trust_by(victim, policy)
            if fits:
                succeeded(verify(victim, draft.pack(key), *trust))
            else:
                resists(victim, draft.pack(key), trust, 14, "LimitExceeded")

    @pytest.mark.parametrize("below", ["/other", "/trust", "/trusted/deeper", "-mirror"])
    def test_another_place_than_is_allowed(
        self, victim: Victim, draft: Draft, key: Key, below: str
    ) -> None:
        """The import goes to REGISTRY/trusted."""
        app = app_entry(key, registry_prefix=f"{victim.proxy.host}{below}")
        trust = trust_by(victim, policy_of([key], app))
        victim.proxy.clear()
        done = refused(apply(victim, draft.pack(key), *trust), 12, "AppNotAllowed")
        assert below in done.err
        assert victim.proxy.requests() == []
        assert not (victim.folder / "deploy").exists()

    @pytest.mark.parametrize("below", ["", "/", "/trusted", "/trusted/"])
    def test_the_place_that_is_allowed(
        self, victim: Victim, draft: Draft, key: Key, below: str
    ) -> None:
        app = app_entry(key, registry_prefix=f"{victim.proxy.host}{below}")
        trust = trust_by(victim, policy_of([key], app))
        succeeded(apply(victim, draft.pack(key), *trust))


def _commands_with_a_bundle(trust: bool = False) -> list[tuple[str, str]]:
    """Every command of both tools that has an argument BUNDLE, and asks for trust if wanted."""
    found = []
    for tool, application in _TOOLS.items():
        for entry in application.registered_commands:
            assert entry.callback is not None
            name = entry.name or entry.callback.__name__
            parameters = reflection.signature(entry.callback).parameters
            told = {"keys", "verify_keys"} & set(parameters)
            if "bundle" in parameters and (told or not trust):
                found.append((tool, name))
    return found


def _commands_with_trust() -> list[tuple[str, str]]:
    return _commands_with_a_bundle(trust=True)


_TOOLS = {"airgap-bundle": airgap_bundler.cli.app, "airgap-import": airgap_importer.cli.app}
#: What each needs besides the bundle and whom to trust.
_NEEDED: dict[str, tuple[str, ...]] = {
    "apply": ("--plain-http", "--image-namespace", "n", "--output", "deploy"),
    "sign": ("--key", "own.key", "--output", "own.dsse.json"),
    "export-sigstore": ("--output", "exported"),
}


def test_the_commands_that_open_bundles_are_known() -> None:
    """All but those that judge nothing can be told whom to trust."""
    copying = {"split"}
    verifying = {"inspect", "verify", "apply", "sign", "export-sigstore"}
    assert {name for _, name in _commands_with_a_bundle()} == verifying | copying
    assert {name for _, name in _commands_with_trust()} == verifying


@pytest.mark.parametrize(("tool", "command"), _commands_with_trust())
def test_every_command_that_opens_a_bundle_verifies_it(
    victim: Victim, draft: Draft, key: Key, payload: bytes, tool: str, command: str
) -> None:
    """One verifier: no command takes what another refuses, when it is told whom to trust."""
    more = _NEEDED.get(command, ())
    if command == "apply":
        more = (*more, "--registry-endpoint", victim.proxy.host)
    if command == "sign":
        shell = Shell(victim.folder)
        succeeded(shell.run("airgap-bundle", "keygen", "own"))
    trust = ("--verify-key" if command == "sign" else "--key", "vendor.pub")
    hostile = {
        "SignatureMissing": _sealed(draft, key, envelope_of(payload, [])),
        "KeyUntrusted": draft.pack(Key()),
        "SignatureInvalid": _sealed(draft, key, envelope_of(payload, [(key.key_id, b"x")])),
        "BundleExpired": replace(draft, predicate={"expires": "2026-01-02T00:00:00Z"}).pack(key),
        "StatementInvalid": _sealed(draft, key, seal(b"{}", key)),
    }
    before = {path.name for path in victim.folder.iterdir()} | {_BUNDLE}
    for name, data in hostile.items():
        (victim.folder / _BUNDLE).write_bytes(data)
        done = run_here(victim.folder, tool, command, _BUNDLE, *trust, *more)
        assert refused(done, (11, 12), name).out == ""
    assert victim.proxy.mutations() == []
    assert {path.name for path in victim.folder.iterdir()} == before
    (victim.folder / _BUNDLE).write_bytes(draft.pack(key))
    succeeded(run_here(victim.folder, tool, command, _BUNDLE, *trust, *more))
