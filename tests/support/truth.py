"""The paths of hand-made judgements, followed in objects as they are now."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.kube.yamltext import read_documents

_POSITION = re.compile(r"\[(\d+)\]")
_DOCUMENT = re.compile(r"\|(?P<kind>yaml|b64yaml)\[(?P<index>\d+)\]")


@dataclass(frozen=True, slots=True)
class JudgedPath:
    """``file#Kind/name#path``; the name is a generateName where there is no name."""

    file: str
    kind: str
    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> JudgedPath:
        file, identity, path = text.split("#", 2)
        kind, _, name = identity.partition("/")
        return cls(file, kind, "" if name == "None" else name, path)

    def names(self, obj: KubeObject) -> bool:
        """Whether an object is meant, in whatever file it stands."""
        return obj.identity.kind == self.kind and name_of(obj) == self.name

    def values(self, obj: KubeObject) -> Iterator[object]:
        """What stands at the path; several where a key with a dot can be read in two ways."""
        yield from _follow(obj.value, self.path)


def name_of(obj: KubeObject) -> str:
    """The name, or else the generateName."""
    metadata = obj.value.get("metadata")
    fields = metadata if isinstance(metadata, Mapping) else {}
    return scalar_text(fields.get("name")) or scalar_text(fields.get("generateName")) or ""


def _follow(value: object, path: str) -> Iterator[object]:
    path = path.removeprefix(".")
    if not path:
        yield value
    elif isinstance(value, str):
        yield from _within(value, path)
    elif isinstance(value, list):
        match = _POSITION.match(path)
        if match is not None and int(match[1]) < len(value):
            yield from _follow(value[int(match[1])], path[match.end() :])
    elif isinstance(value, Mapping):
        for key, child in value.items():
            rest = path.removeprefix(key)
            if path.startswith(key) and (not rest or rest[0] in ".[|"):
                yield from _follow(child, rest)


def _within(text: str, path: str) -> Iterator[object]:
    match = _DOCUMENT.match(path)
    if match is None:
        return
    if match["kind"] == "b64yaml":
        text = base64.b64decode(text).decode()
    documents = read_documents(text, "")
    yield from _follow(documents[int(match["index"])].value, path[match.end() :])


def texts_in(value: object) -> list[str]:
    """Every scalar in a value."""
    if isinstance(value, Mapping):
        return [text for child in value.values() for text in texts_in(child)]
    if isinstance(value, list):
        return [text for child in value for text in texts_in(child)]
    text = scalar_text(value)
    return [] if text is None else [text]
