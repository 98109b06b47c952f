"""The limits of a trust policy that can be taken away again, by the names of their options."""

from __future__ import annotations

from enum import StrEnum


class KeyLimit(StrEnum):
    """An end of the time for which a key is trusted."""

    NOT_BEFORE = "not-before"
    NOT_AFTER = "not-after"


class AppLimit(StrEnum):
    """What else than signatures is asked of an application."""

    MAX_AGE = "max-age-days"
    PREFIX = "registry-prefix"
