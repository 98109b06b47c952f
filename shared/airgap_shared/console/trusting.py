"""From flags to the gate that a bundle must pass: whom to trust, for what, and at which time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_shared.errors import UsageError

if TYPE_CHECKING:
    from airgap_shared.bundle.admission import Gate
    from airgap_shared.trust.envelope import Envelope
    from airgap_shared.trust.policy import TrustPolicy

KeysOption = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="PUB", help="A public key to trust; may be given again."),
]
ThresholdOption = Annotated[
    int, typer.Option("--threshold", metavar="N", help="How many of the keys must have signed.")
]
AppOption = Annotated[
    str, typer.Option("--app", metavar="NAME", help="The application that must be inside.")
]
SignaturesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        help="Further signatures of the bundle, made by airgap-bundle sign; may be given again.",
    ),
]
NowOption = Annotated[
    str,
    typer.Option(
        "--now",
        metavar="TIME",
        help="The time to judge by (2026-01-31T12:00:00Z) where the clock is wrong; is recorded.",
    ),
]


@dataclass(frozen=True, slots=True)
class TrustOptions:
    """The flags about trust that all commands share."""

    keys: Sequence[Path] | None = None
    threshold: int = 1
    app: str = ""
    signatures: Sequence[Path] | None = None
    now: str = ""

    def policy(self) -> TrustPolicy:
        """The policy that these flags express.

        Raises:
            NoTrustConfigured: there is none.
            PolicyInvalid, KeyFileInvalid: it cannot be used.

        """
        from airgap_shared.console.files import read_key_file
        from airgap_shared.trust.keys import parse_public_key
        from airgap_shared.trust.policy import TrustPolicy

        keys = [parse_public_key(read_key_file(path), str(path)) for path in self.keys or ()]
        return TrustPolicy.of_keys(keys, self.threshold)

    def detached(self) -> tuple[Envelope, ...]:
        """The signatures that came apart from the bundle.

        Raises:
            EnvelopeInvalid, LimitExceeded: a file holds none.
            UsageError: it cannot be read.

        """
        from airgap_shared.console.files import read_input
        from airgap_shared.trust.envelope import ENVELOPE_LIMIT, parse_envelope

        paths = self.signatures or ()
        return tuple(parse_envelope(read_input(path, ENVELOPE_LIMIT)) for path in paths)

    def moment(self, clock: datetime) -> datetime:
        """The time to judge by: what ``--now`` says, or else the clock."""
        return parse_moment(self.now, "--now") if self.now else clock

    def gate(self, clock: datetime) -> Gate:
        """Everything together, for commands that know no target."""
        from airgap_shared.bundle.admission import Gate

        return Gate(self.policy(), self.moment(clock), self.app)


def parse_moment(text: str, where: str) -> datetime:
    """A time in UTC as RFC 3339 has it, or a date alone, which is its first second.

    Raises:
        UsageError: it is neither.

    """
    from airgap_shared.bundle.statement import parse_time

    moment = parse_time(f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text)
    if moment is None:
        raise UsageError(
            f"not a time: {text[:100]!r}", where=where, next_step="write 2026-01-31T12:00:00Z"
        )
    return moment


def clock_reading() -> datetime:
    """What this machine's clock says, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
