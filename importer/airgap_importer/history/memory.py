"""The memory of one import: what came before, here and in the registry, and what comes of it.

An import asks it at the moments at which an older release could slip in, and tells it the outcome.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from airgap_importer.assignments import merged, remembered
from airgap_importer.history import folder as places
from airgap_importer.history.auditlog import append_entry, check_log
from airgap_importer.history.journal import Begun, Journal
from airgap_importer.history.receipt import Receipt
from airgap_importer.history.registryreceipt import (
    UNWILLING,
    KeptReceipt,
    RegistryReceipts,
    shows_none,
)
from airgap_importer.history.state import ImportState
from airgap_importer.relocation import Target
from airgap_shared.bundle.admission import Accepted, Candidate, Consent, Gate, Step, check_sequence
from airgap_shared.errors import AirgapError, AppMismatch, RegistryError
from airgap_shared.stores.ports import ImageTarget

_HERE = "this host"
_ALONE = "older bundles are recognised by this host alone"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user asked for and agreed to, as far as an import's memory is concerned.

    ``clock`` is what the clock said, None where ``--now`` was given. ``agreed`` are the flags by
    which the user overrode something. ``dry_run`` leaves no trace.
    """

    consent: Consent
    channel: str
    clock: datetime | None
    agreed: tuple[str, ...] = ()
    dry_run: bool = False


class Memory:
    """A context manager; the application is locked from :meth:`admit` to its end."""

    def __init__(
        self, folder: Path, target: Target, gate: Gate, terms: Terms, note: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._target = target
        self._gate = gate
        self._terms = terms
        self._note = note
        self._stack = ExitStack()
        self._place: Path | None = None
        self._candidate: Candidate | None = None
        self._state = ImportState("", "")
        self._remote: RegistryReceipts | None = None
        self._known: KeptReceipt | None = None
        self._remembered = False
        self._doubt = ""
        self.made: tuple[str, ...] = ()
        self.step = Step.FIRST

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def candidate(self) -> Candidate:
        """The release that is being imported."""
        assert self._candidate is not None, "nothing was admitted"  # noqa: S101
        return self._candidate

    def admit(self, candidate: Candidate) -> None:
        """Compare a release with what this host remembers, before anything of it is read.

        Raises:
            RollbackDetected, Equivocation, SequenceJump: it may not follow what came before.
            AppMismatch: it is of another channel than all imports before.
            Locked: another import of the application is at work.
            StateCorrupt, StateNotWritable, DiskFull: the memory is out of order.

        """
        self._candidate = candidate
        try:
            self._admit(candidate)
        except AirgapError as problem:
            problem.explain(changed="nothing was changed")
            raise

    def _admit(self, candidate: Candidate) -> None:
        app, target = candidate.release.app, str(self._target)
        if not self._terms.dry_run:
            locked = places.locked_place(self._folder, target, app)
            self._place = self._stack.enter_context(locked)
        self._state = places.load_state(self._folder, target, app)
        self._check_channel()
        self._compare(self._here())

    def ask_registry(self, registry: ImageTarget) -> None:
        """Compare the release with what the registry remembers, too.

        Raises:
            RollbackDetected, Equivocation, SequenceJump: as :meth:`admit`.
            RegistryError: it does not answer.

        """
        release = self.candidate.release
        self._remote = RegistryReceipts(registry, self._target, release.app, release.channel)
        try:
            self._known = self._remote.newest()
        except RegistryError as problem:
            if not shows_none(problem):
                raise
            where = self._remote.where
            self._doubt = f"warning: {where} cannot be read ({problem.name}): {_ALONE}"
            self._remote = None
            return
        self._doubt = ""
        keeper = f"the registry, {self._remote.where}"
        there = [self._known.receipt.accepted_by(keeper)] if self._known else []
        self._compare([*self._here(), *there])

    @property
    def names(self) -> Mapping[str, str]:
        """The repositories that sources were given by earlier imports, from here or elsewhere."""
        return merged(self._state.names, self._known.names if self._known else {})

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Note that the registry is about to be written to, and if that comes to no good end.

        What :meth:`remember` needs is tried before, and room is kept for it: an import that cannot
        be remembered would let an older one in.

        Raises:
            StateNotWritable, DiskFull, StateCorrupt, Locked: it could not be noted or remembered.

        """
        release = self.candidate.release
        begun = Begun(release.app, str(self._target), release.version)
        places.check_receipts(self._locked_place)
        check_log(self._folder)
        places.reserve_room(self._locked_place, self._state)
        self._journal.begin(begun, str(self.candidate.statement))
        try:
            yield
        except BaseException as problem:
            if not self._remembered:
                places.free_room(self._locked_place)
                with suppress(AirgapError):
                    self._stopped(problem)
            raise
        finally:
            places.free_room(self._locked_place)

    def created(self, what: str) -> None:
        """Note that something was created in the registry.

        Raises:
            StateNotWritable, DiskFull: it cannot be noted.

        """
        self.made = (*self.made, what)
        self._journal.note("created", what=what)

    def settle(self, registry: ImageTarget) -> None:
        """Ask the registry again if it had no place for receipts and has one now; else say so.

        Raises:
            AirgapError: as :meth:`ask_registry`.

        """
        if self.made and self._remote is None:
            self.ask_registry(registry)
        self._tell_doubt()

    def reached(self, phase: str) -> None:
        """Note how far the import came.

        Raises:
            StateNotWritable, DiskFull: it cannot be noted.

        """
        self._journal.note("phase", phase=phase)

    def confirm(self) -> None:
        """Look at the registry's receipt again: another host may have imported meanwhile.

        Raises:
            RollbackDetected, Equivocation: it has something newer, or something else.
            RegistryError: it does not answer.

        """
        if self._remote is not None:
            self.ask_registry(self._remote.registry)
            self._tell_doubt()

    def remember(self, names: Mapping[str, str]) -> Receipt:
        """Note that everything was imported, and by which names; the last step.

        The state comes before all that is for people: by it older releases are recognised.

        Raises:
            StateNotWritable, DiskFull, Locked, RegistryError: a part of it could not be noted; the
                same import again does it.
            RollbackDetected: another host has imported a newer release meanwhile.

        """
        place = self._locked_place
        places.free_room(place)
        receipt, problem = self._logged(self._new_receipt())
        receipt = self._continued(receipt)
        kept = KeptReceipt(receipt, remembered(merged(names, self.names)))
        state = self._state.with_receipt(receipt, self._terms.clock, kept.names)
        places.write_state(place, state)
        document = json.dumps(receipt.to_document(), indent=1, sort_keys=True) + "\n"
        places.write_receipt(place, receipt, document.encode())
        self._keep_in_registry(kept)
        if problem is not None:
            raise problem
        self._journal.note("end")
        self._remembered = True
        return receipt

    def _tell_doubt(self) -> None:
        if self._doubt:
            self._note(self._doubt)

    def _stopped(self, problem: BaseException) -> None:
        name = problem.name if isinstance(problem, AirgapError) else "Interrupted"
        facts = self._facts("stopped", self._new_receipt())
        append_entry(self._folder, {**facts, "error": name})

    def _check_channel(self) -> None:
        release, known = self.candidate.release, self._state.channels
        named = (self._terms.channel, self.candidate.trust.channel)
        if self._terms.channel not in ("", release.channel):
            raise AppMismatch(
                f"the bundle is of the channel {release.channel}, not of {self._terms.channel}",
                next_step="check that it is the right disk and file",
            )
        if known and release.channel not in known and release.channel not in named:
            raise AppMismatch(
                f"{release.app} came from the channel {', '.join(sorted(known))} so far; "
                f"this bundle is of {release.channel}",
                next_step=f"if that is meant, add --channel '{release.channel}'",
            )

    def _compare(self, accepted: list[Accepted]) -> None:
        self.step = check_sequence(self.candidate, accepted, self._terms.consent, self._gate)

    def _here(self) -> list[Accepted]:
        receipt = self._state.channels.get(self.candidate.release.channel)
        return [receipt.accepted_by(_HERE)] if receipt else []

    def _new_receipt(self) -> Receipt:
        return Receipt.of(self.candidate, self._gate.now, self.step, self._terms.agreed)

    def _logged(self, receipt: Receipt) -> tuple[Receipt, AirgapError | None]:
        """The receipt with its line in the audit log, or why there is none."""
        try:
            entry = append_entry(self._folder, self._facts("imported", receipt))
        except AirgapError as problem:
            return receipt, problem
        return replace(receipt, audit=entry.digest), None

    def _continued(self, receipt: Receipt) -> Receipt:
        """What this host remembers of an earlier import of the same release stays.

        What a release is, is taken from what was verified now: the registry may say anything.
        """
        earlier = self._state.channels.get(receipt.channel)
        if earlier is None or earlier.statement != receipt.statement:
            return receipt
        return replace(
            receipt,
            accepted=earlier.accepted,
            step=earlier.step,
            agreed=tuple(dict.fromkeys((*earlier.agreed, *receipt.agreed))),
            audit=earlier.audit or receipt.audit,
        )

    def _keep_in_registry(self, kept: KeptReceipt) -> None:
        known = self._known
        if self._remote is None:
            return
        if known and known.names == kept.names and known.receipt.tells_of(kept.receipt):
            return
        try:
            self._remote.keep(kept, known)
        except UNWILLING as problem:
            self._note(f"warning: {self._remote.where} cannot be kept ({problem.name}): {_ALONE}")
        except RegistryError as problem:
            problem.explain(next_step="run the same command again, to have the receipt written")
            raise

    def _facts(self, event: str, receipt: Receipt) -> dict[str, object]:
        facts = receipt.to_document()
        del facts["format"], facts["audit"]
        return {
            **facts,
            "ev": event,
            "step": self.step.value,
            "target": str(self._target),
            "at": f"{self._gate.now:%Y-%m-%dT%H:%M:%SZ}",
            **({"created": list(self.made)} if self.made else {}),
        }

    @property
    def _journal(self) -> Journal:
        return Journal(self._locked_place)

    @property
    def _locked_place(self) -> Path:
        assert self._place is not None, "nothing was admitted for good"  # noqa: S101
        return self._place
