"""The record of what was rewritten and what was left."""

from __future__ import annotations

import json

from airgap_importer.coverage import Coverage
from airgap_importer.proof import promised_by, prove
from airgap_importer.rendering import Rendering
from airgap_shared.kube.uses import Verdict
from support.overlays import application, relocation_of

_APP = application(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    "spec: {containers: [{image: 'nginx:1', args: ['--x-image=redis:2', 'app:{{v}}']},"
    " {image: 'app:{{v}}'}]}\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: b-}\n"
    "spec: {containers: [{image: 'nginx:1'}]}\n"
)


def _coverage() -> Coverage:
    relocation = relocation_of(_APP.uses)
    overlay = _APP.overlay(relocation)
    deployed = [obj for obj in overlay.changed_objects() if obj.identity.name]
    rendering = Rendering("kubectl v1", tuple(deployed))
    return Coverage(overlay, prove(overlay, rendering, promised_by(relocation)))


def test_every_use_is_on_record_with_its_rule_and_means() -> None:
    document = json.loads(json.dumps(_coverage().to_document()))
    assert (document["format"], document["renderer"]) == (1, "kubectl v1")
    assert [
        (entry["place"], entry["source"], entry["means"], entry["file"].rpartition("/")[2])
        for entry in document["images"]
    ] == [
        ("app.yaml#Pod/a#spec.containers[0].image", "nginx:1", "images", "kustomization.yaml"),
        ("app.yaml#Pod/a#spec.containers[0].args[0]", "redis:2", "patch", "pod-a.yaml"),
        ("app.yaml#Pod#spec.containers[0].image", "nginx:1", "create", "app.yaml"),
    ]
    assert all("@sha256:" in entry["target"] for entry in document["images"])
    assert all(entry["rule"] for entry in document["images"])
    assert {entry["text"] for entry in document["undecided"]} == {"app:{{v}}"}
    assert all(entry["reason"] for entry in document["undecided"] + document["ignored"])


def test_the_summary_counts_by_means() -> None:
    coverage = _coverage()
    undecided = len(coverage.leftovers(Verdict.UNDECIDED))
    assert undecided
    assert coverage.summary() == (
        "3 uses of 2 images rewritten (1 by images:, 1 by patches, 0 split,"
        f" 1 in objects to create), {undecided} undecided"
    )
