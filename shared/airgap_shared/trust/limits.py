"""The limits of a trust policy: those to take away again, by their options, and the most days."""

from __future__ import annotations

from enum import StrEnum

#: A hundred years: more would be a slip of the hand, and overflow times.
DAYS_LIMIT = 36_500


class KeyLimit(StrEnum):
    """An end of the time for which a key is trusted."""

    NOT_BEFORE = "not-before"
    NOT_AFTER = "not-after"


class AppLimit(StrEnum):
    """What else than signatures is asked of an application."""

    MAX_AGE = "max-age-days"
    PREFIX = "registry-prefix"
