"""Targets about trust: policies, their signed successors, and keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from airgap_shared.trust.envelope import seal
from airgap_shared.trust.keys import parse_public_key
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.policyfile import compose_policy, parse_policy, policy_document
from airgap_shared.trust.policyupdate import accept_successor, compose_policy_statement
from fuzz.target import Target
from support.garbling import Garbler
from support.hostile import Key, RsaKey
from support.keys import fixed_key, fixed_rsa_key
from support.policies import app_entry, key_entry, policy_of

_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_OURS, _OTHER = Key(), RsaKey()
_WORDS = (
    *(b'"threshold"', b'"keys"', b'"revoked"', b'"updates"', b'"not_after"', b'"apps"', b"null"),
    *(b"-1", b"0", b"9223372036854775808", b'"SHA256:', b"true", b'"*"', b"2026-01-01T00:00:00Z"),
)


def _documents() -> Iterator[bytes]:
    both = policy_of([_OURS, _OTHER], app_entry(_OURS, _OTHER, threshold=2))
    one = policy_of(
        {_OURS: key_entry(_OURS, owner="vendor", not_after="2027-01-01T00:00:00Z")},
        app_entry(_OURS, name="shop", channel="stable", max_age_days=30, registry_prefix="r/a"),
        revoked=[{"key": _OTHER.key_id, "reason": "stolen", "since": "2026-01-01T00:00:00Z"}],
        limits={"max_total_bytes": 1},
        clock_skew_seconds=0,
        judge_at="created",
        updates={"keys": [_OURS.key_id], "threshold": 1},
    )
    return (json.dumps(document).encode() for document in (both, one))


def _feed_policy(data: bytes) -> None:
    policy = parse_policy(data, "policy.json")
    raw = compose_policy(policy)
    assert compose_policy(parse_policy(raw)) == raw
    for app in policy.apps:
        assert 1 <= app.threshold <= len(set(app.keys))
        assert set(app.keys) <= {key.key for key in policy.keys}
    for key in policy.keys:
        assert parse_public_key(key.key.pem) == key.key


def _current() -> TrustPolicy:
    keys = (fixed_key(0).public_key, fixed_rsa_key().public_key)
    return TrustPolicy.of_keys(keys)


def _feed_update(data: bytes) -> None:
    """Whatever trusted keys sign: only the next version, by a quorum of its own, is taken."""
    current, signers = _current(), [fixed_key(0), fixed_rsa_key()]
    payload = data
    if data.lstrip().startswith(b'{"version"'):
        payload = compose_policy_statement(parse_policy(data))
    successor = accept_successor(seal(payload, signers), current, _NOW).policy
    assert successor.version == current.version + 1
    signed = {signer.public_key for signer in signers}
    for quorum in successor.update_quorums:
        assert len(signed & set(quorum.keys)) >= quorum.threshold >= 1


def _updates() -> Iterator[bytes]:
    following = replace(_current(), version=1)
    for policy in (following, replace(following, judge_at_creation=True)):
        yield compose_policy_statement(policy)
        document = policy_document(policy)
        yield json.dumps({"version": document.pop("version"), **document}).encode()


def _feed_key(data: bytes) -> None:
    key = parse_public_key(data, "key.pub")
    assert parse_public_key(key.pem) == key
    assert key.key_id.startswith("SHA256:")
    assert not key.verifies(data[:512], b"message")


def _keys() -> Iterator[bytes]:
    return (key.public_pem for key in (_OURS, _OTHER))


def _other_json(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    """A document with another value in it somewhere, or just other bytes."""
    if random.random() < 0.4:
        return garble(data)
    try:
        return json.dumps(Garbler(random).json_like(json.loads(data))).encode()
    except (ValueError, RecursionError):
        return garble(data)


TARGETS = {
    "trust-policy": Target(_feed_policy, _documents, _WORDS, _other_json),
    "policy-update": Target(_feed_update, _updates, _WORDS, _other_json),
    "public-key": Target(_feed_key, _keys, (b"-----BEGIN PUBLIC KEY-----\n", b"MIIB")),
}
