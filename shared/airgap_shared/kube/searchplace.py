"""Where a search through an object stands, and what leads there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.uses import Embedded, FieldPath, Step

Parts = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the search stands: the path, what leads into a text, and what surrounds it.

    ``note`` says why nothing here can be an image that the application pulls; ``name`` is what a
    value is called, and ``variable`` whether it is called so as a variable, parameter or flag;
    ``above`` holds the mappings around it, outermost first. Within an embedded text, ``outer``
    is the path to the text and ``parts`` begins at its ``document``. ``schema`` says that a value
    is the default of a schema.
    """

    parts: Parts = ()
    outer: FieldPath | None = None
    inside: tuple[Step, ...] = ()
    document: int | None = None
    name: str = ""
    variable: bool = False
    note: str = ""
    depth: int = 0
    above: tuple[Block, ...] = ()
    tokens: TokenTree | None = None
    schema: bool = False

    @property
    def path(self) -> FieldPath:
        """The path from the object's root to a value."""
        return self.outer or FieldPath(self.parts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What leads from that value to this place."""
        if self.document is None:
            return self.inside
        return (*self.inside, self._embedded(self.document))

    @property
    def beside(self) -> Mapping[str, object]:
        """The mapping that the value stands in."""
        return self.above[-1].mapping if self.above else {}

    def below(self, *parts: str | int) -> Place:
        """The place of a value further in."""
        return replace(self, parts=(*self.parts, *parts))

    def entered(
        self, *steps: Step, document: int | None = None, tokens: TokenTree | None = None
    ) -> Place:
        """The place behind further steps: a decoding, or a document of an embedded text."""
        return replace(
            self,
            outer=self.path,
            parts=(),
            inside=(*self.steps, *steps),
            document=document,
            tokens=tokens,
        )

    def _embedded(self, document: int) -> Embedded:
        path = FieldPath(self.parts)
        token = self.tokens.token(document, self.parts) if self.tokens is not None else None
        if token is None:
            return Embedded(document, path)
        return Embedded(document, path, token.span, token.style)


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping and the place it stands at."""

    mapping: Mapping[str, object]
    place: Place
