"""Allowances: how many pulls a registry says are left, as Docker Hub does in its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_VALUE = re.compile(r"(?P<count>\d{1,12})(?:\s*;\s*w=(?P<seconds>\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left, of how many in how many seconds; the latter two where the registry says so.

    Docker Hub counts each GET of a manifest, and no HEAD (Docker Hub pull usage and limits).
    """

    remaining: int
    limit: int | None = None
    seconds: int | None = None

    def __str__(self) -> str:
        text = f"{self.remaining} more pulls"
        if self.limit is not None:
            text += f" of {self.limit}"
        return text if self.seconds is None else f"{text} in {self.seconds / 3600:g} h"


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The allowance in the headers of an answer (names in lower case); nothing if there is none."""
    remaining = _VALUE.match(headers.get("ratelimit-remaining", "").strip())
    if remaining is None:
        return None
    limit = _VALUE.match(headers.get("ratelimit-limit", "").strip())
    seconds = remaining["seconds"] or (limit["seconds"] if limit else None)
    return Allowance(
        int(remaining["count"]),
        int(limit["count"]) if limit else None,
        int(seconds) if seconds else None,
    )
