"""The receipt of an import: what was taken, by whose signature, when, and what was agreed to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airgap_importer.keptfile import check_format
from airgap_shared.bundle.admission import Accepted, Candidate, Step
from airgap_shared.errors import AirgapError
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields
from airgap_shared.oci.moment import format_time, parse_time

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """One release that was imported; no path, user or secret is in it.

    ``accepted`` is the moment that the import was judged by. ``agreed`` says what the user
    overrode, flag by flag; ``audit`` is the digest of the line in the audit log.
    """

    app: str
    channel: str
    version: str
    sequence: int
    statement: Digest
    created: datetime
    expires: datetime
    signers: tuple[str, ...]
    accepted: datetime
    step: Step
    agreed: tuple[str, ...] = ()
    audit: str = ""

    @classmethod
    def of(
        cls, candidate: Candidate, accepted: datetime, step: Step, agreed: tuple[str, ...]
    ) -> Receipt:
        """The receipt for a release that is about to be accepted."""
        release = candidate.release
        return cls(
            release.app,
            release.channel,
            release.version,
            release.sequence,
            candidate.statement,
            release.created,
            release.expires,
            tuple(key.key_id for key in candidate.signers),
            accepted,
            step,
            agreed,
        )

    @property
    def name(self) -> str:
        """What its file is called: the sequence, and enough of the statement to tell it apart."""
        return f"{self.sequence}-{self.statement.hex[:12]}.json"

    def tells_of(self, other: Receipt) -> bool:
        """Whether this says the same about a release as another one, and of all that was agreed."""
        facts = ("app", "channel", "version", "sequence", "statement", "created", "expires")
        same = all(getattr(self, fact) == getattr(other, fact) for fact in facts)
        return same and set(other.agreed) <= set(self.agreed)

    def accepted_by(self, keeper: str) -> Accepted:
        """The release as ``keeper`` remembers it."""
        return Accepted(self.version, self.sequence, self.statement, keeper)

    def to_document(self) -> dict[str, object]:
        """The receipt as JSON has it, format 1."""
        return {
            "format": FORMAT,
            "app": self.app,
            "channel": self.channel,
            "version": self.version,
            "sequence": self.sequence,
            "statement": str(self.statement),
            "created": format_time(self.created),
            "expires": format_time(self.expires),
            "signers": list(self.signers),
            "accepted": format_time(self.accepted),
            "step": self.step.value,
            "agreed": list(self.agreed),
            "audit": self.audit,
        }


def parse_receipt(fields: Fields, error: type[AirgapError]) -> Receipt:
    """Read a receipt from JSON; ``error`` is raised for anything that is none.

    Raises:
        AirgapError: of the kind given; a later format asks for a newer tool.

    """
    check_format(fields, FORMAT, error)
    try:
        step = Step(fields.text("step"))
    except ValueError:
        fields.refuse("an unknown step", "step")
    return Receipt(
        _line(fields, "app", fields.text("app")),
        _line(fields, "channel", fields.text("channel")),
        _line(fields, "version", fields.text("version")),
        fields.count("sequence"),
        fields.digest("statement"),
        _time(fields, "created"),
        _time(fields, "expires"),
        tuple(_line(fields, "signers", text) for text in fields.texts("signers")),
        _time(fields, "accepted"),
        step,
        tuple(_line(fields, "agreed", text) for text in fields.texts("agreed")),
        _line(fields, "audit", fields.text("audit")),
    )


def _line(fields: Fields, key: str, text: str) -> str:
    """A text that cannot look like something else where people read it."""
    if not text.isprintable():
        fields.refuse("characters that cannot be shown", key)
    return text


def _time(fields: Fields, key: str) -> datetime:
    moment = parse_time(fields.text(key))
    if moment is None:
        fields.refuse("not a time like 2026-01-01T00:00:00Z", key)
    return moment
