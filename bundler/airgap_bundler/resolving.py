"""Resolving with a memory: what earlier runs and bundles hold is not fetched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap_bundler.keptcontent import KeptContent
from airgap_bundler.pinning import CONFIG_LIMIT, PinnedImage, Pinning
from airgap_bundler.shelf import Shelf
from airgap_shared.errors import AirgapError
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import Reference
from airgap_shared.stores.headcontent import read_head
from airgap_shared.stores.partialfiles import partial_files


@dataclass(frozen=True, slots=True)
class Resolving:
    """Resolving the images of the bundle ``output``, which follows ``previous`` if that is given.

    Where a run ``keeps``, what it had fetched when a registry gave nothing more is there for the
    next.
    """

    output: Path
    previous: Path | None
    keeps: bool

    def shelf(self) -> Shelf:
        """What is at hand: of unfinished and finished bundles with this name, and the previous."""
        found: dict[Digest, bytes] = {}
        given = [self.previous] if self.previous else []
        for path in (*partial_files(self.output), self.output, *given):
            found.update(read_head(path, CONFIG_LIMIT))
        return Shelf({**found, **KeptContent(self.output).load()})

    def pin(
        self, pinning: Pinning, references: Sequence[Reference], jobs: int
    ) -> tuple[PinnedImage, ...]:
        """Pin everything, or keep what was fetched.

        Raises:
            AirgapError: as :meth:`Pinning.pin`.

        """
        try:
            return pinning.pin(references, jobs)
        except AirgapError:
            if self.keeps and pinning.shelf.limited:
                KeptContent(self.output).save(pinning.shelf.content())
            raise

    def forget(self) -> None:
        """Remove what was kept: the bundle is finished."""
        KeptContent(self.output).discard()
