"""What a path of the user's leads to, where it may be one that cannot lead anywhere.

``Path.exists`` and its like raise for names that no file system takes and for folders that may
not be entered; here, both lead to nothing. Who opens the path then learns why.
"""

from __future__ import annotations

import stat
from pathlib import Path


def is_there(path: Path) -> bool:
    """Whether anything is there, past all links."""
    return _mode_of(path) != 0


def is_folder(path: Path) -> bool:
    """Whether a folder is there, past all links."""
    return stat.S_ISDIR(_mode_of(path))


def is_regular(path: Path) -> bool:
    """Whether a regular file is there, past all links."""
    return stat.S_ISREG(_mode_of(path))


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        # ValueError: a zero byte in the name.
        return 0
