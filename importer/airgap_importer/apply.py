"""Apply a bundle: relocate, push, prove the overlay, set the tags, switch the overlay."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from airgap_importer.assignments import RECEIPTS, merged
from airgap_importer.attachmentcopy import ATTACHMENTS, copy_refused
from airgap_importer.attachmentplan import place_attachments
from airgap_importer.attachmentpush import AttachmentPush, AttachmentReport
from airgap_importer.composition import compose, search_of
from airgap_importer.coverage import Coverage
from airgap_importer.creating import Groundwork, Missing
from airgap_importer.history.memory import Memory
from airgap_importer.history.receipt import Receipt
from airgap_importer.importplan import ImportPlan, Probe, lists_referrers
from airgap_importer.importrecords import ImportRecords, compose_records, encode_record
from airgap_importer.mirrors.configurations import Configurations
from airgap_importer.mirrors.folder import FOLDER as MIRRORS
from airgap_importer.names import Names
from airgap_importer.naming import Naming
from airgap_importer.outputs import NO_OUTPUTS, Outputs
from airgap_importer.overlay import (
    DEFAULT_DOWNSTREAM,
    OverlayDirectory,
    StagedOverlay,
    check_overlay,
    check_overlay_directory,
    open_overlay_directory,
)
from airgap_importer.preflight import check_manifests
from airgap_importer.profiles import RegistryProfile
from airgap_importer.proof import Proof, promised_by, prove
from airgap_importer.pushing import Push, PushReport
from airgap_importer.pushplan import Care, PushPlan, PushPlanner
from airgap_importer.recognition import profile_of
from airgap_importer.registrykind import RegistryKind
from airgap_importer.relocation import Relocation, Target, relocate
from airgap_importer.relocationrecord import RelocationRecord, load_relocation_record
from airgap_importer.rendering import Renderer, Rendering
from airgap_importer.rewriting import Overlay
from airgap_importer.story import Story, telling
from airgap_shared.bundle.admission import Step
from airgap_shared.bundle.statement import Statement
from airgap_shared.errors import (
    AirgapError,
    RegistryAuthError,
    RegistryRejected,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget, Place
from airgap_shared.stores.progress import Progress

RELOCATION = "relocation.json"
RELOCATION_TABLE = "relocation.csv"
COVERAGE = "coverage.json"
RECEIPT = "receipt.json"
_STATE = ".airgap"
_UNSEEN = "content pushed so far stays in the registry, unseen: no tag and no overlay was changed"
_TAGGING = "the images are in the registry and their tags may be set; the overlay was not changed"
_IMPORTED = "everything was imported and the overlay was replaced; only records are missing"
_DONE = "everything was imported, the overlay was replaced, and all is recorded"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an import did."""

    statement: Statement
    relocation: Relocation
    report: PushReport
    coverage: Coverage
    output: Path
    step: Step
    attachments: AttachmentReport
    mirrors: Configurations
    created: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an import is going to do, found out before anything is changed.

    ``receipts`` is the repository for receipts, empty where the target has no place for one.
    """

    names: Names
    relocation: Relocation
    overlay: Overlay
    plan: PushPlan
    place: Path
    receipts: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user may decide about an import."""

    move_tags: bool = False
    check_blobs: bool = False
    read_back: bool = False
    downstream: str = DEFAULT_DOWNSTREAM
    outputs: Outputs = NO_OUTPUTS
    registry_kind: RegistryKind = RegistryKind.AUTO
    naming: Naming = Naming.LAST
    create: bool = False
    with_attached: bool = True


@dataclass(frozen=True, slots=True)
class Application:
    """One import of one bundle into one registry and one overlay directory.

    ``shield`` lets the last steps come to their end before a signal ends the import;
    ``groundwork`` knows what has to be there in a registry of some profile.
    """

    bundle: VerifiedBundle
    target: Target
    registry: ImageTarget
    output: Path
    jobs: int
    progress: Progress
    memory: Memory
    shield: Callable[[], AbstractContextManager[None]]
    groundwork: Callable[[RegistryProfile], Groundwork]

    def plan(self, choices: Choices) -> ImportPlan:
        """Find out what an import would do, and whether it could; nothing is changed."""
        with telling() as story:
            prepared = self._prepare(choices)
            plan, groundwork = prepared.plan, self.groundwork(prepared.names.profile)
            missing, refusal = Missing(), None
            try:
                missing = groundwork.find(plan, prepared.receipts, self.jobs)
                groundwork.insist(missing, choices.create)
            except (RegistryAuthError, RegistryRejected) as problem:
                problem.explain(changed=story.changed)
                refusal = problem
            if prepared.receipts and not missing.places:
                self.memory.settle(self.registry)
            probe = Probe(
                missing.places,
                groundwork.requests(missing.places),
                lists_referrers(plan, self.registry),
                refusal,
                prepared.receipts,
            )
            return ImportPlan(
                self.target,
                prepared.names,
                prepared.relocation,
                prepared.overlay,
                plan,
                probe,
                AttachmentPush(plan, self.registry, self.jobs, hidden=True).due(),
            )

    def run(self, choose: Callable[[], Renderer], choices: Choices) -> Applied:
        """Import: verified content first, what people see last.

        ``choose`` looks for a renderer, which takes a while, and is called when one is needed.

        Raises:
            AirgapError: ``changed`` says how far it came; the same command again goes on.

        """
        with telling() as story:
            prepared = self._prepare(choices)
            push = Push(self.bundle, prepared.plan, self.registry, self.jobs)
            groundwork = self.groundwork(prepared.names.profile)
            missing = groundwork.find(prepared.plan, prepared.receipts, self.jobs)
            groundwork.insist(missing, choices.create)
            app = self.bundle.statement.release.app
            opened = open_overlay_directory(self.output, app, prepared.place)
            with opened as directory, self.memory.writing():
                groundwork.make(missing, self.jobs, functools.partial(self._made, story))
                if prepared.receipts:
                    self.memory.settle(self.registry)
                story.changed = _UNSEEN
                push.send(self.progress)
                if choices.read_back:
                    push.read_back(self.progress)
                self.memory.reached("pushed")
                proof = self._prove(directory, prepared, push, choose())
                self.memory.reached("proven")
                with self.shield():
                    self.memory.confirm()
                    story.changed = _TAGGING
                    push.set_tags()
                    # Too late to stop because of a note.
                    with suppress(AirgapError):
                        self.memory.reached("tagged")
                    directory.switch(choices.downstream)
                    story.changed = _IMPORTED
                    coverage = Coverage(prepared.overlay, proof)
                    records = compose_records(
                        *(app, prepared.relocation, self.target, self._earlier, coverage),
                        choices.outputs,
                    )
                    applied = self._applied(prepared, push, coverage, records)
                    refused = applied.attachments.refused
                    copies = copy_refused(refused, self.bundle, self.registry)
                    self._record(directory, applied, records, copies)
                    story.changed = _DONE
        return applied

    def _prepare(self, choices: Choices) -> Prepared:
        """Everything that can fail before anything is changed."""
        place = check_overlay_directory(self.output, self.bundle.statement.release.app)
        self.registry.ping()
        introduction = self.registry.introduction()
        profile = profile_of(self.target.registry, introduction, choices.registry_kind)
        receipts = self._place_for_receipts(profile)
        if receipts:
            self.memory.ask_registry(self.registry)
        scheme = Names(choices.naming, profile)
        relocation = self._relocate(scheme)
        overlay = compose(self.bundle, relocation, choices.outputs.pull_secrets)
        for note in overlay.notes:
            self.progress.note(note)
        check_overlay(overlay, self.bundle.files, choices.downstream)
        check_blobs = choices.check_blobs or choices.read_back
        care = Care(check_blobs, profile.counts_pulls, profile.mounts_within)
        planner = PushPlanner(self.bundle.graph, relocation, self.registry, self.jobs, care)
        images = self.bundle.statement.images if choices.with_attached else ()
        placed = place_attachments(images, relocation, self.bundle.graph)
        plan = planner.plan(choices.move_tags, placed)
        check_manifests(plan, profile)
        if not receipts:
            self._tell_of_no_receipts(profile)
        return Prepared(scheme, relocation, overlay, plan, place, receipts)

    def _made(self, story: Story, place: Place) -> None:
        """Tell and remember that something was created."""
        self.memory.created(str(place))
        self.progress.note(f"created the {place} in {self.target.registry}")
        story.changed = f"created: {', '.join(self.memory.made)}; nothing else was changed"

    def _place_for_receipts(self, profile: RegistryProfile) -> str:
        repository = self.target.repository(RECEIPTS)
        return repository if profile.takes_path(repository) else ""

    def _tell_of_no_receipts(self, profile: RegistryProfile) -> None:
        self.progress.note(
            f"warning: the target has no place for receipts: {profile.title} takes no repository "
            f"{self.target.repository(RECEIPTS)}, only {profile.shape}; older bundles are "
            "recognised by this host alone; give another --image-namespace, or, if this is no "
            f"{profile.title}, add --registry-type distribution"
        )

    def _prove(
        self, directory: OverlayDirectory, prepared: Prepared, push: Push, renderer: Renderer
    ) -> Proof:
        """Write the new tree aside, render it, and search what comes out.

        What is rendered is found by its path, so that has to lead to what was written.
        """
        staged = directory.stage(prepared.overlay, self.bundle.files)
        promised = replace(
            promised_by(prepared.relocation), digests=_present(prepared.relocation, push)
        )
        directory.check_place()
        rendering = self._render(renderer, staged)
        directory.check_place()
        return prove(prepared.overlay, rendering, promised, search_of(self.bundle))

    def _applied(
        self, prepared: Prepared, push: Push, coverage: Coverage, records: ImportRecords
    ) -> Applied:
        return Applied(
            self.bundle.statement,
            prepared.relocation,
            push.report(),
            coverage,
            self.output,
            self.memory.step,
            self._attachments(push),
            records.mirrors,
            self.memory.made,
        )

    def _attachments(self, push: Push) -> AttachmentReport:
        """What became of what is attached; each refusal is told."""
        report = push.attachments.report()
        for one in report.refused:
            self.progress.note(
                f"warning: the registry does not take {one.placed.name}, "
                f"{one.placed.entry.kind} of {one.placed.entry.subject}: {one.reason}; "
                f"see {self.output}/{_STATE}/{ATTACHMENTS}"
            )
        return report

    def _record(
        self,
        directory: OverlayDirectory,
        applied: Applied,
        records: ImportRecords,
        copies: Mapping[str, bytes],
    ) -> None:
        """Write what is kept beside the overlay, and remember the import."""
        directory.write_record(RELOCATION, records.relocation)
        directory.write_record(RELOCATION_TABLE, applied.relocation.to_csv().encode())
        directory.write_record(COVERAGE, records.coverage)
        directory.write_folder(MIRRORS, records.mirrors.files)
        directory.write_folder(ATTACHMENTS, copies)
        receipt = self.memory.remember(records.names)
        directory.write_record(RECEIPT, encode_record(self._receipt(receipt, applied)))

    def _render(self, renderer: Renderer, staged: StagedOverlay) -> Rendering:
        self.progress.begin("render", 1, f"overlay by {renderer.name}")
        try:
            rendering = renderer.render(staged.midstream)
            self.progress.advance(1)
        finally:
            self.progress.end()
        return rendering

    def _relocate(self, scheme: Names) -> Relocation:
        earlier = merged(self._earlier.in_target(self.target), self.memory.names)
        return relocate(self.bundle.statement.images, self.target, earlier, scheme)

    @property
    def _earlier(self) -> RelocationRecord:
        return load_relocation_record(self.output / _STATE / RELOCATION)

    def _receipt(self, receipt: Receipt, applied: Applied) -> dict[str, object]:
        """The receipt with what is of interest beside this overlay; no secrets."""
        proof = applied.coverage.proof
        return {
            **receipt.to_document(),
            "registry": self.target.registry,
            "path": self.target.path,
            "created": list(applied.created),
            "push": asdict(applied.report),
            "attachments": applied.attachments.to_document(),
            "proof": {
                "renderer": proof.renderer,
                "uses": proof.uses,
                "references": list(proof.references),
            },
        }


def _present(relocation: Relocation, push: Push) -> Mapping[str, frozenset[Digest]]:
    """What was verified in the registry, by the names that the cluster pulls from."""
    verified = push.verified()
    return {image.name: verified[image.destination] for image in relocation.images.values()}
