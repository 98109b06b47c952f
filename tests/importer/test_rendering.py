"""Which renderer is chosen, and what its failures look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from airgap_importer import rendering
from airgap_importer.rendering import OwnRenderer, ProgramRenderer, Renderer, choose_renderer
from airgap_shared.errors import OverlayRefused, RendererFailed
from support.kustomize import NOT_HERE, find_kustomize
from support.overlays import application, write_overlay

_POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    "spec: {ephemeralContainers: [{image: 'nginx:1'}]}\n"
)


def _program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_without_programs_we_render_ourselves() -> None:
    assert isinstance(choose_renderer(None, None), OwnRenderer)


def test_a_program_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "kubectl"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    assert isinstance(choose_renderer(str(broken), str(tmp_path / "absent")), OwnRenderer)


def test_a_kubectl_without_kustomize_is_passed_over(tmp_path: Path) -> None:
    kubectl = _program(tmp_path / "kubectl", '[ "$1" = version ] && echo v1.13.0')
    kustomize = _program(tmp_path / "kustomize", "echo v5.5.0")
    chosen = choose_renderer(kubectl, kustomize)
    assert chosen == ProgramRenderer("kustomize v5.5.0", (kustomize, "build"))


@pytest.mark.parametrize("name", ["kubectl", "old-kubectl"])
def test_a_real_kubectl_is_chosen_and_named(name: str) -> None:
    program = find_kustomize(name)
    if program is None:
        pytest.skip(NOT_HERE[name])
    chosen = choose_renderer(program.command[0], None)
    assert chosen.name.startswith("kubectl v1.")


def test_a_program_sees_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/secret")
    program = _program(tmp_path / "p", f'env > {tmp_path}/seen; pwd >> {tmp_path}/seen; echo "$1"')
    rendered = ProgramRenderer("p", (program,)).render(tmp_path)
    assert rendered.objects == ()
    seen = (tmp_path / "seen").read_text()
    assert "secret" not in seen
    assert "HOME=/nonexistent" in seen


def test_what_a_program_complains_of_is_told_without_its_warnings(tmp_path: Path) -> None:
    program = _program(tmp_path / "p", 'echo "# Warning: old" >&2; echo "bad thing" >&2; exit 1')
    with pytest.raises(OverlayRefused, match="p refuses the overlay: bad thing"):
        ProgramRenderer("p", (program,)).render(tmp_path)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("kill -9 $$", r"p was ended by signal 9 \(Killed\)"),
        ("echo going; echo on >&2; kill -SEGV $$", r"p was ended by signal 11 \(Segmentation"),
        ("exit 1", "p ended with 1 and does not say why"),
        ("echo '# Warning: old' >&2; exit 137", "p ended with 137"),
    ],
)
def test_a_program_that_fails_by_itself_is_no_fault_of_the_overlay(
    tmp_path: Path, script: str, told: str
) -> None:
    program = _program(tmp_path / "p", script)
    with pytest.raises(RendererFailed, match=told):
        ProgramRenderer("p", (program,)).render(tmp_path)


@pytest.mark.parametrize("stream", [1, 2])
def test_what_a_program_prints_without_an_end_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: int
) -> None:
    monkeypatch.setattr(rendering, "_OUTPUT_LIMIT", 1_000_000)
    monkeypatch.setattr(rendering, "TIMEOUT", 60.0)
    program = _program(tmp_path / "p", f"yes 'a: b' | head -c 3000000 >&{stream}; exit 1")
    told = "p prints more than 1000000 bytes" if stream == 1 else "p refuses the overlay: .*b\na: b"
    with pytest.raises(OverlayRefused, match=told):
        ProgramRenderer("p", (program,)).render(tmp_path)


@pytest.mark.parametrize("output", ["a: [", "apiVersion: v1\nkind: List\nitems: [3]"])
def test_what_a_program_prints_must_be_readable(tmp_path: Path, output: str) -> None:
    program = _program(tmp_path / "p", f"cat <<'END'\n{output}\nEND")
    with pytest.raises(OverlayRefused, match="prints what cannot be read"):
        ProgramRenderer("p", (program,)).render(tmp_path)


def test_a_directory_without_kustomization_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(OverlayRefused):
        renderer.render(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("value: 'nginx:1'", "value: 'nginx:2'"),
        ("ephemeralContainers/0/", "ephemeralContainers/1/"),
        ("op: test", "op: tset"),
    ],
    ids=["the value drifted", "the place is gone", "no operation"],
)
def test_a_patch_that_does_not_fit_is_refused(
    before: str, after: str, renderer: Renderer, tmp_path: Path
) -> None:
    midstream = write_overlay(tmp_path, application(_POD).overlay())
    patch = midstream / "patches" / "pod-a.yaml"
    assert before in patch.read_text()
    patch.write_text(patch.read_text().replace(before, after))
    with pytest.raises(OverlayRefused):
        renderer.render(midstream)


def test_our_renderer_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    midstream = write_overlay(tmp_path, application(_POD).overlay())
    with (midstream / "kustomization.yaml").open("a") as file:
        file.write("namePrefix: x-\n")
    with pytest.raises(OverlayRefused, match="namePrefix"):
        OwnRenderer().render(midstream)


def test_our_renderer_wants_a_target_for_every_patch(tmp_path: Path) -> None:
    midstream = write_overlay(tmp_path, application(_POD).overlay())
    resource = tmp_path / "base" / "resources" / "app.yaml"
    resource.write_text(resource.read_text().replace("name: a", "name: b"))
    with pytest.raises(OverlayRefused, match="finds no object"):
        OwnRenderer().render(midstream)
