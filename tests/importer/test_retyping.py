"""What kustomize would type otherwise is written so that it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airgap_importer.proof import promised_by, prove
from airgap_importer.relocation import Relocation
from airgap_importer.rendering import Renderer
from airgap_importer.retyping import is_retyped
from support.overlays import application, relocation_of, write_overlay

_HEAD = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n"
RETYPED = {
    "a date": "a: 2024-01-01",
    "a short date": "a: 2024-1-1",
    "a time": "a: 2001-12-14t21:59:43.10-05:00",
    "a time after a date": "a: 2024-01-01 10:00:00",
    "a date over two lines": "a: 2024-01-01\n    10:00:00",
    "a date in a list": "[2024-01-01]",
    "a date with an anchor": "{a: &d 2024-01-01, b: *d}",
    "a date with a tag": "a: !!timestamp 2024-01-01",
    "a date with a quiet tag": "a: ! 2024-01-01",
    "a boolean with a tag": "a: !!bool yes",
    "an old boolean": "a: yes",
    "a number for a key": "{1: a, 0x10: b}",
    "a fraction for a key": "2.0: a",
    "a boolean for a key": "true: a",
    "an old boolean for a key": "on: a",
    "a date for a key": "2024-01-01: a",
    "a number for a key said at length": "\n    ? 1\n    : a",
    "an alias for a key": "{a: &k 1, *k : b}",
}
ALIKE = {
    "a quoted date": "a: '2024-01-01'",
    "a date in a text": "a: on 2024-01-01 at last",
    "a version that begins like a date": "a: 2024-01-01-rc",
    "a quoted key": "{'1': a, \"true\": b}",
    "text by its tag": "a: !!str 2024-01-01",
    "a merge": "{a: &m {b: c}, d: {<<: *m}}",
    "numbers": "[2.0, 1e3, 0x10, 007, 1_000, 0o10, 123456789012345678901234567890]",
}


def _text(spec: str) -> str:
    break_line = "\n  " if not spec.startswith(("{", "[", "\n")) else " "
    return f"{_HEAD}spec:{break_line}{spec}\n"


@pytest.mark.parametrize("case", [*RETYPED, *ALIKE])
def test_every_renderer_gives_what_kubernetes_reads(
    case: str, renderer: Renderer, tmp_path: Path
) -> None:
    app = application(_text((RETYPED | ALIKE)[case]))
    overlay = app.overlay()
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    assert rendering.objects[0].value == app.objects[0].value


@pytest.mark.parametrize("case", RETYPED)
def test_what_would_be_retyped_is_written_anew(case: str) -> None:
    text = _text(RETYPED[case])
    assert is_retyped(text)
    assert application(text).overlay().files["base/resources/app.yaml"] != text.encode()


@pytest.mark.parametrize("case", ALIKE)
def test_what_is_typed_alike_stays_as_it_is(case: str) -> None:
    text = _text(ALIKE[case])
    assert not is_retyped(text)
    assert application(text).overlay().files["base/resources/app.yaml"] == text.encode()


@pytest.mark.parametrize("tag", ["2.0", "1.10", "1e3", "0x10", "0o10", "007", "1_000", "7", "yes"])
@pytest.mark.parametrize("keeps_tag", [True, False])
def test_every_renderer_proves_the_same_for_a_number_as_a_tag(
    tag: str, keeps_tag: bool, renderer: Renderer, tmp_path: Path
) -> None:
    app = application(_text(f"image: {{repository: quay.io/acme/side, tag: {tag}}}"))
    relocation = relocation_of(app.uses)
    images = {
        name: image if keeps_tag else replace(image, tag=None)
        for name, image in relocation.images.items()
    }
    overlay = app.overlay(Relocation(images))
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    proof = prove(overlay, rendering, promised_by(Relocation(images)))
    (image,) = images.values()
    version = image.tag or f"{image.source.tag}@{image.digest}"
    assert proof.references == (f"{image.name}:{version}",)


def test_a_date_for_a_tag_stays_a_tag(renderer: Renderer, tmp_path: Path) -> None:
    app = application(_text("image: {repository: quay.io/acme/side, tag: 2024-01-01}"))
    overlay = app.overlay()
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    proof = prove(overlay, rendering, promised_by(relocation_of(app.uses)))
    assert proof.references[0].endswith(":2024-01-01")
