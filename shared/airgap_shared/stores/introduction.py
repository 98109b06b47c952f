"""How a registry introduces itself: what it answers to whoever asks for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airgap_shared.stores.challenge import Challenge


@dataclass(frozen=True, slots=True)
class Introduction:
    """The answer to a first ``GET /v2/`` that carried no credentials, without its body.

    ``headers`` stand by their lower-case names. Nothing in it is proven: a hint, no more.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    challenges: tuple[Challenge, ...] = ()
