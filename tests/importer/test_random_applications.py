"""Properties of overlays over applications nobody thought of."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap_importer.imagestransformer import ImageEntry
from airgap_importer.kustomization import base_text, midstream_text
from airgap_importer.proof import promised_by, prove
from airgap_importer.rendering import OwnRenderer, Renderer
from airgap_importer.rewriting import compose_overlay
from airgap_shared.errors import OverlayRefused
from airgap_shared.oci.digest import Digest
from support.overlays import Application, application, relocation_of, write_overlay

_DIGEST = "@sha256:" + "d" * 64
# Few and alike, so that they collide: spellings, dots, ports, and the target itself.
_NAMES = (
    "nginx",
    "docker.io/nginx",
    "docker.io/library/nginx",
    "a.b/c.d",
    "axb/c.d",
    "reg.example:5000/nginx",
    "registry.test:5000/apps/nginx-4d14",
    "registry.test:5000/apps/nginx-7f5d",
    "apps/nginx",
)
_IMAGES = st.builds(
    "{}{}{}".format,
    st.sampled_from(_NAMES),
    st.sampled_from(["", ":1", ":2", ":1.10"]),
    st.sampled_from(["", "", _DIGEST]),
)
_TEXTS = st.one_of(_IMAGES, _IMAGES, st.sampled_from(["", "nginx:{{v}}", "${X}", "nginx:$(v)"]))
_CONTAINERS = st.lists(st.fixed_dictionaries({"image": _TEXTS}), max_size=2)
_KEYS = ("containers", "initContainers", "ephemeralContainers", "template", "spec", "volumes", "x")


def _nodes(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.dictionaries(st.sampled_from(_KEYS), st.one_of(children, _CONTAINERS), max_size=3),
        st.lists(children, max_size=2),
    )


_LEAVES = st.one_of(st.none(), st.integers(0, 3), _IMAGES, _CONTAINERS)
# kustomize looks into the kinds it knows for more than images, so those stay in shape.
_KINDS = st.one_of(
    st.tuples(
        st.just("v1"),
        st.just("Pod"),
        st.fixed_dictionaries({"containers": _CONTAINERS, "initContainers": _CONTAINERS}),
    ),
    st.tuples(
        st.sampled_from(["example.com/v1", "example.com/v2", "example.org/v1"]),
        st.just("Thing"),
        st.recursive(_LEAVES, _nodes, max_leaves=8),
    ),
)
_METADATA = st.sampled_from(
    [
        {"name": "a"},
        {"name": "a.c"},
        {"name": "abc"},
        {"name": "a", "namespace": "b"},
        {"name": "abc", "namespace": "b"},
    ]
)
_OBJECTS: st.SearchStrategy[dict[str, object]] = st.builds(
    lambda kind, metadata: {
        "apiVersion": kind[0],
        "kind": kind[1],
        "metadata": metadata,
        "spec": kind[2],
    },
    _KINDS,
    _METADATA,
)


def _application(objects: list[dict[str, object]]) -> Application:
    return application("\n---\n".join(map(json.dumps, objects)))


_APPLICATIONS = st.lists(
    _OBJECTS,
    max_size=5,
    unique_by=lambda value: json.dumps([value["apiVersion"], value["kind"], value["metadata"]]),
).map(_application)


@given(_APPLICATIONS)
@settings(max_examples=150, deadline=None)
def test_every_image_is_the_target(app: Application) -> None:
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    with TemporaryDirectory() as folder:
        rendering = OwnRenderer().render(write_overlay(Path(folder), overlay))
    proof = prove(overlay, rendering, promised_by(relocation))
    assert proof.uses == len(overlay.rewrites)


@given(app=_APPLICATIONS)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_real_kustomize_agrees(app: Application, renderer: Renderer) -> None:
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    with TemporaryDirectory() as folder:
        midstream = write_overlay(Path(folder), overlay)
        try:
            rendering = renderer.render(midstream)
        except OverlayRefused as refused:
            # The one thing that old kustomize cannot do, and it says so.
            assert renderer.name == "old-kubectl" and overlay.notes, refused
            return
    assert prove(overlay, rendering, promised_by(relocation)).uses == len(overlay.rewrites)


@given(_APPLICATIONS)
@settings(max_examples=50, deadline=None)
def test_the_overlay_depends_on_nothing_else(app: Application) -> None:
    relocation = relocation_of(app.uses)
    again = compose_overlay(app.files[::-1], app.objects, app.uses, relocation)
    assert again.files == app.overlay(relocation).files


_ENTRIES = st.lists(
    st.builds(
        ImageEntry,
        st.sampled_from(["nginx", "a.b/c.d", "axb/c.d", "apps/nginx", "t/n/x"]),
        st.sampled_from(["t/n/x:1", "apps/nginx:1", "t/n/y"]),
        st.just(Digest("sha256", "e" * 64)),
    ),
    max_size=4,
)


@given(texts=st.lists(_TEXTS, min_size=1, max_size=6), entries=_ENTRIES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_our_renderer_changes_images_as_current_kustomize_does(
    texts: list[str], entries: list[ImageEntry], renderer: Renderer
) -> None:
    """Also chains of entries and digests, which our overlays avoid."""
    if renderer.name == "old-kubectl":
        pytest.skip("kustomize 2.0.3 is not what our renderer follows")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"image": text} for text in texts]},
    }
    with TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        midstream = Path(folder) / "overlays" / "midstream"
        midstream.mkdir(parents=True)
        base.mkdir()
        (base / "pod.json").write_text(json.dumps(pod))
        (base / "kustomization.yaml").write_bytes(base_text(["pod.json"]))
        (midstream / "kustomization.yaml").write_bytes(midstream_text(entries, []))
        theirs = renderer.render(midstream)
        ours = OwnRenderer().render(midstream)
    assert [obj.value for obj in theirs.objects] == [obj.value for obj in ours.objects]
