"""Redaction: no secret in a message or a log, whatever a registry echoes back."""

from __future__ import annotations

import re
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Hashable
from itertools import chain

from airgap_shared.stores.spelling import SHORTEST_SECRET, landmark, shortest, spellings

TEXT_LIMIT = 500
#: Of the tokens for one use: that in use, and what requests under way may still carry.
_NEWEST = 8
_HIDDEN = "[hidden]"
#: Of both schemes, as it is sent and as JSON (``\/``) and URLs (``%3D``) spell it.
_AUTHORIZATION = re.compile(
    r"\b(basic|bearer)(?:[ \t]|%20)+(?:[A-Za-z0-9\-._~+/]|\\/|%[0-9a-f]{2}){4,}=*", re.IGNORECASE
)
_COOKIE = re.compile(r"\b((?:set-)?cookie\s*:\s*)[^\r\n]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/?#\s@]*@")
_DIGESTS = ("sha256:", "sha512:")
#: Before the host of an address; paths made of one have lost a slash.
_URL_ACCOUNT = re.compile(rf"(:/{{1,2}})[^/?#\s]*@(?!{'|'.join(_DIGESTS)})")
_WORD = re.compile(r"\S+")
# To the end of the word, whether it is a query or not: one pass over text that is all "?".
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]*")


class Redactor:
    """Knows the secrets that one client handles; used by several threads."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._tokens: dict[Hashable, deque[tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def learn(self, *secrets: str) -> None:
        """Hide these from now on, also as web pages, JSON documents and URLs would repeat them."""
        forms = _forms(*secrets)
        with self._lock:
            self._secrets.update(forms)

    def learn_token(self, use: Hashable, token: str) -> None:
        """Hide a token that replaces others for the same use, and the last few of those.

        A server can make tokens end at once, and so give one for each request.
        """
        forms = _forms(token)
        with self._lock:
            self._tokens.setdefault(use, deque(maxlen=_NEWEST)).append(forms)

    def clean(self, text: str) -> str:
        """Foreign text for a message: secrets hidden, control characters escaped, cut short."""
        with self._lock:
            secrets = self._secrets.union(*chain.from_iterable(self._tokens.values()))
        for secret in sorted(secrets, key=len, reverse=True):
            # Expressions for tokens are large, and few of them are met.
            if shortest(secret) <= len(text) and landmark(secret) in text:
                text = re.sub(spellings(secret), _HIDDEN, text)
        return readable(text)


def _forms(*secrets: str) -> tuple[str, ...]:
    """These, and the same in base64, where they are long enough to be looked for."""
    long = [text for text in secrets if len(text) >= SHORTEST_SECRET]
    encoded = [b64encode(text.encode("utf-8", "surrogatepass")).decode() for text in long]
    return (*long, *encoded)


def readable(text: str) -> str:
    """Foreign text with what looks like a secret hidden, escaped and cut at 500 characters."""
    text = hide(text)
    cut = text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def hide(text: str) -> str:
    """The same text without what looks like a secret: tokens, cookies, userinfo and queries."""
    text = _AUTHORIZATION.sub(rf"\1 {_HIDDEN}", text)
    text = _COOKIE.sub(rf"\1{_HIDDEN}", text)
    text = _USERINFO.sub("", text)
    return _QUERY.sub(lambda found: "" if "=" in found[0] else found[0], text)


def without_accounts(text: str) -> str:
    """The same text without users and passwords before hosts, in addresses and in image names.

    What stands before a digest stays.
    """
    return _WORD.sub(_without_account, _URL_ACCOUNT.sub(r"\1***@", text))


def _without_account(found: re.Match[str]) -> str:
    """A word; where it is none of an address and has a colon before an @, that was an account."""
    word = found[0]
    at = word.rfind("@")
    while at >= 0 and word.startswith(_DIGESTS, at + 1):
        at = word.rfind("@", 0, at)
    colon, address = word.find(":", 0, max(at, 0)), word.find(":/", 0, max(at, 0))
    if colon < 0 or address >= 0:
        return word
    opening = word[: len(word) - len(word.lstrip("'\"([{<"))]
    return f"{opening}***{word[at:]}"
