"""The order of releases: a bundle must not count as older than the one it follows."""

from __future__ import annotations

from pathlib import Path

from airgap_shared.bundle.statement import Release, Statement
from airgap_shared.errors import AirgapError, UsageError
from airgap_shared.stores.opening import read_statement
from airgap_shared.stores.partfiles import open_bundle_file


def refuse_lower_sequence(
    release: Release, output: Path, previous: Path | None, agreed: bool
) -> int:
    """Compare with the bundle that would be replaced at ``output``, and with ``previous``.

    Gives the lowest sequence that the release may have; an interrupted run that is gone on with
    has its own. Nothing is compared where the user ``agreed`` to go back.

    Only bundles of the same application and channel count. They need not be signed by the same
    key: nothing is taken from them, they can only stand in the way.

    Raises:
        UsageError: one of them has a higher sequence; importers would refuse the new one.
        AirgapError: ``previous`` is no bundle.

    """
    if agreed:
        return 0
    lowest = 0
    if previous is not None:
        lowest = _compare(release, _read(previous), previous)
    try:
        replaced = _read(output)
    except AirgapError:
        # Nothing there, or nothing that anybody could have imported.
        return lowest
    return max(lowest, _compare(release, replaced, output))


def _read(bundle: Path) -> Statement:
    with open_bundle_file(bundle) as medium:
        return read_statement(medium)


def _compare(release: Release, earlier: Statement, where: Path) -> int:
    """The sequence of an earlier bundle; 0 where it is not one of the same releases."""
    before = earlier.release
    if (before.app, before.channel) != (release.app, release.channel):
        return 0
    if release.sequence < before.sequence:
        raise UsageError(
            f"the sequence {release.sequence} is lower than {before.sequence}, that of "
            f"{before.app} {before.version} in an earlier bundle; who imported that one would "
            "refuse this as a step back",
            where=str(where),
            changed="nothing was written",
            next_step="give a higher --sequence, mend the clock or SOURCE_DATE_EPOCH, or agree "
            "with --allow-lower-sequence",
        )
    return before.sequence
