"""Apply a bundle: relocate, push, prove the overlay, set the tags, switch the overlay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from airgap_importer.overlay import (
    DEFAULT_DOWNSTREAM,
    check_overlay_directory,
    open_overlay_directory,
)
from airgap_importer.proof import Proof, prove
from airgap_importer.pushing import Push, PushReport
from airgap_importer.pushplan import PushPlan, PushPlanner
from airgap_importer.relocation import Relocation, Target, relocate
from airgap_importer.rendering import Renderer
from airgap_importer.rewriting import Overlay, compose_overlay
from airgap_shared.bundle.statement import Statement, format_time
from airgap_shared.errors import AirgapError, StateCorrupt
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress

RELOCATION = "relocation.json"
RELOCATION_TABLE = "relocation.csv"
RECEIPT = "receipt.json"
_STATE = ".airgap"
_NOTHING_CHANGED = "nothing was changed"
_UNSEEN = "content pushed so far stays in the registry, unseen: no tag and no overlay was changed"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an import did."""

    statement: Statement
    relocation: Relocation
    report: PushReport
    proof: Proof
    output: Path


@dataclass(frozen=True, slots=True)
class Application:
    """One import of one bundle into one registry and one overlay directory."""

    bundle: VerifiedBundle
    target: Target
    registry: ImageTarget
    output: Path
    jobs: int
    progress: Progress

    def plan(self, move_tags: bool) -> tuple[Relocation, PushPlan]:
        """Find out what an import would do; nothing is changed."""
        with _changed(_NOTHING_CHANGED):
            check_overlay_directory(self.output, self.bundle.statement.release.app)
            relocation = self._relocate()
            self._compose(relocation)
            return relocation, self._plan_push(relocation, move_tags)

    def run(
        self, renderer: Renderer, move_tags: bool, downstream: str = DEFAULT_DOWNSTREAM
    ) -> Applied:
        """Import: verified content first, what people see last.

        Raises:
            AirgapError: ``changed`` says how far it came; the same command again goes on.

        """
        statement = self.bundle.statement
        with _changed(_NOTHING_CHANGED):
            check_overlay_directory(self.output, statement.release.app)
            relocation = self._relocate()
            overlay = self._compose(relocation)
            plan = self._plan_push(relocation, move_tags)
        push = Push(self.bundle, plan, self.registry, self.jobs)
        with open_overlay_directory(self.output, statement.release.app) as directory:
            with _changed(_UNSEEN):
                push.send(self.progress)
                staged = directory.stage(overlay, self.bundle.files)
                present = {
                    f"{self.target.registry}/{repository}": digests
                    for repository, digests in push.verified().items()
                }
                proof = prove(overlay, renderer.render(staged.midstream), present)
            with _changed("content and some tags are in the registry; the overlay was not changed"):
                push.set_tags()
                directory.switch(downstream)
            report = push.report()
            directory.write_record(RELOCATION, _encode(self._record(relocation)))
            directory.write_record(RELOCATION_TABLE, relocation.to_csv().encode())
            directory.write_record(RECEIPT, _encode(self._receipt(report, proof)))
        return Applied(statement, relocation, report, proof, self.output)

    def _plan_push(self, relocation: Relocation, move_tags: bool) -> PushPlan:
        planner = PushPlanner(self.bundle.graph, relocation, self.registry, self.jobs)
        return planner.plan(move_tags)

    def _relocate(self) -> Relocation:
        earlier = read_earlier(self.output / _STATE / RELOCATION, self.target)
        return relocate(self.bundle.statement.images, self.target, earlier)

    def _compose(self, relocation: Relocation) -> Overlay:
        objects = [obj for file in self.bundle.files for obj in load_objects(file)]
        uses = [use for obj in objects for use in find_images(obj)]
        overlay = compose_overlay(self.bundle.files, objects, uses, relocation)
        for note in overlay.notes:
            self.progress.note(note)
        return overlay

    def _record(self, relocation: Relocation) -> dict[str, object]:
        """The map, and the repositories of sources that are in this release no more.

        Without the latter, a later source could be given the repository of a former one.
        """
        named = {image.source.name for image in relocation.images.values()}
        earlier = read_earlier(self.output / _STATE / RELOCATION, self.target)
        former = [
            {"name": name, "registry": self.target.registry, "repository": repository}
            for name, repository in sorted(earlier.items())
            if name not in named
        ]
        return {**relocation.to_document(), "former": former}

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


def read_earlier(path: Path, target: Target) -> Mapping[str, str]:
    """The repositories that an earlier import into the same target gave to source names.

    Raises:
        StateCorrupt: the file is there but cannot be understood.

    """
    try:
        raw = path.read_bytes()
    except OSError:
        return {}
    fields = Fields(parse_json(raw, str(path), StateCorrupt), str(path), StateCorrupt)
    entries = [(_name_of(entry.text("source")), entry) for entry in fields.records("images")]
    if "former" in fields:
        entries += [(entry.text("name"), entry) for entry in fields.records("former")]
    return {
        name: entry.text("repository")
        for name, entry in entries
        if entry.text("registry") == target.registry
        and entry.text("repository").rpartition("/")[0] == target.path
    }


def _name_of(canonical: str) -> str:
    name = canonical.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _encode(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


@contextmanager
def _changed(text: str) -> Iterator[None]:
    """Say what was and was not changed, should anything in the block fail."""
    try:
        yield
    except AirgapError as problem:
        problem.explain(changed=text)
        raise
