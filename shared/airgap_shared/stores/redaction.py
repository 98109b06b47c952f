"""Redaction: no secret in a message or a log, whatever a registry echoes back."""

from __future__ import annotations

import re
import threading

TEXT_LIMIT = 500
_HIDDEN = "[hidden]"
#: Shorter texts are not looked for: they would be found in every second word.
_SHORTEST_SECRET = 4
_AUTHORIZATION = re.compile(r"\b(basic|bearer)[ \t]+[A-Za-z0-9\-._~+/]{4,}=*", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/?#\s@]*@")
# To the end of the word, whether it is a query or not: one pass over text that is all "?".
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]*")


class Redactor:
    """Knows the secrets that one client handles; used by several threads."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, *secrets: str) -> None:
        """Hide these from now on."""
        with self._lock:
            self._secrets.update(text for text in secrets if len(text) >= _SHORTEST_SECRET)

    def clean(self, text: str) -> str:
        """Foreign text for a message: secrets hidden, control characters escaped, cut short."""
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        return readable(text)


def readable(text: str) -> str:
    """Foreign text with what looks like a secret hidden, escaped and cut at 500 characters."""
    text = _AUTHORIZATION.sub(rf"\1 {_HIDDEN}", text)
    text = _USERINFO.sub("", text)
    text = _QUERY.sub(lambda found: "" if "=" in found[0] else found[0], text)
    cut = text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
