"""Bundles in parts, written from bundle-spec.md, section 13, alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

_END = 65536


def cut_at(whole: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The slices between these places; empty ones are left out."""
    places = sorted({0, len(whole), *cuts})
    return [whole[start:end] for start, end in pairwise(places)]


def part_path(bundle: Path, number: int) -> Path:
    """The file of part ``number``, from 1 on."""
    return bundle.with_name(f"{bundle.name}.part-{number:03}")


def index_path(bundle: Path) -> Path:
    """The file of the index."""
    return bundle.with_name(f"{bundle.name}.parts.json")


def index_of(name: str, parts: Sequence[bytes], payload: bytes) -> dict[str, object]:
    """The index of these parts of a bundle in which ``payload`` is signed."""
    return {
        "format": 1,
        "statement": digest_of(payload),
        "size": sum(map(len, parts)),
        "parts": [
            {
                "name": f"{name}.part-{number:03}",
                "size": len(part),
                "digest": digest_of(part),
                "head": digest_of(part[:_END]),
                "tail": digest_of(part[-_END:]),
            }
            for number, part in enumerate(parts, 1)
        ],
    }


def write_parts(bundle: Path, parts: Sequence[bytes], payload: bytes) -> None:
    """Lay parts and index into the folder of ``bundle``."""
    for number, part in enumerate(parts, 1):
        part_path(bundle, number).write_bytes(part)
    write_index(bundle, index_of(bundle.name, parts, payload))


def write_index(bundle: Path, index: Mapping[str, object]) -> None:
    """Write an index."""
    index_path(bundle).write_text(json.dumps(index))


def joined(bundle: Path) -> bytes:
    """What ``cat NAME.part-*`` would print."""
    return b"".join(
        path.read_bytes() for path in sorted(bundle.parent.glob(f"{bundle.name}.part-*"))
    )


def digest_of(data: bytes) -> str:
    """The sha256 digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
