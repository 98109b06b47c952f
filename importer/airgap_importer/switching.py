"""Putting staged directories in place of old ones, one by one, and back again if that fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from airgap_importer.filetree import exchange, kind_of, sync
from airgap_shared.errors import OverlayNotWritable

_LOG = logging.getLogger(__name__)


class Swap:
    """One staged directory that takes the place of another, or of nothing.

    ``staged`` and ``place`` are open directories; the old directory, if there is one, is left
    under the staged name.
    """

    def __init__(self, staged: int, staged_name: str, place: int, name: str) -> None:
        self._staged = staged
        self._staged_name = staged_name
        self._place = place
        self._name = name
        self._replaced = False
        self._moved = False

    def apply(self) -> None:
        """Put the staged directory in place; both parents are on the disk afterwards."""
        self._replaced = kind_of(self._place, self._name) != "absent"
        self._move(self._staged, self._staged_name, self._place, self._name)

    def undo(self) -> None:
        """Put everything back as it was, if anything was done."""
        if self._moved:
            self._move(self._place, self._name, self._staged, self._staged_name)
            self._moved = False

    def _move(self, source: int, source_name: str, place: int, name: str) -> None:
        if self._replaced:
            exchange(source, source_name, place, name)
        else:
            os.rename(source_name, name, src_dir_fd=source, dst_dir_fd=place)
        self._moved = True
        sync(place)
        sync(source)

    def __str__(self) -> str:
        return self._name


def carry_out(swaps: Sequence[Swap]) -> None:
    """Do all swaps in order, or none.

    When one fails (or the user interrupts), what was done is undone and the failure goes on.

    Raises:
        OverlayNotWritable: undoing failed as well.

    """
    try:
        for swap in swaps:
            swap.apply()
    except BaseException:
        _put_back(swaps)
        raise


def _put_back(swaps: Sequence[Swap]) -> None:
    """Undo from the last to the first, and no further than that works.

    The first is the bridge: it stays while anything behind it is new.
    """
    for swap in reversed(swaps):
        try:
            swap.undo()
        except OSError as error:
            _LOG.warning("%s could not be put back: %s", swap, error)
            raise OverlayNotWritable(
                f"the old {swap} could not be put back: {error.strerror}",
                changed="the overlay is half replaced; what it deploys is the new release, whole",
                next_step="run airgap-import apply again",
            ) from error
