"""Scalars that current kustomize types otherwise than Kubernetes does.

Measured with kustomize 5.5 against kubectl 1.32: ``yes`` and ``on``, booleans to Kubernetes, are
text to kustomize; a plain date, text to Kubernetes, comes out as ``2024-01-01T00:00:00Z``; what
has a tag of its own is often dropped; and a key that is a number or a boolean ends the rendering.
"""

from __future__ import annotations

import re
from typing import Final

import yaml

from airgap_shared.errors import AirgapError
from airgap_shared.kube.yamltext import TreeBuilder

# Plain words that YAML 1.1 and Kubernetes read as booleans.
_OLD_BOOLEANS = frozenset(
    word
    for lower in ("y", "n", "yes", "no", "on", "off")
    for word in (lower, lower.capitalize(), lower.upper())
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s]|$)")
_TEXT_TAGS: Final = (None, "tag:yaml.org,2002:str")
# Most texts hold nothing of the kind, and need not be read again to know it.
_BEFORE = r"(?:^|[\s\[{,:])"
_SUSPECT = re.compile(
    rf"{_BEFORE}(?:{'|'.join(sorted(_OLD_BOOLEANS))})[ \t]*(?:[,}}\]:#\r]|$)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]"
    rf"|{_BEFORE}(?:(?i:true|false)|[-+.]?[0-9][\w.+-]*)[ \t]*:(?:\s|$)"
    rf"|{_BEFORE}(?:!|\?\s|\*[^\s,\]}}]+[ \t]+:)",
    re.MULTILINE,
)


def is_retyped(text: str) -> bool:
    """Whether kustomize reads any scalar of a YAML text otherwise than Kubernetes."""
    if not _SUSPECT.search(text):
        return False
    reader = _Reader("")
    try:
        return any(reader.found for _ in reader.documents(text))
    except AirgapError:
        return True


class _Reader(TreeBuilder):
    """Reads as Kubernetes does, and notes what kustomize would not."""

    found = False

    def _value(self, event: yaml.ScalarEvent) -> object:
        if event.implicit[0]:
            self.found |= event.value in _OLD_BOOLEANS or _DATE.match(event.value) is not None
        self.found |= event.tag not in _TEXT_TAGS
        return super()._value(event)

    def _key(self, mapping: dict[str, object], value: object, event: yaml.Event) -> str:
        self.found |= not isinstance(value, str)
        return super()._key(mapping, value, event)
