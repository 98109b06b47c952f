"""Text that YAML 1.1 and 1.2 readers, and JSON readers, understand alike."""

from __future__ import annotations

import json
import re

_PLAIN_ENOUGH = re.compile(r"[ -~]*")
# Legal in JSON, but line breaks or not printable in YAML 1.1.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def quoted(text: str) -> str:
    """A YAML scalar that is this text, whatever it looks like (``1e3``, ``on``)."""
    if _PLAIN_ENOUGH.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return json_text(text)


def json_text(value: object, indent: int | None = None) -> str:
    """JSON that is YAML as well."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
