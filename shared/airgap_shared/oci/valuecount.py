"""How many values a JSON document can have at most: told before any of them is made."""

from __future__ import annotations

import re

from airgap_shared.errors import LimitExceeded

_MARKS = (b",", b":", b"[", b"{")
_QUOTE = ord('"')
# Matches from every quote and gives nothing back: one pass, also over text that never ends.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[,:\[{]', re.DOTALL)


def check_value_count(raw: bytes, limit: int, where: str) -> None:
    """Refuse more than ``limit`` commas, colons, opening brackets and braces outside of strings.

    Each value and key but the first comes with one of them, so that a small file cannot take much
    memory. Where there are more strings than that, the document is no JSON.

    Raises:
        LimitExceeded: there are more.

    """
    if raw.count(b'"') // 2 + sum(raw.count(mark) for mark in _MARKS) <= limit:
        return
    marks = strings = 0
    for token in _TOKEN.finditer(raw):
        if raw[token.start()] == _QUOTE:
            strings += 1
        else:
            marks += 1
        if marks > limit or strings > limit + 1:
            raise LimitExceeded(f"over {limit:,} values in a JSON document", where=where)
