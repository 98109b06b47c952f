"""Apply a bundle: relocate, push, prove the overlay, set the tags, switch the overlay."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from airgap_importer.coverage import Coverage
from airgap_importer.overlay import (
    DEFAULT_DOWNSTREAM,
    check_overlay_directory,
    open_overlay_directory,
)
from airgap_importer.proof import Find, Proof, check_changes, promised_by, prove
from airgap_importer.pushing import Push, PushReport
from airgap_importer.pushplan import PushPlan, PushPlanner
from airgap_importer.relocation import Relocation, Target, relocate
from airgap_importer.rendering import Renderer
from airgap_importer.rewriting import Overlay, compose_overlay
from airgap_shared.bundle import names
from airgap_shared.bundle.statement import Statement, format_time
from airgap_shared.errors import AirgapError, StateCorrupt
from airgap_shared.kube.documents import Manifest, load_manifest
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.rulesfile import parse_rules
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget
from airgap_shared.stores.progress import Progress

RELOCATION = "relocation.json"
RELOCATION_TABLE = "relocation.csv"
COVERAGE = "coverage.json"
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
    coverage: Coverage
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
                rendering = renderer.render(staged.midstream)
                proof = prove(overlay, rendering, promised_by(relocation), self._find())
            with _changed("content and some tags are in the registry; the overlay was not changed"):
                push.set_tags()
                directory.switch(downstream)
            report = push.report()
            coverage = Coverage(overlay, proof)
            directory.write_record(RELOCATION, _encode(relocation.to_document()))
            directory.write_record(RELOCATION_TABLE, relocation.to_csv().encode())
            directory.write_record(COVERAGE, _encode(coverage.to_document()))
            directory.write_record(RECEIPT, _encode(self._receipt(report, proof)))
        return Applied(statement, relocation, report, coverage, self.output)

    def _plan_push(self, relocation: Relocation, move_tags: bool) -> PushPlan:
        planner = PushPlanner(self.bundle.graph, relocation, self.registry, self.jobs)
        return planner.plan(move_tags)

    def _relocate(self) -> Relocation:
        earlier = read_earlier(self.output / _STATE / RELOCATION, self.target)
        return relocate(self.bundle.statement.images, self.target, earlier)

    def _find(self) -> Find:
        """The search for images that create used, by the rules file that travels along."""
        if not self.bundle.rules:
            return find_images
        return functools.partial(find_images, rules=parse_rules(self.bundle.rules, names.RULES))

    def _compose(self, relocation: Relocation) -> Overlay:
        manifests = [load_manifest(file) for file in self.bundle.files]
        objects = [obj for manifest in manifests for obj in manifest.objects]
        find = self._find()
        uses = [use for obj in objects for use in find(obj)]
        overlay = compose_overlay(self.bundle.files, objects, uses, relocation)
        check_changes(overlay, promised_by(relocation), find)
        for file, manifest in zip(self.bundle.files, manifests, strict=True):
            if note := _left_out(file, manifest):
                self.progress.note(note)
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


def _left_out(file: ManifestFile, manifest: Manifest) -> str:
    """What of a file of objects is not deployed; files without objects are no surprise."""
    others = manifest.others
    if not others or not manifest.objects:
        return ""
    return f"{file.path}:{others[0].line}: no Kubernetes object ({others[0].reason}); left out" + (
        f", with {len(others) - 1} more in this file" if len(others) > 1 else ""
    )


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
    found: dict[str, str] = {}
    for entry in fields.records("images"):
        repository = entry.text("repository")
        if entry.text("registry") == target.registry and (
            repository.rpartition("/")[0] == target.path
        ):
            found[_name_of(entry.text("source"))] = repository
    return found


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
