"""How every application stands that was imported on this host: how old, and whether too old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from airgap_importer.history.folder import STATE, all_places, all_states, place_of
from airgap_importer.history.journal import Unfinished, unfinished
from airgap_importer.history.receipt import Receipt
from airgap_shared.errors import BundleStale
from airgap_shared.stores.places import is_there
from airgap_shared.trust.policy import TrustPolicy


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest import of an application and channel into a target.

    ``stale`` says why a newer bundle is due; empty when none is. ``unfinished`` is an import that
    began and did not end.
    """

    target: str
    receipt: Receipt
    age: timedelta
    stale: str
    unfinished: Unfinished | None

    def to_document(self) -> dict[str, object]:
        """The standing as JSON."""
        open_import = self.unfinished
        return {
            **self.receipt.to_document(),
            "target": self.target,
            "ageDays": self.age.days,
            "stale": self.stale or None,
            "unfinished": open_import and open_import.to_document(),
        }


def standings(
    folder: Path, now: datetime, policy: TrustPolicy | None, max_age: timedelta | None
) -> tuple[Standing, ...]:
    """Every application in every target, by name.

    ``policy`` and ``max_age`` say how old a bundle may be, beside its own time of expiry.

    Raises:
        StateCorrupt: something that is remembered cannot be understood.

    """
    found = [
        Standing(
            state.target,
            receipt,
            now - receipt.created,
            _staleness(receipt, now, (max_age, _allowed(policy, receipt))),
            unfinished(place_of(folder, state.target, state.app)),
        )
        for state in all_states(folder)
        for receipt in state.channels.values()
    ]
    return tuple(sorted(found, key=lambda one: (one.target, one.receipt.app, one.receipt.channel)))


def first_imports(folder: Path) -> tuple[Unfinished, ...]:
    """The imports that began and did not end of what was never imported before.

    Raises:
        StateCorrupt: a folder cannot be read.

    """
    fresh = (place for place in all_places(folder) if not is_there(place / STATE))
    found = (one for place in fresh if (one := unfinished(place)) is not None)
    return tuple(sorted(found, key=lambda one: (one.target, one.app)))


def refuse_stale(found: Iterable[Standing]) -> None:
    """Raise :class:`BundleStale` when the newest import of an application is too old."""
    stale = [one for one in found if one.stale]
    if stale:
        raise BundleStale(
            f"{len(stale)} applications wait for a newer bundle",
            changed="nothing was changed",
            next_step="ask the sender for current bundles; somebody may be keeping them back",
            details=[f"{one.receipt.app} in {one.target}: {one.stale}" for one in stale],
        )


def _allowed(policy: TrustPolicy | None, receipt: Receipt) -> timedelta | None:
    if policy is None:
        return None
    trust = policy.trust_in(receipt.app, receipt.channel)
    return trust.max_age if trust is not None else None


def _staleness(receipt: Receipt, now: datetime, ages: Iterable[timedelta | None]) -> str:
    if now > receipt.expires:
        return f"{receipt.version} was to be used before {receipt.expires:%Y-%m-%d}"
    for age in ages:
        if age is not None and now - receipt.created > age:
            return f"{receipt.version} is {(now - receipt.created).days} days old, over {age.days}"
    return ""
