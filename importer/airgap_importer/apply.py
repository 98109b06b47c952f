"""Apply a bundle: relocate, push, prove the overlay, set the tags, switch the overlay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from airgap_importer.overlay import (
    DEFAULT_DOWNSTREAM,
    StagedOverlay,
    check_overlay,
    check_overlay_directory,
    open_overlay_directory,
)
from airgap_importer.proof import Proof, prove
from airgap_importer.pushing import Push, PushReport
from airgap_importer.pushplan import PushPlan, PushPlanner
from airgap_importer.relocation import Relocation, Target, relocate
from airgap_importer.relocationrecord import RelocationRecord, load_relocation_record
from airgap_importer.rendering import Renderer, Rendering
from airgap_importer.rewriting import Overlay, compose_overlay
from airgap_shared.bundle.statement import Statement, format_time
from airgap_shared.errors import AirgapError
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress

RELOCATION = "relocation.json"
RELOCATION_TABLE = "relocation.csv"
RECEIPT = "receipt.json"
_STATE = ".airgap"
_NOTHING_CHANGED = "nothing was changed"
_UNSEEN = "content pushed so far stays in the registry, unseen: no tag and no overlay was changed"
_TAGGING = "the images are in the registry and their tags may be set; the overlay was not changed"
_IMPORTED = "everything was imported and the overlay was replaced; only records are missing"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an import did."""

    statement: Statement
    relocation: Relocation
    report: PushReport
    proof: Proof
    output: Path


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user may decide about an import."""

    move_tags: bool = False
    check_blobs: bool = False
    downstream: str = DEFAULT_DOWNSTREAM


@dataclass(frozen=True, slots=True)
class Application:
    """One import of one bundle into one registry and one overlay directory."""

    bundle: VerifiedBundle
    target: Target
    registry: ImageTarget
    output: Path
    jobs: int
    progress: Progress

    def plan(self, choices: Choices) -> tuple[Relocation, PushPlan]:
        """Find out what an import would do; nothing is changed."""
        with _telling():
            relocation, _, plan = self._prepare(choices)
            return relocation, plan

    def run(self, renderer: Renderer, choices: Choices) -> Applied:
        """Import: verified content first, what people see last.

        Raises:
            AirgapError: ``changed`` says how far it came; the same command again goes on.

        """
        with _telling() as story:
            relocation, overlay, plan = self._prepare(choices)
            push = Push(self.bundle, plan, self.registry, self.jobs)
            with open_overlay_directory(
                self.output, self.bundle.statement.release.app
            ) as directory:
                story.changed = _UNSEEN
                push.send(self.progress)
                staged = directory.stage(overlay, self.bundle.files)
                proof = prove(overlay, self._render(renderer, staged), self._present(push))
                story.changed = _TAGGING
                push.set_tags()
                directory.switch(choices.downstream)
                story.changed = _IMPORTED
                report = push.report()
                record = self._record.document_with(relocation)
                directory.write_record(RELOCATION, _encode(record))
                directory.write_record(RELOCATION_TABLE, relocation.to_csv().encode())
                directory.write_record(RECEIPT, _encode(self._receipt(report, proof)))
        return Applied(self.bundle.statement, relocation, report, proof, self.output)

    def _prepare(self, choices: Choices) -> tuple[Relocation, Overlay, PushPlan]:
        """Everything that can fail before anything is changed."""
        check_overlay_directory(self.output, self.bundle.statement.release.app)
        relocation = self._relocate()
        overlay = self._compose(relocation)
        check_overlay(overlay, self.bundle.files, choices.downstream)
        planner = PushPlanner(
            self.bundle.graph, relocation, self.registry, self.jobs, choices.check_blobs
        )
        return relocation, overlay, planner.plan(choices.move_tags)

    def _render(self, renderer: Renderer, staged: StagedOverlay) -> Rendering:
        self.progress.begin("render", 1, f"overlay by {renderer.name}")
        try:
            rendering = renderer.render(staged.midstream)
            self.progress.advance(1)
        finally:
            self.progress.end()
        return rendering

    def _present(self, push: Push) -> Mapping[str, frozenset[Digest]]:
        return {
            f"{self.target.registry}/{repository}": digests
            for repository, digests in push.verified().items()
        }

    def _relocate(self) -> Relocation:
        earlier = self._record.in_target(self.target)
        return relocate(self.bundle.statement.images, self.target, earlier)

    @property
    def _record(self) -> RelocationRecord:
        return load_relocation_record(self.output / _STATE / RELOCATION)

    def _compose(self, relocation: Relocation) -> Overlay:
        objects = [obj for file in self.bundle.files for obj in load_objects(file)]
        uses = [use for obj in objects for use in find_images(obj)]
        overlay = compose_overlay(self.bundle.files, objects, uses, relocation)
        for note in overlay.notes:
            self.progress.note(note)
        return overlay

    def _receipt(self, report: PushReport, proof: Proof) -> dict[str, object]:
        """What was imported, by whose signature, and what proved it; no times, no secrets."""
        release = self.bundle.statement.release
        return {
            "format": 1,
            "app": release.app,
            "version": release.version,
            "channel": release.channel,
            "sequence": release.sequence,
            "created": format_time(release.created),
            "statement": str(Digest.of(self.bundle.statement.to_json())),
            "signers": [key.key_id for key in self.bundle.signers],
            "registry": self.target.registry,
            "path": self.target.path,
            "push": asdict(report),
            "proof": {
                "renderer": proof.renderer,
                "uses": proof.uses,
                "references": list(proof.references),
            },
        }


def _encode(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


@dataclass(slots=True)
class _Story:
    """What was changed so far."""

    changed: str = _NOTHING_CHANGED


@contextmanager
def _telling() -> Iterator[_Story]:
    """Say what was and was not changed, should anything in the block fail or be interrupted."""
    story = _Story()
    try:
        yield story
    except AirgapError as problem:
        problem.explain(changed=story.changed)
        raise
    except BaseException as interruption:
        interruption.add_note(story.changed)
        raise
