"""What an import writes besides the overlay, or into it, because somebody asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airgap_importer.mirrors.kind import Kind


@dataclass(frozen=True, slots=True)
class Outputs:
    """The kinds of mirror configurations, whether what they lead to has no TLS, pull secrets."""

    kinds: tuple[Kind, ...] = ()
    plain_http: bool = False
    pull_secrets: tuple[str, ...] = ()


NO_OUTPUTS: Final = Outputs()
