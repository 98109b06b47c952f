"""Making a lost or damaged state again from what the registry remembers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from airgap_importer.assignments import merged
from airgap_importer.history.auditlog import read_entries
from airgap_importer.history.folder import (
    is_of_later_format,
    load_state,
    locked_place,
    set_aside,
    write_state,
)
from airgap_importer.history.receipt import Receipt
from airgap_importer.history.registryreceipt import RegistryReceipts
from airgap_importer.history.state import ImportState
from airgap_importer.relocation import Target
from airgap_importer.story import telling
from airgap_shared.errors import StateCorrupt, UsageError
from airgap_shared.stores.ports import ImageTarget


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The receipt that holds now; ``set_aside`` where the state that was there could not be read.

    It may have known other channels, too.
    """

    receipt: Receipt
    set_aside: bool


def rebuild_state(
    folder: Path, registry: ImageTarget, target: Target, app: str, channel: str
) -> Rebuilt:
    """Take the registry's receipt for what is remembered here, unless that is as new or newer.

    A state that cannot be read is kept under another name.

    Raises:
        UsageError: the registry has no receipt either.
        Locked: an import is at work.
        AirgapError: the registry does not answer, or the folder cannot be written.

    """
    receipts = RegistryReceipts(registry, target, app, channel)
    found = receipts.newest()
    if found is None:
        raise UsageError(
            "the registry has no receipt of this application and channel",
            where=receipts.where,
            changed="nothing was changed",
            next_step="the next import starts a new one; check by hand that it is the newest",
        )
    damaged = False
    with telling() as story, locked_place(folder, str(target), app) as place:
        try:
            state = load_state(folder, str(target), app)
        except StateCorrupt:
            if is_of_later_format(place):
                raise
            damaged = True
            stays = set_aside(place)
            name = "a second name" if stays else "another name"
            story.changed = f"the damaged state has {name}; nothing else was changed"
            state = ImportState(str(target), app)
        known = state.channels.get(channel)
        if known is not None and known.sequence >= found.receipt.sequence:
            return Rebuilt(known, damaged)
        names = merged(state.names, found.names)
        receipt = found.receipt
        if receipt.audit not in _logged(folder):
            # Its line is in the log of the host that imported it.
            receipt = replace(receipt, audit="")
        write_state(place, state.with_receipt(receipt, None, names))
    return Rebuilt(receipt, damaged)


def _logged(folder: Path) -> frozenset[str]:
    """The digests of the lines of this host's log, as far as it can be read."""
    try:
        return frozenset(entry.digest for entry in read_entries(folder))
    except StateCorrupt:
        return frozenset()
