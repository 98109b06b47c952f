"""What a writer needs to know to write a bundle: everything but the bytes of the large blobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airgap_shared.bundle.statement import Member, Statement
from airgap_shared.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """A sealed statement and the content that is at hand already.

    ``envelope`` is the first member's content. ``content`` holds, by path, the members that are
    in memory. ``compressible`` names the blobs that are fetched but worth compressing; they come
    last in the statement, because only their compressed size is unknown beforehand.
    """

    statement: Statement
    envelope: bytes
    content: Mapping[str, bytes]
    compressible: frozenset[Digest]

    @property
    def in_memory(self) -> tuple[Member, ...]:
        """The members whose content is at hand, in order."""
        return tuple(m for m in self.statement.members if m.path in self.content)

    @property
    def stored(self) -> tuple[Member, ...]:
        """The members fetched straight into their place, in order."""
        return tuple(
            m
            for m in self.statement.members
            if m.path not in self.content and m.digest not in self.compressible
        )

    @property
    def streamed(self) -> tuple[Member, ...]:
        """The members compressed while they are fetched, in order."""
        return tuple(
            m
            for m in self.statement.members
            if m.path not in self.content and m.digest in self.compressible
        )
