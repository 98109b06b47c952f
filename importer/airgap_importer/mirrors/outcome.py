"""What a format makes of a relocation: files, and what they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Configuration:
    """Files by relative path; ``notes`` say what of the relocation they cannot express."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


def lines(*text: str) -> bytes:
    """Lines of text as a file."""
    return ("\n".join(text) + "\n").encode()
