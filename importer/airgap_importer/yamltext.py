"""Text that YAML 1.1 and 1.2 readers, and JSON readers, understand alike."""

from __future__ import annotations

import json
import re

_PLAIN_ENOUGH = re.compile(r"[ -~]*")
# Several lines that begin and end with something to see: every reader gives them back as they are.
_LINES = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)\n(?:[ -~]*[!-~]\n|\n)*(?:[ -~]*[!-~])?")
_UNPRINTABLE = re.compile(r"[^ -~→]")
# Legal in JSON, but line breaks or not printable in YAML 1.1.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def quoted(text: str) -> str:
    """A YAML scalar that is this text, whatever it looks like (``1e3``, ``on``)."""
    if _PLAIN_ENOUGH.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return json_text(text)


def comment(text: str) -> str:
    """A line that YAML and TOML readers pass over, whatever the text."""
    return "# " + _UNPRINTABLE.sub("?", text)


def value_text(value: object, indent: int) -> str:
    """A YAML value behind ``key: ``; lines of text as lines, ``indent`` spaces before each."""
    if not isinstance(value, str):
        return json_text(value)
    if not _LINES.fullmatch(value):
        return quoted(value)
    keep = "+" if value.endswith("\n\n") else ""
    chomp = keep if value.endswith("\n") else "-"
    lines = (
        f"{' ' * indent}{line}" if line else "" for line in value.removesuffix("\n").split("\n")
    )
    return "\n".join([f"|{chomp}", *lines])


def json_text(value: object, indent: int | None = None) -> str:
    """JSON that is YAML as well."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
