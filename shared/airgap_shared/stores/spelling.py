"""Spelling: how a secret looks inside of texts that others make."""

from __future__ import annotations

import re
from html.entities import codepoint2name

#: Shorter texts are not looked for: they would be found in every second word.
SHORTEST_SECRET = 4
#: What stands in every spelling of a secret as it is.
_WORD = re.compile(r"[A-Za-z0-9]+")
#: Of a secret: words, spaces and backslashes in runs, and everything else by itself.
_PARTS = re.compile(r"[A-Za-z0-9]+|\s+|\\+|.", re.DOTALL)
#: An expression for more of them takes seconds to compile.
_MOST_PARTS = 256
_SPACE = (
    r"(?i:\s|\+|\\{1,7}(?:[nrtfv]|u00[0-9a-f]{2})|%(?:25){0,3}(?:20|0[9a-d])"
    r"|&(?:amp;){0,3}#(?:0*(?:9|1[0-3]|32)|x0*(?:[9a-d]|20));)"
)


def landmark(secret: str) -> str:
    """A part of a secret that stands in every spelling of it as it is; may be empty."""
    return max(_WORD.findall(secret), key=len, default="")


def shortest(secret: str) -> int:
    """The number of characters that every spelling of a secret has at least."""
    return sum(map(len, secret.strip().rstrip("=").split()))


def spellings(text: str) -> str:
    """An expression for a secret as it is, and as it looks inside of other texts.

    Base64 may lack its padding. Of a secret with very many parts, all that follows the first of
    them is taken for the rest of it.
    """
    core = text.strip().rstrip("=")
    if len(core) < SHORTEST_SECRET:
        return re.escape(text)
    parts = _PARTS.findall(core)
    rest = f"{_spelling('=')}*" if len(parts) <= _MOST_PARTS else "(?s:.*)"
    return "".join(_spelling(part) for part in parts[:_MOST_PARTS]) + rest


def _spelling(part: str) -> str:
    """An expression for a word, a run of spaces or of backslashes, or another character."""
    if part.isascii() and part.isalnum():
        return part
    if part.isspace():
        # Whoever shows them makes them fewer.
        return f"{_SPACE}{{1,{len(part)}}}"
    if part[0] == "\\":
        return rf"(?:\\{{{len(part)},{8 * len(part)}}}|(?i:{_escapes(part[0])}){{{len(part)}}})"
    # The last of these is the base64 of URLs (RFC 4648 §5).
    plain = re.escape(part) + {"+": "|-", "/": "|_"}.get(part, "")
    return rf"(?:\\{{0,7}}(?:{plain})|(?i:{_escapes(part)}))"


def _escapes(character: str) -> str:
    """What JSON and programs, URLs and HTML write instead, up to three times over."""
    code, raw = ord(character), character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    unicode = "".join(rf"\\{{1,7}}u{units[n : n + 4]}" for n in range(0, len(units), 4))
    percent = "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in raw)
    name = codepoint2name.get(code, "apos")
    entity = f"&(?:amp;){{0,3}}(?:{name}|#0*{code}|#x0*{code:x});"
    return rf"{unicode}|\\{{1,7}}x{code:02x}|{percent}|{entity}"
