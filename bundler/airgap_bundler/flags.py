"""From the flags of create and keygen to values, judged before anything is fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airgap_bundler.keptcontent import KeptContent
from airgap_shared import __version__
from airgap_shared.bundle.names import is_application_name, is_label
from airgap_shared.bundle.statement import Release
from airgap_shared.console.files import (
    refuse_input,
    refuse_part_name,
    refuse_strange_parts,
    refuse_stranger,
)
from airgap_shared.errors import UsageError
from airgap_shared.oci.platform import Platform
from airgap_shared.stores.partialfiles import related_files
from airgap_shared.stores.places import is_folder
from airgap_shared.stores.progress import Progress

ALL_PLATFORMS = "all"
#: Set to a Unix time, it is taken for the time of creation (reproducible-builds.org).
EPOCH = "SOURCE_DATE_EPOCH"
#: So long a bundle may be imported at most, in days.

_LONGEST_LIFE = 3660
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SHELF_LIFE = timedelta(days=180)
_EPOCH_LIMIT = int((_LAST_MOMENT - _SHELF_LIFE).timestamp())
_SEQUENCE_LIMIT = 2**63 - 1


def compose_release(
    name: str, labels: tuple[str, str], sequence: int | None, created: datetime, valid_days: int
) -> Release:
    """What is released, judged before anything is fetched; ``labels`` are version and channel.

    Raises:
        UsageError: a name or number that a statement cannot hold.

    """
    version, channel = labels
    if not is_application_name(name):
        raise UsageError(
            f"not an application name: {name!r}",
            where="--name",
            next_step="use at most 63 lower-case letters, digits and dashes",
        )
    for flag, value in (("--version", version), ("--channel", channel)):
        if not is_label(value):
            raise UsageError("use 1–128 printable ASCII characters", where=flag)
    if sequence is not None and not 0 <= sequence <= _SEQUENCE_LIMIT:
        raise UsageError(f"use a number from 0 to {_SEQUENCE_LIMIT}", where="--sequence")
    most = min(_LONGEST_LIFE, (_LAST_MOMENT - created).days)
    if not 1 <= valid_days <= most:
        raise UsageError(f"use a number from 1 to {most}", where="--valid-days")
    return Release(
        name,
        version,
        channel,
        int(created.timestamp()) if sequence is None else sequence,
        created,
        created + timedelta(days=valid_days),
        f"airgap-bundle/{__version__}",
    )


def creation_time(epoch: str) -> datetime:
    """Now, or the time that SOURCE_DATE_EPOCH says.

    Raises:
        UsageError: it says no time.

    """
    if not epoch:
        return datetime.now(UTC).replace(microsecond=0)
    if not re.fullmatch(r"[0-9]{1,12}", epoch) or int(epoch) > _EPOCH_LIMIT:
        raise UsageError(f"not a Unix time from 0 to {_EPOCH_LIMIT}: {epoch[:100]!r}", where=EPOCH)
    return datetime.fromtimestamp(int(epoch), UTC)


def note_expiry(release: Release, now: datetime, progress: Progress) -> None:
    """Warn when a bundle would be past its time at once."""
    if now > release.expires:
        progress.note(
            f"warning: made for {release.created:%Y-%m-%d}, the bundle expired on "
            f"{release.expires:%Y-%m-%d} and will not be imported; see --valid-days"
        )


def check_output(output: Path, inputs: Sequence[Path], split: bool = False) -> None:
    """A bundle may be replaced by another one; nothing else is ever written over.

    Raises:
        UsageError: the output is something else, would be taken for something else, or its folder
            is missing.

    """
    if is_folder(output):
        raise UsageError("the output is a folder", where=str(output), next_step="name a file in it")
    if not is_folder(output.absolute().parent):
        raise UsageError("there is no such folder", where=str(output.absolute().parent))
    refuse_part_name(output)
    for path in (output, *related_files(output), KeptContent(output).path):
        refuse_input(path, inputs)
    refuse_stranger(output)
    if split:
        refuse_strange_parts(output)


def choose_platforms(texts: Sequence[str], machine: str) -> tuple[Platform, ...]:
    """The platforms to take, none for all; by default Linux on ``machine`` (``uname -m``).

    Raises:
        UsageError: no platform, or 'all' beside others.

    """
    if ALL_PLATFORMS in texts:
        if len(texts) > 1:
            raise UsageError("'all' already means every platform", where="--platform")
        return ()
    if not texts:
        return (Platform.of_machine(machine),)
    return tuple(sorted({Platform.parse(text) for text in texts}, key=str))


def names_of(platforms: Sequence[Platform]) -> tuple[str, ...]:
    """Platforms as a statement names them."""
    return tuple(map(str, platforms)) or (ALL_PLATFORMS,)
