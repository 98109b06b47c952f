"""Times as documents hold them: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def format_time(moment: datetime) -> str:
    """``2026-01-31T12:00:00Z``."""
    plain = moment.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(timespec="seconds") + "Z"


def parse_time(text: str) -> datetime | None:
    """A time that :func:`format_time` could have written; None for any other text."""
    try:
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None
