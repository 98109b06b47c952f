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
    from airgap_shared.trust.keys import PublicKey
    from airgap_shared.trust.policy import TrustPolicy

#: The one place looked at: neither working directory, nor medium, nor a variable can name another.
DEFAULT_POLICY = Path("/etc/airgap-import/policy.json")

KeysOption = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="PUB", help="A public key to trust; may be given again."),
]
ThresholdOption = Annotated[
    int | None,
    typer.Option("--threshold", metavar="N", help="How many of the keys must have signed."),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help=f"The policy that says whom to trust; default without --key: {DEFAULT_POLICY}.",
    ),
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
    threshold: int | None = None
    app: str = ""
    signatures: Sequence[Path] | None = None
    now: str = ""
    policy_file: Path | None = None

    @property
    def given(self) -> bool:
        """Whether keys or a policy were named."""
        return bool(self.keys) or self.policy_file is not None

    def refuse_ignored(self) -> None:
        """Raise :class:`UsageError` for flags that would do nothing, where nothing is verified."""
        if self.given:
            raise UsageError("--untrusted verifies nothing", next_step="leave it or the key out")
        if self.threshold is not None or self.app or self.now:
            raise UsageError(
                "--threshold, --app and --now are for judging, and nothing says whom to trust",
                next_step="add --key FILE.pub or --policy FILE",
            )

    def policy(self) -> TrustPolicy:
        """The policy that these flags express, or else the one of this host.

        Raises:
            NoTrustConfigured: there is none.
            UsageError: keys and a policy at once.
            PolicyInvalid, KeyFileInvalid: it cannot be used.

        """
        if self.keys and self.policy_file is not None:
            raise UsageError(
                "--key and --policy exclude each other",
                next_step="leave one out; a policy says by itself which keys it trusts",
            )
        if not self.keys:
            return self._from_file()
        from airgap_shared.trust.policy import TrustPolicy

        threshold = 1 if self.threshold is None else self.threshold
        return TrustPolicy.of_keys(read_public_keys(self.keys), threshold)

    def _from_file(self) -> TrustPolicy:
        from airgap_shared.trust.policy import TrustPolicy

        policy = host_policy(self.policy_file)
        if policy is None:
            return TrustPolicy.of_keys(())
        if self.threshold is not None:
            raise UsageError(
                "--threshold goes with --key; a policy says by itself how many must sign",
                where="--threshold",
            )
        return policy

    def detached(self) -> tuple[Envelope, ...]:
        """The signatures that came apart from the bundle.

        Raises:
            EnvelopeInvalid, LimitExceeded: a file holds none.
            UsageError: it cannot be read.

        """
        from airgap_shared.console.files import read_input
        from airgap_shared.trust.envelope import ENVELOPE_LIMIT, parse_envelope

        paths = self.signatures or ()
        return tuple(parse_envelope(read_input(path, ENVELOPE_LIMIT), str(path)) for path in paths)

    def moment(self, clock: datetime) -> datetime:
        """The time to judge by: what ``--now`` says, or else the clock."""
        return parse_moment(self.now, "--now") if self.now else clock

    def gate(self, clock: datetime) -> Gate:
        """Everything together, for commands that know no target."""
        from airgap_shared.bundle.admission import Gate

        return Gate(self.policy(), self.moment(clock), self.app)


def host_policy(named: Path | None) -> TrustPolicy | None:
    """The policy that is named, or else the one of this host; None if it has none.

    Raises:
        PolicyInvalid: it cannot be relied on.

    """
    from airgap_shared.stores.policystore import load_policy, policy_exists

    if named is None and not policy_exists(DEFAULT_POLICY):
        return None
    return load_policy(named or DEFAULT_POLICY)


def read_public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """The keys in these files.

    Raises:
        KeyFileInvalid: one holds none.

    """
    from airgap_shared.console.files import read_key_file
    from airgap_shared.trust.keys import parse_public_key

    return tuple(parse_public_key(read_key_file(path), str(path)) for path in paths)


def parse_moment(text: str, where: str) -> datetime:
    """A time in UTC as RFC 3339 has it, or a date alone, which is its first second.

    Raises:
        UsageError: it is neither.

    """
    from airgap_shared.oci.moment import parse_time

    moment = parse_time(f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text)
    if moment is None:
        raise UsageError(
            f"not a time: {text[:100]!r}", where=where, next_step="write 2026-01-31T12:00:00Z"
        )
    return moment


def clock_reading() -> datetime:
    """What this machine's clock says, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
