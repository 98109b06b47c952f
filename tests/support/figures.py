"""What the fixture ``figure`` gives."""

from __future__ import annotations

from collections.abc import Callable

#: Reports a figure: what was counted, and how many; equal names are added.
Figure = Callable[[str, int], None]
