"""What this host remembers of an application in a registry: the newest release per channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from airgap_importer.assignments import parse_assignments
from airgap_importer.history.receipt import FORMAT, Receipt, parse_receipt
from airgap_importer.keptfile import check_format
from airgap_shared.errors import ContentRefused, StateCorrupt
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.moment import format_time, parse_time


@dataclass(frozen=True, slots=True)
class ImportState:
    """The receipts of the newest imports by channel, and the latest time that the clock showed.

    ``target`` is the registry and path that it is about; ``names`` are the repositories there that
    sources were given.
    """

    target: str
    app: str
    channels: Mapping[str, Receipt] = field(default_factory=dict)
    latest_seen: datetime | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def with_receipt(
        self, receipt: Receipt, clock: datetime | None, names: Mapping[str, str] | None = None
    ) -> ImportState:
        """The state after an import; ``clock`` is None where the clock was not believed.

        ``names`` are all assignments that are known, None for those that are here.
        """
        seen = [moment for moment in (self.latest_seen, clock) if moment is not None]
        return replace(
            self,
            channels={**self.channels, receipt.channel: receipt},
            latest_seen=max(seen, default=None),
            names=self.names if names is None else names,
        )

    def to_json(self) -> bytes:
        """The state as its file has it, format 1."""
        document = {
            "format": FORMAT,
            "target": self.target,
            "app": self.app,
            "channels": {
                channel: receipt.to_document() for channel, receipt in self.channels.items()
            },
            "latestSeen": format_time(self.latest_seen) if self.latest_seen else None,
            "names": dict(self.names),
        }
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def parse_state(raw: bytes, where: str) -> ImportState:
    """Read a state file.

    Raises:
        StateCorrupt: it is not one, or one of a newer tool. Never taken for no state: that would
            let older releases in.

    """
    try:
        return _parse(raw, where)
    except (ContentRefused, StateCorrupt) as problem:
        advice = problem.next_step or "make it again, for each channel: airgap-import state rebuild"
        raise StateCorrupt(problem.what, where=problem.where, next_step=advice) from problem


def _parse(raw: bytes, where: str) -> ImportState:
    fields = Fields(parse_json(raw, where, StateCorrupt), where, StateCorrupt)
    check_format(fields, FORMAT, StateCorrupt)
    channels = fields.record("channels")
    receipts = {
        channel: parse_receipt(channels.record(channel), StateCorrupt)
        for channel in channels.mapping
    }
    app = fields.text("app")
    for channel, receipt in receipts.items():
        if (receipt.app, receipt.channel) != (app, channel):
            fields.refuse("a receipt of another application or channel", f"channels.{channel}")
    text = fields.optional_text("latestSeen")
    latest = parse_time(text) if text is not None else None
    if text is not None and latest is None:
        fields.refuse("not a time", "latestSeen")
    target = fields.text("target")
    return ImportState(target, app, receipts, latest, parse_assignments(fields, "names", target))
