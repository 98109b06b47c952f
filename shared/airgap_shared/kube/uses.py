"""One use of an image: the text, where it stands, which rule found it, what was decided."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from airgap_shared.kube.objects import KubeObject

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The way from an object's root to a value: keys and list positions."""

    parts: tuple[str | int, ...]

    @property
    def json_pointer(self) -> str:
        """The path as RFC 6901 writes it."""
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.parts)

    def __str__(self) -> str:
        text = ""
        for part in self.parts:
            if isinstance(part, int):
                text += f"[{part}]"
            elif _PLAIN_KEY.fullmatch(part):
                text += f".{part}"
            else:
                text += f"[{part!r}]"
        return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: from this character up to, not including, that one."""

    start: int
    end: int

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The text behind base64."""

    def __str__(self) -> str:
        return "|base64"


class ScalarStyle(enum.StrEnum):
    """How a scalar is written in a YAML or JSON text."""

    PLAIN = "plain"
    SINGLE_QUOTED = "single-quoted"
    DOUBLE_QUOTED = "double-quoted"
    LITERAL = "literal"
    FOLDED = "folded"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A value in a YAML or JSON document that is written as text; ``document`` counts from 0.

    For a scalar, ``token`` says which characters of that text are it, quotes or the ``|`` of a
    block included, and ``style`` how it is written. Two values have one token where the text
    uses an alias. Both are None for mappings and lists, and where the text is JSON that is no
    YAML: it has to be written anew as a whole.
    """

    document: int
    path: FieldPath
    token: Span | None = field(default=None, compare=False)
    style: ScalarStyle | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"|yaml[{self.document}].{self.path}".removesuffix(".")


Step = Span | Encoded | Embedded


class PieceRole(enum.StrEnum):
    """Which part of a reference a field holds."""

    REGISTRY = "registry"
    REPOSITORY = "repository"
    NAME = "name"
    TAG = "tag"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Piece:
    """One field of a split reference; ``text`` is what it holds now."""

    role: PieceRole
    path: FieldPath
    inside: tuple[Step, ...]
    text: str


class Verdict(enum.StrEnum):
    """What was decided about an image-like text."""

    IMAGE = "image"
    UNDECIDED = "undecided"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image-like text at one place of one object.

    ``text`` is the reference as it was found. ``rule`` names the rule that found it and
    ``reason`` says in words why the verdict is what it is. ``inside``
    leads from the value at ``path`` to the text, when the text is not that whole value.
    ``pieces`` are the fields of a split reference, in the order in which they are joined; they are
    empty when one text holds the whole reference.
    """

    text: str
    object: KubeObject
    path: FieldPath
    rule: str
    verdict: Verdict
    reason: str
    inside: tuple[Step, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def place(self) -> str:
        """File, object and path, as messages and reports show it."""
        return f"{self.object}#{self.path}" + "".join(map(str, self.inside))
