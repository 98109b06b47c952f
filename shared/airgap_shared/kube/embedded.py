"""Documents inside texts: YAML and JSON in strings, and base64 of them."""

from __future__ import annotations

import base64
import binascii
import re

from airgap_shared.errors import AirgapError
from airgap_shared.kube.yamltext import read_documents

_MAPPING_LINE = re.compile(
    r"^[ \t-]{0,200}[\w./\"'-]{1,200}[\"']?[ \t]{0,8}:(?:\s|$)", re.MULTILINE
)
_SIGNS = ("image", "Image", "IMAGE", "@sha", "repository", "docker", "hub")
_SHORTEST = 8


def read_embedded(text: str) -> tuple[object, ...]:
    """The documents that a text holds, when it is YAML or JSON with something in it; else none."""
    if len(text) < _SHORTEST or not _looks_structured(text) or not _is_worth_reading(text):
        return ()
    try:
        documents = read_documents(text, "")
    except AirgapError:
        # Text that is no YAML is read as plain text; nothing of it is lost.
        return ()
    values = tuple(document.value for document in documents)
    return values if any(isinstance(value, dict | list) for value in values) else ()


def _is_worth_reading(text: str) -> bool:
    """Whether the text has anything that a rule looks for."""
    return ("/" in text and ":" in text) or any(sign in text for sign in _SIGNS)


def _looks_structured(text: str) -> bool:
    start = text.lstrip()[:1]
    return start in "{[" or ("\n" in text and _MAPPING_LINE.search(text) is not None)


def read_base64(text: str) -> str | None:
    """The UTF-8 text behind base64, None when it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
