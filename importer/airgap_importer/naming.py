"""The strategies by which images are named in the target; the help loads no more of it."""

from __future__ import annotations

import enum


class Naming(enum.StrEnum):
    """The strategies, as ``--naming`` spells them."""

    LAST = "last"
    PATH = "path"
    FLAT = "flat"
