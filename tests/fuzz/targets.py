"""The targets by name, and the module each one is in: only that one is imported."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

from fuzz.target import Target

_MODULES: Final = {
    "bundle": (
        "envelope",
        "statement",
        "tar-member",
        "zstd-frames",
        "seek-table",
        "bundle",
        "bundle-head",
        "image-graph",
    ),
    "oci": ("image-manifest", "referrers-list", "json-fields", "image-reference", "platform"),
    "kube": ("yaml", "documents", "find-images", "rewriting", "rules-file"),
    "registry": (
        "challenge",
        "token-answer",
        "origins",
        "next-page",
        "download",
        "retry-after",
        "complaint",
    ),
    "trust": ("trust-policy", "policy-update", "public-key"),
    "local": (
        "auth-file",
        "credential-helper",
        "relocation-record",
        "mirror-records",
        "kept-content",
        "overlay-marker",
    ),
}
NAMES: Final = tuple(name for names in _MODULES.values() for name in names)
FINDINGS: Final = Path(__file__).parent / "findings"


def load_target(name: str) -> Target:
    """The target of this name."""
    (room,) = (room for room, names in _MODULES.items() if name in names)
    module = importlib.import_module(f"fuzz.{room}_targets")
    target = module.TARGETS[name]
    assert isinstance(target, Target)
    return target


def kept_findings(name: str) -> list[Path]:
    """The inputs that once broke something."""
    folder = FINDINGS / name
    return sorted(folder.iterdir()) if folder.is_dir() else []
