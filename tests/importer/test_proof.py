"""A rendering that shows anything but verified images of the target proves nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from airgap_importer.proof import promised_by, prove
from airgap_importer.rendering import OwnRenderer, Rendering
from airgap_shared.errors import OverlayRefused, UnrewrittenImage
from airgap_shared.oci.digest import Digest
from support.overlays import application, relocation_of, write_overlay

_APP = application(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    "spec: {containers: [{image: 'nginx:1'}, {image: 'redis:2'}]}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
)
_RELOCATION = relocation_of(_APP.uses)
_PROMISED = promised_by(_RELOCATION)
_OVERLAY = _APP.overlay(_RELOCATION)


@pytest.fixture
def rendering(tmp_path: Path) -> Rendering:
    return OwnRenderer().render(write_overlay(tmp_path, _OVERLAY))


def _with(rendering: Rendering, text: str) -> Rendering:
    return dataclasses.replace(rendering, objects=application(text).objects)


def test_what_was_proven_is_told(rendering: Rendering) -> None:
    proof = prove(_OVERLAY, rendering, _PROMISED)
    assert (proof.renderer, proof.uses) == ("airgap-import's own renderer", 2)
    assert proof.references == tuple(
        sorted(image.reference for image in _RELOCATION.images.values())
    )


def test_an_application_as_shipped_proves_nothing(rendering: Rendering) -> None:
    shipped = dataclasses.replace(rendering, objects=_APP.objects)
    with pytest.raises(UnrewrittenImage) as failed:
        prove(_OVERLAY, shipped, _PROMISED)
    assert "airgap-import's own renderer" in failed.value.what
    assert any("containers[1].image: redis:2" in line for line in failed.value.details)


def test_a_digest_that_was_not_verified_is_named(rendering: Rendering) -> None:
    redis = next(image for image in _RELOCATION.images.values() if "redis" in image.repository)
    digests = {**_PROMISED.digests, redis.name: frozenset({Digest.of(b"other")})}
    present = dataclasses.replace(_PROMISED, digests=digests)
    with pytest.raises(UnrewrittenImage) as failed:
        prove(_OVERLAY, rendering, present)
    assert len(failed.value.details) == 1
    assert redis.reference in failed.value.details[0]


def test_the_right_image_in_the_wrong_place_is_named(rendering: Rendering) -> None:
    nginx, redis = (image.reference for image in _RELOCATION.images.values())
    swapped = _with(
        rendering,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        f"spec: {{containers: [{{image: '{redis}'}}, {{image: '{nginx}'}}]}}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
    )
    with pytest.raises(UnrewrittenImage) as failed:
        prove(_OVERLAY, swapped, _PROMISED)
    assert len(failed.value.details) == 2


def test_an_image_that_came_from_nowhere_is_named(rendering: Rendering) -> None:
    stray = application(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: [{image: evil/x}]}\n"
    )
    with pytest.raises(UnrewrittenImage, match="not verified"):
        prove(
            _OVERLAY,
            dataclasses.replace(rendering, objects=rendering.objects + stray.objects),
            _PROMISED,
        )


@pytest.mark.parametrize("text", ["registry.test:5000/apps/nginx:1", "x/y", "not an image"])
def test_a_reference_without_a_digest_is_never_enough(rendering: Rendering, text: str) -> None:
    changed = _with(
        rendering,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        f"spec: {{containers: [{{image: {text}}}]}}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
    )
    with pytest.raises(UnrewrittenImage):
        prove(_OVERLAY, changed, _PROMISED)


def test_objects_may_not_disappear(rendering: Rendering) -> None:
    with pytest.raises(OverlayRefused) as failed:
        prove(_OVERLAY, dataclasses.replace(rendering, objects=rendering.objects[:1]), _PROMISED)
    assert failed.value.details == ("app.yaml#ConfigMap/settings",)


_THING = (
    "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n"
    "spec: {image: {repository: quay.io/acme/side, tag: %s}}\n"
)


@pytest.mark.parametrize("tag", ["'2024-01-01T00:00:00Z'", "''", "{}", "'1'"])
def test_a_split_reference_may_not_disappear(tag: str) -> None:
    app = application(_THING % "'2024-01-01'")
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    (image,) = relocation.images.values()
    text = (_THING % tag).replace("quay.io/acme/side", image.name)
    rendering = Rendering("test", application(text).objects)
    with pytest.raises(UnrewrittenImage) as failed:
        prove(overlay, rendering, promised_by(relocation))
    assert "app.yaml#Thing/t#spec.image: " in failed.value.details[0]


def test_a_split_reference_to_a_registry_in_the_cluster_is_found() -> None:
    app = application(_THING % "'1'")
    relocation = relocation_of(app.uses, registry="registry.kube-system.svc:5000")
    overlay = app.overlay(relocation)
    (image,) = relocation.images.values()
    text = (_THING % "'1'").replace("quay.io/acme/side", image.name)
    proof = prove(overlay, Rendering("test", application(text).objects), promised_by(relocation))
    assert [use.text for use in proof.leftovers] == [f"{image.name}:1"]


def test_an_empty_rendering_proves_nothing(rendering: Rendering) -> None:
    with pytest.raises(OverlayRefused):
        prove(_OVERLAY, dataclasses.replace(rendering, objects=()), _PROMISED)
