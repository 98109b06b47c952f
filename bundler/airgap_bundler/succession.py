"""The order of releases: a bundle must count as newer than the one it follows, or be the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from airgap_bundler.composing import TimeWishes, same_but_time
from airgap_shared.bundle.statement import Release, Statement
from airgap_shared.errors import AirgapError, UsageError
from airgap_shared.stores.opening import read_statement
from airgap_shared.stores.partfiles import open_bundle_file

#: So many releases may be made one after the other before the clock has to go on.
_CROWD = 60


@dataclass(frozen=True, slots=True)
class Succession:
    """A release, which of its times were asked for, and the earlier bundles with its sequence.

    A bundle is followed when it would be replaced, or was given as the one before; its key does
    not matter: nothing is taken from it, it can only stand in the way.
    """

    release: Release
    wishes: TimeWishes
    equals: tuple[tuple[Path, Statement], ...] = ()

    def after(self, output: Path, previous: Path | None, *, agreed: bool) -> Succession:
        """Compare with the bundle that would be replaced at ``output``, and with ``previous``.

        Nothing is compared where the user ``agreed`` to go back.

        Raises:
            UsageError: one of them has a higher sequence; importers would refuse the new one.
            AirgapError: ``previous`` is no bundle.

        """
        app, channel = self.release.app, self.release.channel
        earlier = [
            (path, statement)
            for path, statement in ([] if agreed else _statements(output, previous))
            if (statement.release.app, statement.release.channel) == (app, channel)
        ]
        if not earlier:
            return self
        path, newest = max(earlier, key=lambda entry: entry[1].release.sequence)
        before = newest.release
        release = self._numbered(before)
        if release.sequence < before.sequence:
            raise _refused(
                f"the sequence {release.sequence} is lower than {before.sequence}, that of "
                f"{before.app} {before.version} in an earlier bundle; who imported that one would "
                "refuse this as a step back",
                path,
            )
        equals = tuple(one for one in earlier if one[1].release.sequence == release.sequence)
        return Succession(release, replace(self.wishes, before=before.sequence), equals)

    def _numbered(self, before: Release) -> Release:
        """The release; the clock's number is counted on where it is not higher only for haste."""
        release = self.release
        by_clock = not (self.wishes.created or self.wishes.sequence)
        is_hasty = 0 <= before.sequence - release.sequence < _CROWD
        if by_clock and is_hasty and before.created <= release.created:
            return replace(release, sequence=before.sequence + 1)
        return release

    def settled(self, statement: Statement) -> Succession:
        """Give the release the times of an earlier bundle with its sequence and its content.

        Raises:
            UsageError: it has other content; importers would refuse one of the two.

        """
        release, wishes = self.release, self.wishes
        for path, earlier in self.equals:
            same = same_but_time(replace(statement, release=release), earlier, wishes)
            if same is None:
                raise _refused(
                    f"the sequence {release.sequence} is that of {release.app} "
                    f"{earlier.release.version} in an earlier bundle, which has other content; who "
                    "imported that one would refuse this",
                    path,
                )
            release, wishes = same.release, replace(wishes, created=True)
        return Succession(release, wishes)


def _statements(output: Path, previous: Path | None) -> Iterator[tuple[Path, Statement]]:
    if previous is not None:
        yield previous, _read(previous)
    try:
        yield output, _read(output)
    except AirgapError:
        # Nothing there, or nothing that anybody could have imported.
        return


def _read(bundle: Path) -> Statement:
    with open_bundle_file(bundle) as medium:
        return read_statement(medium)


def _refused(what: str, where: Path) -> UsageError:
    return UsageError(
        what,
        where=str(where),
        changed="nothing was written",
        next_step="give a higher --sequence, mend the clock or SOURCE_DATE_EPOCH, or agree "
        "with --allow-lower-sequence",
    )
