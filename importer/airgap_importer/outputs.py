"""What an import writes besides the overlay, or into it, because somebody asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airgap_importer.mirrors.kind import Kind


@dataclass(frozen=True, slots=True)
class Outputs:
    """The kinds of mirror configurations, and whether what they lead to has no TLS."""

    kinds: tuple[Kind, ...] = ()
    plain_http: bool = False


NO_OUTPUTS: Final = Outputs()
