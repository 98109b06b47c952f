"""Trust policies as an administrator would write them; shares no code with the tool."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.hostile import Key

Document = dict[str, object]


def key_entry(key: Key, **fields: object) -> Document:
    """One key of a policy; ``fields`` such as ``not_after``."""
    return {"pem": key.public_pem.decode(), "scheme": key.scheme, **fields}


def app_entry(*keys: Key, name: str = "*", threshold: int = 1, **fields: object) -> Document:
    """One application of a policy and the keys that may sign it."""
    ids = [key.key_id for key in keys]
    return {"name": name, "keys": ids, "threshold": threshold, **fields}


def policy_of(
    keys: Sequence[Key] | Mapping[Key, Document], *apps: Document, **fields: object
) -> Document:
    """A policy with these keys, by themselves or with their entries, and applications."""
    entries = keys if isinstance(keys, Mapping) else {key: key_entry(key) for key in keys}
    return {
        "version": 1,
        "keys": {key.key_id: entry for key, entry in entries.items()},
        "apps": list(apps),
        **fields,
    }


def write_policy(folder: Path, document: Document, name: str = "policy.json") -> Path:
    """A policy file that only its owner can write."""
    path = folder / name
    path.write_text(json.dumps(document))
    path.chmod(0o644)
    return path
