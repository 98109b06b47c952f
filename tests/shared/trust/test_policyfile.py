"""The policy document: everything it can say survives, and nothing else is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle.names import is_application_name
from airgap_shared.errors import PolicyInvalid
from airgap_shared.trust.policy import AppTrust, Quorum, Revocation, TrustedKey, TrustPolicy
from airgap_shared.trust.policyfile import POLICY_LIMIT, compose_policy, parse_policy
from support.keys import fixed_key, fixed_rsa_key

KEYS = sorted(
    [*(fixed_key(number).public_key for number in range(4)), fixed_rsa_key().public_key],
    key=lambda key: key.key_id,
)
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
_PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
LABELS = st.text(_PRINTABLE, min_size=1, max_size=20).filter("*".__ne__)
NAMES = st.from_regex("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=50)
KEY_IDS = st.sampled_from([key.key_id for key in KEYS])
PREFIXES = st.sampled_from(["", "registry.corp", "r.corp:5000/shop", "[::1]:5000/a/b", "r/a-b_c.d"])


@st.composite
def quorums(draw: st.DrawFn, available: int) -> Quorum:
    chosen = draw(st.lists(st.sampled_from(KEYS[:available]), min_size=1, unique=True))
    return Quorum(tuple(chosen), draw(st.integers(1, len(chosen))))


@st.composite
def keys(draw: st.DrawFn, number: int) -> TrustedKey:
    first, last = sorted(draw(st.tuples(TIMES, TIMES)))
    start = draw(st.sampled_from([None, first]))
    end = draw(st.sampled_from([None, last]))
    return TrustedKey(KEYS[number], draw(TEXTS), start, end)


@st.composite
def apps(draw: st.DrawFn, available: int) -> AppTrust:
    quorum = draw(quorums(available))
    days = draw(st.none() | st.integers(1, 36_500))
    return AppTrust(
        quorum.keys,
        draw(st.none() | NAMES),
        draw(st.none() | LABELS),
        quorum.threshold,
        None if days is None else timedelta(days=days),
        draw(st.booleans()),
        draw(PREFIXES),
    )


@st.composite
def policies(draw: st.DrawFn) -> TrustPolicy:
    available = draw(st.integers(1, len(KEYS)))
    revoked = draw(st.lists(KEY_IDS, unique=True))
    return TrustPolicy(
        tuple(draw(keys(number)) for number in range(available)),
        tuple(draw(st.lists(apps(available), max_size=4, unique_by=str))),
        tuple(Revocation(key_id, draw(TEXTS), draw(st.none() | TIMES)) for key_id in revoked),
        draw(st.integers(1, 2**31)),
        draw(st.none() | st.integers(1, 2**63 - 1)),
        timedelta(seconds=draw(st.integers(0, 365 * 86_400))),
        draw(st.booleans()),
        draw(st.none() | quorums(available)),
    )


@given(policies())
def test_what_is_written_is_read_again(policy: TrustPolicy) -> None:
    raw = compose_policy(policy)
    assert parse_policy(raw) == policy
    assert compose_policy(parse_policy(raw)) == raw


def document() -> dict[str, Any]:
    """The example of the documentation, with everything in it."""
    first, second = KEYS[0], KEYS[1]
    return {
        "version": 3,
        "keys": {
            first.key_id: {
                "pem": first.pem.decode(),
                "scheme": first.scheme.value,
                "owner": "vendor release",
                "not_before": "2025-01-01T00:00:00Z",
                "not_after": "2027-01-01T00:00:00Z",
            },
            second.key_id: {"pem": second.pem.decode(), "scheme": second.scheme.value},
        },
        "revoked": [
            {"key": KEYS[2].key_id, "reason": "laptop stolen", "since": "2026-02-01T00:00:00Z"}
        ],
        "apps": [
            {
                "name": "shop",
                "channel": "stable",
                "keys": [first.key_id, second.key_id],
                "threshold": 2,
                "max_age_days": 180,
                "allow_rollback": False,
                "registry_prefix": "registry.corp/shop",
            }
        ],
        "limits": {"max_total_bytes": 200_000_000_000},
        "clock_skew_seconds": 86_400,
        "judge_at": "import",
        "updates": {"keys": [first.key_id], "threshold": 1},
    }


def test_the_example_says_what_it_says() -> None:
    policy = parse_policy(json.dumps(document()).encode())
    assert policy.version == 3
    assert policy.keys[0].not_after == datetime(2027, 1, 1, tzinfo=UTC)
    assert policy.keys[1] == TrustedKey(KEYS[1])
    assert policy.apps == (
        AppTrust(
            *((KEYS[0], KEYS[1]), "shop", "stable", 2, timedelta(days=180), False),
            "registry.corp/shop",
        ),
    )
    assert policy.is_revoked(KEYS[2].key_id)
    assert policy.max_total_size == 200_000_000_000
    assert policy.update_quorums == (Quorum((KEYS[0],), 1),)


def test_what_is_left_out_is_at_its_default() -> None:
    whole = document()
    short = {name: whole[name] for name in ("version", "keys", "apps")}
    short["apps"] = [{"name": "*", "keys": [KEYS[0].key_id], "threshold": 1}]
    policy = parse_policy(json.dumps(short).encode())
    assert policy.apps == (AppTrust((KEYS[0],)),)
    assert policy.clock_skew == timedelta(days=1)
    assert not policy.judge_at_creation
    assert (policy.revoked, policy.max_total_size, policy.updates) == ((), None, None)


Change = Callable[[dict[str, Any]], object]
FIRST = KEYS[0].key_id


def changed(path: str, value: object) -> Change:
    """Set what is at a path of keys and positions."""

    def change(whole: dict[str, Any]) -> None:
        *steps, last = path.split("|")
        place: Any = whole
        for step in steps:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value

    return change


REFUSED: dict[str, Change] = {
    # A restriction that is misspelt, or is no value, must not be ignored.
    "an unknown field": changed("threshhold", 2),
    "an unknown field of a key": changed(f"keys|{FIRST}|notAfter", "2020-01-01T00:00:00Z"),
    "an unknown field of an application": changed("apps|0|max_age", 1),
    "an unknown field of a revocation": changed("revoked|0|id", "x"),
    "an unknown field of the limits": changed("limits|max_bytes", 1),
    "an unknown field of updates": changed("updates|treshold", 1),
    "null for a limit": changed("limits|max_total_bytes", None),
    "null for an age": changed("apps|0|max_age_days", None),
    "null for the end of a key": changed(f"keys|{FIRST}|not_after", None),
    "null for the revoked": changed("revoked", None),
    "no version": lambda whole: whole.pop("version"),
    "version 0": changed("version", 0),
    "a version as text": changed("version", "3"),
    "a version that is true": changed("version", True),
    "no keys": changed("keys", {}),
    "keys in a list": changed("keys", []),
    "too many keys": changed("keys", {str(n): {} for n in range(300)}),
    "no applications": lambda whole: whole.pop("apps"),
    "too many applications": lambda whole: whole["apps"].extend(whole["apps"] * 300),
    "a name that names no application": changed("apps|0|name", ""),
    "a name with a line end": changed("apps|0|name", "shop\n"),
    "a name in capitals": changed("apps|0|name", "Shop"),
    "a name with a wildcard": changed("apps|0|name", "shop*"),
    "a name that is too long": changed("apps|0|name", "a" * 64),
    "a channel that is none": changed("apps|0|channel", ""),
    "a channel for all": changed("apps|0|channel", "*"),
    "an unknown key": changed("apps|0|keys", [KEYS[3].key_id]),
    "one key twice": changed("apps|0|keys", [FIRST, FIRST]),
    "an age of nothing": changed("apps|0|max_age_days", 0),
    "an age beyond time": changed("apps|0|max_age_days", 10**9),
    "a rollback that is text": changed("apps|0|allow_rollback", "false"),
    "a rollback that is a number": changed("apps|0|allow_rollback", 0),
    "a prefix that no registry has": changed("apps|0|registry_prefix", "https://registry.corp"),
    "no prefix": changed("apps|0|registry_prefix", ""),
    "the same application twice": lambda whole: whole["apps"].append(whole["apps"][0]),
    "the scheme of another kind of key": changed(f"keys|{FIRST}|scheme", "ed25519"),
    "no scheme": lambda whole: whole["keys"][FIRST].pop("scheme"),
    "a file that is no key": changed(f"keys|{FIRST}|pem", "-----BEGIN"),
    "a private key": changed(f"keys|{FIRST}|pem", fixed_key(0).to_pem().decode()),
    "a time that is none": changed(f"keys|{FIRST}|not_after", "2027-01-01"),
    "a time with an offset": changed(f"keys|{FIRST}|not_after", "2027-01-01T00:00:00+02:00"),
    "an end before the start": changed(f"keys|{FIRST}|not_after", "2024-01-01T00:00:00Z"),
    "an owner who is a number": changed(f"keys|{FIRST}|owner", 1),
    "an owner of two lines": changed(f"keys|{FIRST}|owner", "vendor\n  SHA256:AAAA  fake"),
    "a reason of two lines": changed("revoked|0|reason", "stolen\nupdates: 1 of SHA256:AAAA"),
    "a revocation of nothing": changed("revoked|0|key", ""),
    "a revocation with a slip": changed("revoked|0|key", KEYS[2].key_id[:-1]),
    "a revocation that ssh-keygen does not print": changed("revoked|0|key", KEYS[2].key_id + "="),
    "a revocation by another digest": changed("revoked|0|key", "MD5:" + "0" * 43),
    "one revoked twice": lambda whole: whole["revoked"].append(whole["revoked"][0]),
    "a limit of nothing": changed("limits|max_total_bytes", 0),
    "a negative skew": changed("clock_skew_seconds", -1),
    "a skew of centuries": changed("clock_skew_seconds", 10**10),
    "a fraction of a second": changed("clock_skew_seconds", 0.5),
    "another time to judge at": changed("judge_at", "creation"),
    "updates by nobody": changed("updates", {"keys": [], "threshold": 0}),
    "updates by strangers": changed("updates|keys", [KEYS[4].key_id]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused(name: str) -> None:
    whole = document()
    REFUSED[name](whole)
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(json.dumps(whole).encode(), "policy.json")
    assert caught.value.exit_code == 2
    assert caught.value.what


@given(st.text("aZ09-*. ", max_size=3) | st.integers(62, 65).map("a".__mul__))
def test_an_entry_is_about_bundles_that_can_be(name: str) -> None:
    """A restriction of an application that is misspelt leaves it to the entry for any."""
    whole = document()
    changed("apps|0|name", name)(whole)
    if name == "*" or is_application_name(name):
        assert parse_policy(json.dumps(whole).encode()).apps[0].name == (
            None if name == "*" else name
        )
    else:
        with pytest.raises(PolicyInvalid) as caught:
            parse_policy(json.dumps(whole).encode(), "policy.json")
        assert "name" in caught.value.where


CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"]


@pytest.mark.parametrize("path", [f"keys|{FIRST}|owner", "revoked|0|reason"])
def test_no_text_holds_a_control_character(path: str) -> None:
    for character in CONTROLS:
        whole = document()
        changed(path, f"a{character}b")(whole)
        with pytest.raises(PolicyInvalid, match="control characters") as caught:
            parse_policy(json.dumps(whole).encode(), "policy.json")
        assert caught.value.where.endswith(path.rsplit("|", maxsplit=1)[-1])
    for character in (" ", "~", "\xa0", "é", "\u2027", "\u202a"):
        whole = document()
        changed(path, f"a{character}b")(whole)
        parse_policy(json.dumps(whole).encode())


def test_two_keys_under_one_id_are_refused() -> None:
    whole = document()
    whole["keys"][FIRST]["pem"] += KEYS[1].pem.decode()
    with pytest.raises(PolicyInvalid, match="more than one key") as caught:
        parse_policy(json.dumps(whole).encode(), "policy.json")
    assert caught.value.where.endswith(f"{FIRST}.pem")


@pytest.mark.parametrize("threshold", [0, -1, 3, 2**40, None, "2", 2.0, True])
@pytest.mark.parametrize("place", ["apps|0|threshold", "updates|threshold"])
def test_a10_a_threshold_must_be_possible(place: str, threshold: object) -> None:
    whole = document()
    changed(place, threshold)(whole)
    with pytest.raises(PolicyInvalid):
        parse_policy(json.dumps(whole).encode())


def test_a09_one_key_under_two_ids_is_refused() -> None:
    whole = document()
    second = KEYS[1].key_id
    whole["keys"][second]["pem"] = KEYS[0].pem.decode()
    with pytest.raises(PolicyInvalid, match="not the one that it is called") as caught:
        parse_policy(json.dumps(whole).encode(), "policy.json")
    assert second in caught.value.where
    assert "policy.json" in caught.value.where


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"{" * 100,
        b'{"version": 1, "version": 2}',
        b'{"version": NaN}',
        b" " * (POLICY_LIMIT + 1),
    ],
)
def test_what_is_no_policy_is_refused(raw: bytes) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(raw, "policy.json")


@given(st.data())
def test_no_change_of_the_text_does_anything_but_refuse_or_say_so(data: st.DataObject) -> None:
    raw = bytearray(compose_policy(parse_policy(json.dumps(document()).encode())))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        policy = parse_policy(bytes(raw))
    except PolicyInvalid:
        return
    assert parse_policy(compose_policy(policy)) == policy
