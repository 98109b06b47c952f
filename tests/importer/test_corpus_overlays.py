"""Overlays of real applications: our own renderer, old and current kubectl show the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap_importer.proof import check_changes, promised_by, prove
from airgap_importer.rendering import OwnRenderer, ProgramRenderer
from airgap_shared.errors import OverlayRefused
from support.budget import FULL
from support.corpus import Project, corpus_parameters
from support.expected import expected_after, found_after
from support.kustomize import NOT_HERE, find_kustomize
from support.overlays import application, relocation_of, write_overlay


@pytest.mark.parametrize("project", corpus_parameters())
def test_every_renderer_proves_every_project(project: Project, tmp_path: Path) -> None:
    app = application({path.name: path.read_bytes() for path in project.folder.glob("*.y*ml")})
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    promised = promised_by(relocation)
    check_changes(overlay, promised)
    shares_fields = any("shares fields" in note for note in overlay.notes)
    assert shares_fields or found_after(overlay) == expected_after(overlay, app.uses)
    midstream = write_overlay(tmp_path, overlay)
    proof = prove(overlay, OwnRenderer().render(midstream), promised)
    assert proof.uses == len(overlay.rewrites)
    # What current kubectl makes of every project is seen in flows/test_corpus, too.
    for name in NOT_HERE if FULL else NOT_HERE.keys() - {"kubectl"}:
        program = find_kustomize(name)
        if program is None:
            continue
        try:
            rendering = ProgramRenderer(name, program.command).render(midstream)
        except OverlayRefused as refused:
            # kustomize 2.0.3 takes two service accounts of one name for an ambiguity.
            assert (name, "Multiple matches" in refused.what) == ("old-kubectl", True), refused
        else:
            assert prove(overlay, rendering, promised).references == proof.references
