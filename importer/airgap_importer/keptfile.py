"""A file that an earlier import kept: what is in it, and whether this tool knows its format."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from airgap_shared.errors import AirgapError, StateCorrupt
from airgap_shared.oci.fields import Fields

#: Bytes; far more than the largest that an import writes.
LIMIT = 64 << 20


def read_kept(path: Path) -> bytes | None:
    """The content of a file; None when there is none.

    Raises:
        StateCorrupt: it is there but cannot be read, or is nothing that an import wrote.

    """
    try:
        # What is no regular file may never come to an end, or never begin.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StateCorrupt("no regular file", where=str(path))
            raw = file.read(LIMIT + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise StateCorrupt("a link that leads nowhere", where=str(path)) from None
        return None
    except OSError as problem:
        raise unreadable(path, problem) from problem
    if len(raw) > LIMIT:
        raise StateCorrupt("far too large", where=str(path))
    return raw


def unreadable(path: Path, problem: OSError) -> StateCorrupt:
    """The failure to read what is there; it is never taken for nothing."""
    return StateCorrupt(
        f"cannot be read: {problem.strerror}",
        where=str(path),
        next_step="find out why this user cannot read it, then run again",
    )


def check_format(fields: Fields, known: int, error: type[AirgapError]) -> None:
    """Raise ``error`` for a document of another format than this tool writes."""
    found = fields.count("format")
    if found != known:
        raise error(
            f"format {found}; this tool knows {known}",
            where=fields.place,
            changed="it was left as it is",
            next_step="use the newer airgap-import that wrote it",
        )
