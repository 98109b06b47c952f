"""The trust policy as a JSON document (docs/trust-policy.md), read without any tolerance."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from airgap_shared.errors import DuplicateJSONKey, KeyFileInvalid, PolicyInvalid
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.moment import format_time, parse_time
from airgap_shared.trust.keys import PublicKey, parse_public_key
from airgap_shared.trust.limits import DAYS_LIMIT
from airgap_shared.trust.policy import AppTrust, Quorum, Revocation, TrustedKey, TrustPolicy

POLICY_LIMIT = 1 << 20
ENTRY_LIMIT = 256
_SKEW_LIMIT = 365 * 86_400
_TEXT_LIMIT = 500
ANY = "*"
_AT_IMPORT, _AT_CREATION = "import", "created"
_KEY_ID = re.compile(r"SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]")
#: What ends a line or moves the cursor would let a text pass for lines of the report it is in.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_LABEL = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")
#: As bundle-spec.md has it for ``app``: an entry of another name would be about no bundle.
_APP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[A-Za-z0-9.:\[\]-]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def parse_policy(raw: bytes, where: str = "") -> TrustPolicy:
    """Read a policy document.

    Unknown fields, null, duplicate keys and contradictions are refused: a restriction that was
    misspelt must not be ignored.

    Raises:
        PolicyInvalid: it cannot be relied on.

    """
    if len(raw) > POLICY_LIMIT:
        raise PolicyInvalid(f"larger than {POLICY_LIMIT} bytes", where=where)
    try:
        document = parse_json(raw, where, PolicyInvalid)
    except DuplicateJSONKey as problem:
        raise PolicyInvalid(problem.what, where=problem.where) from problem
    return policy_of(document, where)


def policy_of(document: object, where: str = "") -> TrustPolicy:
    """The policy that a decoded JSON document describes.

    Raises:
        PolicyInvalid: it cannot be relied on.

    """
    try:
        return _policy(Fields(document, "", PolicyInvalid))
    except PolicyInvalid as problem:
        if not where or problem.where.startswith(where):
            raise
        place = f"{where}: {problem.where}" if problem.where else where
        raise PolicyInvalid(problem.what, where=place, next_step=problem.next_step) from problem


def compose_policy(policy: TrustPolicy) -> bytes:
    """The document, in the one form that policies are signed and installed in."""
    return (json.dumps(policy_document(policy), indent=2, sort_keys=True) + "\n").encode("ascii")


def as_read(policy: TrustPolicy, where: str) -> TrustPolicy:
    """What every reader will make of a policy once it is written.

    Raises:
        PolicyInvalid: no reader would take it.

    """
    return parse_policy(compose_policy(policy), where)


def policy_document(policy: TrustPolicy) -> dict[str, object]:
    """The document as values; what is at its default is left out, but for the lists."""
    document: dict[str, object] = {
        "version": policy.version,
        "keys": {key.key.key_id: _key_document(key) for key in policy.keys},
        "revoked": [_revocation_document(entry) for entry in policy.revoked],
        "apps": [_app_document(app) for app in policy.apps],
        "clock_skew_seconds": int(policy.clock_skew.total_seconds()),
        "judge_at": _AT_CREATION if policy.judge_at_creation else _AT_IMPORT,
    }
    if policy.max_total_size is not None:
        document["limits"] = {"max_total_bytes": policy.max_total_size}
    if policy.updates is not None:
        document["updates"] = {
            "keys": _ids(policy.updates.keys),
            "threshold": policy.updates.threshold,
        }
    return document


def check_key_id(text: str, where: str = "") -> str:
    """The fingerprint of a key, as it is named in policies.

    Raises:
        PolicyInvalid: it is none; in a revocation, a slip would go unnoticed.

    """
    if not _KEY_ID.fullmatch(text):
        raise PolicyInvalid(
            f"not a key id: {text[:100]!r}",
            where=where,
            next_step="write it as ssh-keygen -l and airgap-bundle keygen print it: SHA256:…",
        )
    return text


def _policy(fields: Fields) -> TrustPolicy:
    fields.only(
        *("version", "keys", "revoked", "apps", "limits"),
        *("clock_skew_seconds", "judge_at", "updates"),
    )
    keys = _keys(fields.record("keys"))
    if not keys:
        fields.refuse("there is no key", "keys")
    named = {key.key.key_id: key.key for key in keys}
    limits = fields.optional_record("limits")
    updates = fields.optional_record("updates")
    if updates is not None:
        updates.only("keys", "threshold")
    return TrustPolicy(
        keys,
        tuple(_app(entry, named) for entry in _bounded(fields, "apps")),
        _revocations(fields),
        _number(fields, "version", 1, 2**31),
        _size(limits) if limits is not None else None,
        timedelta(seconds=_skew(fields)),
        _judged_at_creation(fields),
        _quorum(updates, named) if updates is not None else None,
    )


def _keys(records: Fields) -> tuple[TrustedKey, ...]:
    if len(records.mapping) > ENTRY_LIMIT:
        records.refuse(f"more than {ENTRY_LIMIT} keys")
    return tuple(_key(key_id, records.record(key_id)) for key_id in records.mapping)


def _key(key_id: str, fields: Fields) -> TrustedKey:
    fields.only("pem", "scheme", "owner", "not_before", "not_after")
    try:
        key = parse_public_key(fields.text("pem").encode(), f"{fields.place}.pem")
    except KeyFileInvalid as problem:
        raise PolicyInvalid(
            problem.what, where=problem.where, next_step=problem.next_step
        ) from problem
    if key.key_id != key_id:
        fields.refuse(f"this is the key {key.key_id}, not the one that it is called")
    if fields.text("scheme") != key.scheme:
        fields.refuse(f"this key signs by {key.scheme}", "scheme")
    start, end = _time(fields, "not_before"), _time(fields, "not_after")
    if start is not None and end is not None and end < start:
        fields.refuse("not_after is before not_before: the key is valid at no time")
    return TrustedKey(key, _text(fields, "owner"), start, end)


def _app(fields: Fields, keys: Mapping[str, PublicKey]) -> AppTrust:
    fields.only(
        *("name", "channel", "keys", "threshold"),
        *("max_age_days", "allow_rollback", "registry_prefix"),
    )
    days = _number(fields, "max_age_days", 1, DAYS_LIMIT) if "max_age_days" in fields else None
    quorum = _quorum(fields, keys)
    return AppTrust(
        quorum.keys,
        _app_name(fields),
        _channel(fields),
        quorum.threshold,
        None if days is None else timedelta(days=days),
        fields.optional_flag("allow_rollback"),
        _prefix(fields),
    )


def _quorum(fields: Fields, keys: Mapping[str, PublicKey]) -> Quorum:
    named = fields.texts("keys")
    for key_id in named:
        if key_id not in keys:
            fields.refuse(f"the key {key_id[:100]} is not among the keys", "keys")
    return Quorum(tuple(keys[key_id] for key_id in named), _threshold(fields))


def _threshold(fields: Fields) -> int:
    # Any whole number: what it may be, TrustPolicy knows and says.
    value = fields.mapping.get("threshold")
    if not isinstance(value, int) or isinstance(value, bool):
        fields.refuse("expected a whole number", "threshold")
    return value


def _revocations(fields: Fields) -> tuple[Revocation, ...]:
    if "revoked" not in fields:
        return ()
    entries = tuple(_revocation(entry) for entry in fields.records("revoked"))
    if len({entry.key_id for entry in entries}) != len(entries):
        fields.refuse("a key stands twice", "revoked")
    return entries


def _revocation(fields: Fields) -> Revocation:
    fields.only("key", "reason", "since")
    key_id = check_key_id(fields.text("key"), f"{fields.place}.key")
    return Revocation(key_id, _text(fields, "reason"), _time(fields, "since"))


def _bounded(fields: Fields, key: str) -> Sequence[Fields]:
    entries = fields.records(key)
    if len(entries) > ENTRY_LIMIT:
        fields.refuse(f"more than {ENTRY_LIMIT} entries", key)
    return entries


def _number(fields: Fields, key: str, least: int, most: int) -> int:
    value = fields.count(key)
    if not least <= value <= most:
        fields.refuse(f"expected a number from {least} to {most}", key)
    return value


def _size(limits: Fields) -> int | None:
    limits.only("max_total_bytes")
    if "max_total_bytes" not in limits:
        return None
    return _number(limits, "max_total_bytes", 1, 2**63 - 1)


def _skew(fields: Fields) -> int:
    if "clock_skew_seconds" not in fields:
        return 86_400
    return _number(fields, "clock_skew_seconds", 0, _SKEW_LIMIT)


def _judged_at_creation(fields: Fields) -> bool:
    text = fields.text("judge_at") if "judge_at" in fields else _AT_IMPORT
    if text not in (_AT_IMPORT, _AT_CREATION):
        fields.refuse(f"expected {_AT_IMPORT!r} or {_AT_CREATION!r}", "judge_at")
    return text == _AT_CREATION


def _text(fields: Fields, key: str) -> str:
    text = fields.optional_text(key) or ""
    if len(text) > _TEXT_LIMIT:
        fields.refuse(f"longer than {_TEXT_LIMIT} characters", key)
    if _CONTROL.search(text):
        fields.refuse("line ends and control characters are not allowed in it", key)
    return text


def _app_name(fields: Fields) -> str | None:
    name = fields.text("name")
    if name == ANY:
        return None
    if not _APP.fullmatch(name):
        fields.refuse(f"no bundle can have the name {name[:100]!r}", "name")
    return name


def _channel(fields: Fields) -> str | None:
    if "channel" not in fields:
        return None
    channel = fields.text("channel")
    if not _LABEL.fullmatch(channel):
        fields.refuse("not 1–128 printable characters", "channel")
    if channel == ANY:
        fields.refuse("for any channel, leave it out", "channel")
    return channel


def _prefix(fields: Fields) -> str:
    if "registry_prefix" not in fields:
        return ""
    text = fields.text("registry_prefix").rstrip("/")
    if not _PREFIX.fullmatch(text):
        fields.refuse("expected HOST[:PORT][/PATH]", "registry_prefix")
    return text


def _time(fields: Fields, key: str) -> datetime | None:
    if key not in fields:
        return None
    moment = parse_time(fields.text(key))
    if moment is None:
        fields.refuse("not a time like 2026-01-01T00:00:00Z", key)
    return moment


def _key_document(key: TrustedKey) -> dict[str, object]:
    return {
        "pem": key.key.pem.decode("ascii"),
        "scheme": key.key.scheme.value,
        **({"owner": key.owner} if key.owner else {}),
        **({"not_before": format_time(key.not_before)} if key.not_before else {}),
        **({"not_after": format_time(key.not_after)} if key.not_after else {}),
    }


def _revocation_document(entry: Revocation) -> dict[str, object]:
    return {
        "key": entry.key_id,
        **({"reason": entry.reason} if entry.reason else {}),
        **({"since": format_time(entry.since)} if entry.since else {}),
    }


def _app_document(app: AppTrust) -> dict[str, object]:
    return {
        "name": app.name or ANY,
        **({"channel": app.channel} if app.channel is not None else {}),
        "keys": _ids(app.keys),
        "threshold": app.threshold,
        **({"max_age_days": app.max_age.days} if app.max_age is not None else {}),
        "allow_rollback": app.allow_rollback,
        **({"registry_prefix": app.registry_prefix} if app.registry_prefix else {}),
    }


def _ids(keys: Sequence[PublicKey]) -> list[str]:
    return [key.key_id for key in keys]
