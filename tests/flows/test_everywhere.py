"""Images in every kind of place, and a rules file: bundled, rewritten where they stand, proven."""

from __future__ import annotations

import base64
import json

import pytest

from support.docker_registry import DockerRegistry
from support.images import make_image
from support.journey import Journey, refused, succeeded

_VALUES = """\
# what the operator starts
global:
  hub: docker.io/mesh
  tag: "1.10"   # the release
  proxy: {image: proxy}
"""
_SECRET = base64.b64encode(b"sidecar:\n  image: 'quay.io/org/sidecar:2'\n").decode()
_APP = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data:
  values.yaml: |
{"".join(f"    {line}" + chr(10) for line in _VALUES.splitlines())}
  own: "the text names quay.io/org/doc:1"
---
apiVersion: v1
kind: Secret
metadata: {{name: settings}}
data: {{config.yaml: {_SECRET}}}
---
apiVersion: example.com/v1
kind: Farm
metadata: {{name: farm}}
spec: {{animals: [{{breed: quay.io/org/cow, age: "4"}}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {{generateName: once-}}
spec:
  template:
    spec:
      containers:
      - {{name: a, image: "quay.io/org/job:1", args: ["--helper-image=quay.io/org/h:1"]}}
"""
_RULES = """\
format: 1
split:
- repository: spec.animals[*].breed
  tag: spec.animals[*].age
ignore:
- text: quay.io/org/doc:1
  reason: a text about it
"""
_IMAGES = (
    "docker.io/mesh/proxy:1.10",
    "quay.io/org/sidecar:2",
    "quay.io/org/cow:4",
    "quay.io/org/job:1",
    "quay.io/org/h:1",
)


@pytest.fixture
def farm(journey: Journey) -> Journey:
    """The application with its images and rules, not bundled yet."""
    for reference in _IMAGES:
        journey.push(reference, make_image([reference.encode()]))
    journey.write(_APP)
    (journey.folder / "rules.yaml").write_text(_RULES)
    return journey


def test_every_place_is_rewritten_as_it_was_written(
    farm: Journey, registry: DockerRegistry
) -> None:
    succeeded(farm.create("--rules", "rules.yaml"))
    applied = succeeded(farm.apply())
    coverage = json.loads((farm.overlay / ".airgap" / "coverage.json").read_text())
    assert {entry["source"]: entry["means"] for entry in coverage["images"]} == {
        "docker.io/mesh/proxy:1.10": "split",
        "quay.io/org/sidecar:2": "patch",
        "quay.io/org/cow:4": "split",
        "quay.io/org/job:1": "create",
        "quay.io/org/h:1": "create",
    }
    assert [entry["text"] for entry in coverage["ignored"]] == ["quay.io/org/doc:1"]
    assert "5 uses of 5 images rewritten" in applied.out
    assert "kubectl create -f deploy/overlays/midstream/create" in applied.out
    target = f"{registry.host}/apps/shop"
    split = (farm.midstream / "patches-split" / "configmap-settings.yaml").read_text()
    after = _VALUES.replace("docker.io/mesh", target)
    assert all(f"    {line}\n" in split for line in after.splitlines())
    created = (farm.midstream / "create" / "app.yaml").read_text()
    assert f'image: "{target}/job:1@sha256:' in created
    assert f"--helper-image={target}/h:1@sha256:" in created
    assert (farm.overlay / "upstream" / "app.yaml").read_text() == _APP


def test_pieces_that_cannot_serve_all_stop_the_import_before_anything_is_pushed(
    journey: Journey, registry: DockerRegistry
) -> None:
    journey.push("docker.io/mesh/a:1", make_image([b"a"]))
    digest = journey.push("docker.io/mesh/b:1", make_image([b"b"]))
    journey.push(f"docker.io/mesh/b@{digest}", make_image([b"b"]))
    journey.write(
        "apiVersion: example.com/v1\nkind: Mesh\nmetadata: {name: m}\n"
        "spec:\n  hub: docker.io/mesh\n  tag: '1'\n"
        f"  a: {{image: a}}\n  b: {{image: b, digest: '{digest}'}}\n"
        "  c: {registry: docker.io, repository: mesh, name: a, tag: '1'}\n"
    )
    succeeded(journey.create())
    alone = Journey(journey.folder, journey.source, journey.target, namespace="")
    failed = refused(alone.apply(), 14, "UnrewrittenImage")
    assert "cannot hold" in failed.err
    assert "nothing was changed" in failed.err
    assert not journey.overlay.exists()
    assert not registry.storage.repositories()
