"""The overlay directory: whose it is, what is replaced, and what a failure leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap_importer.overlay import (
    check_overlay,
    check_overlay_directory,
    open_overlay_directory,
)
from airgap_importer.proof import promised_by, prove
from airgap_importer.rendering import OwnRenderer, Renderer
from airgap_shared.errors import (
    Locked,
    OverlayNotOurs,
    OverlayNotWritable,
    OverlayRefused,
    UsageError,
)
from airgap_shared.kube.objects import ManifestFile
from support.overlays import Application, application, relocation_of

_OLD = application(
    {
        "app.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        "spec: {containers: [{image: 'nginx:1'}]}\n",
        "old.yaml": "# nothing\n",
    }
)
_NEW = application(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: 'nginx:2'}]}\n"
)
_DOWNSTREAM = "overlays/downstreams/this-cluster/kustomization.yaml"


def _apply(path: Path, app: Application, name: str = "shop") -> None:
    with open_overlay_directory(path, name) as directory:
        directory.stage(app.overlay(), app.files)
        directory.switch()


def _names(path: Path) -> list[str]:
    return sorted(found.name for found in path.iterdir())


def _snapshot(path: Path) -> dict[str, bytes | None]:
    return {
        str(found.relative_to(path)): found.read_bytes() if found.is_file() else None
        for found in sorted(path.rglob("*"))
    }


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "shop"
    _apply(path, _OLD)
    return path


def test_everything_is_written(applied: Path) -> None:
    assert sorted(name for name, text in _snapshot(applied).items() if text is not None) == [
        ".airgap/marker.json",
        "base/kustomization.yaml",
        "base/resources/app.yaml",
        "overlays/downstreams/this-cluster/kustomization.yaml",
        "overlays/midstream/kustomization.yaml",
        "upstream/app.yaml",
        "upstream/old.yaml",
    ]
    assert (applied / "upstream" / "app.yaml").read_bytes() == _OLD.files[0].content
    assert json.loads((applied / ".airgap" / "marker.json").read_bytes()) == {
        "format": 1,
        "tool": "airgap-import",
        "app": "shop",
    }


def test_what_is_staged_can_be_rendered_and_is_not_in_place(
    renderer: Renderer, tmp_path: Path
) -> None:
    relocation = relocation_of(_NEW.uses)
    overlay = _NEW.overlay(relocation)
    with open_overlay_directory(tmp_path / "shop", "shop") as directory:
        staged = directory.stage(overlay, _NEW.files)
        prove(overlay, renderer.render(staged.midstream), promised_by(relocation))
        assert not (tmp_path / "shop" / "base").exists()


@pytest.mark.parametrize("place", ["midstream", "downstreams/this-cluster"])
def test_both_overlays_can_be_rendered(applied: Path, place: str, renderer: Renderer) -> None:
    rendering = renderer.render(applied / "overlays" / place)
    assert [obj.identity.name for obj in rendering.objects] == ["a"]


def test_a_second_apply_replaces_what_is_generated_and_nothing_else(applied: Path) -> None:
    (applied / _DOWNSTREAM).write_text("# mine\n")
    (applied / "notes.txt").write_text("mine")
    (applied / "base" / "stray.yaml").write_text("gone")
    _apply(applied, _NEW)
    after = _snapshot(applied)
    assert after[_DOWNSTREAM] == b"# mine\n"
    assert after["notes.txt"] == b"mine"
    assert after["upstream/app.yaml"] == _NEW.files[0].content
    assert "upstream/old.yaml" not in after
    assert "base/stray.yaml" not in after
    assert [name for name in after if name.startswith(".airgap")] == [
        ".airgap",
        ".airgap/marker.json",
    ]


def test_a_downstream_that_the_user_emptied_stays_empty(applied: Path) -> None:
    (applied / _DOWNSTREAM).unlink()
    _apply(applied, _NEW)
    assert not (applied / _DOWNSTREAM).exists()


def test_another_downstream_can_be_asked_for(applied: Path) -> None:
    with open_overlay_directory(applied, "shop") as directory:
        directory.stage(_NEW.overlay(), _NEW.files)
        directory.switch("prod")
    assert _names(applied / "overlays" / "downstreams") == ["prod", "this-cluster"]


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a b"])
def test_a_downstream_stays_in_its_place(name: str) -> None:
    with pytest.raises(UsageError):
        check_overlay(_NEW.overlay(), _NEW.files, name)


def test_an_application_without_files_can_be_applied(tmp_path: Path, renderer: Renderer) -> None:
    _apply(tmp_path / "shop", application({}))
    assert renderer.render(tmp_path / "shop" / "overlays" / "midstream").objects == ()


def _foreign_file(path: Path) -> None:
    (path / "precious.txt").write_text("mine")


def _no_marker(path: Path) -> None:
    (path / ".airgap").mkdir()
    (path / "base").mkdir()


def _marker(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path / ".airgap").mkdir()
        (path / ".airgap" / "marker.json").write_text(text)

    return write


def _link(place: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _apply(path, _OLD)
        elsewhere = path.parent / "elsewhere"
        shutil.copytree(path / place, elsewhere)
        shutil.rmtree(path / place)
        (path / place).symlink_to(elsewhere)

    return make


def _file(place: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _apply(path, _OLD)
        shutil.rmtree(path / place)
        (path / place).write_text("mine")

    return make


def _marker_link(path: Path) -> None:
    _apply(path, _OLD)
    marker = path / ".airgap" / "marker.json"
    marker.rename(path / "copy.json")
    marker.symlink_to(path / "copy.json")


_FOREIGN: dict[str, Callable[[Path], None]] = {
    "a file": _foreign_file,
    "a state without a marker": _no_marker,
    "another application": _marker('{"format": 1, "tool": "airgap-import", "app": "other"}'),
    "another tool": _marker('{"format": 1, "tool": "other", "app": "shop"}'),
    "another format": _marker('{"format": 2, "tool": "airgap-import", "app": "shop"}'),
    "a marker that is no JSON": _marker("shop"),
    "a marker of another shape": _marker("[]"),
    "a linked marker": _marker_link,
    "a linked upstream": _link("upstream"),
    "a linked base": _link("base"),
    "linked overlays": _link("overlays"),
    "a linked midstream": _link("overlays/midstream"),
    "linked downstreams": _link("overlays/downstreams"),
    "a linked state": _link(".airgap"),
    "a file for base": _file("base"),
    "a file for the midstream": _file("overlays/midstream"),
}


@pytest.mark.parametrize("case", _FOREIGN)
def test_what_is_not_ours_is_left_alone(case: str, tmp_path: Path) -> None:
    path = tmp_path / "shop"
    path.mkdir()
    _FOREIGN[case](path)
    before = _snapshot(tmp_path)
    with pytest.raises(OverlayNotOurs):
        check_overlay_directory(path, "shop")
    with pytest.raises(OverlayNotOurs):
        _apply(path, _NEW)
    assert _snapshot(tmp_path) == before


@pytest.mark.parametrize("place", ["upstream", "base", "overlays/midstream"])
def test_a_link_put_there_during_the_run_is_refused(place: str, tmp_path: Path) -> None:
    path = tmp_path / "shop"
    _apply(path, _OLD)
    with open_overlay_directory(path, "shop") as directory:
        directory.stage(_NEW.overlay(), _NEW.files)
        (path / place).rename(tmp_path / "elsewhere")
        (path / place).symlink_to(tmp_path / "elsewhere")
        before = _snapshot(tmp_path / "elsewhere")
        with pytest.raises(OverlayNotOurs):
            directory.switch()
    assert _snapshot(tmp_path / "elsewhere") == before


def test_a_name_that_no_file_system_takes_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / ("a" * 300), tmp_path / ("a" * 300) / "shop"):
        with pytest.raises(OverlayNotWritable):
            check_overlay_directory(path, "shop")
        with pytest.raises(OverlayNotWritable):
            _apply(path, _NEW)
    assert _snapshot(tmp_path) == {}


def test_looking_changes_nothing(tmp_path: Path) -> None:
    check_overlay_directory(tmp_path / "absent", "shop")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "empty").mkdir()
    check_overlay_directory(tmp_path / "empty", "shop")
    assert not any((tmp_path / "empty").iterdir())


def test_a_run_killed_at_its_very_beginning_is_no_obstacle(tmp_path: Path) -> None:
    state = tmp_path / "shop" / ".airgap"
    state.mkdir(parents=True)
    (state / "marker.json.partial").write_text("{")
    _apply(tmp_path / "shop", _OLD)
    assert _names(state) == ["marker.json"]


def test_one_run_at_a_time(applied: Path) -> None:
    with (
        open_overlay_directory(applied, "shop"),
        pytest.raises(Locked),
        open_overlay_directory(applied, "shop"),
    ):
        pass
    with open_overlay_directory(applied, "shop"):
        pass


def test_a_run_that_ends_before_the_switch_changes_nothing(applied: Path) -> None:
    before = _snapshot(applied)
    with open_overlay_directory(applied, "shop") as directory:
        directory.stage(_NEW.overlay(), _NEW.files)
    with open_overlay_directory(applied, "shop"):
        pass
    assert _snapshot(applied) == before


def _is_one_of(path: Path, *apps: Application) -> bool:
    """Whether upstream, base and midstream all belong to one of the applications."""
    return any(
        (path / "upstream" / "app.yaml").read_bytes() == app.files[0].content
        and all((path / name).read_bytes() == text for name, text in app.overlay().files.items())
        for app in apps
    )


def _kill_after(path: Path, app: Application, steps: int) -> None:
    """Begin to apply, and leave everything as it is after so many steps of the switch."""
    with open_overlay_directory(path, "shop") as directory:
        directory.stage(app.overlay(), app.files)
        with directory.planned_switch() as swaps:
            for swap in swaps[:steps]:
                swap.apply()


def _deployed(path: Path, renderer: Renderer) -> list[object]:
    """What midstream and downstream come to; both the same."""
    midstream, downstream = (
        [obj.value for obj in renderer.render(path / "overlays" / place).objects]
        for place in ("midstream", "downstreams/this-cluster")
    )
    assert midstream == downstream
    return [*midstream]


@pytest.mark.parametrize("steps", range(5))
def test_killed_between_two_steps_the_old_or_the_new_release_is_deployed(
    applied: Path, tmp_path: Path, steps: int, renderer: Renderer
) -> None:
    old = _deployed(applied, renderer)
    _apply(tmp_path / "new", _NEW)
    new = _deployed(tmp_path / "new", renderer)
    assert old != new

    _kill_after(applied, _NEW, steps)

    expected = new if steps else old
    assert _deployed(applied, renderer) == expected
    if steps in (0, 4):
        assert _is_one_of(applied, _OLD, _NEW)
    # Nor does a run change that which comes no further than to the staged tree.
    with open_overlay_directory(applied, "shop") as directory:
        directory.stage(_OLD.overlay(), _OLD.files)
        assert _deployed(applied, renderer) == expected
    with open_overlay_directory(applied, "shop"):
        pass
    assert _deployed(applied, renderer) == expected
    _apply(applied, _NEW)
    assert _is_one_of(applied, _NEW)
    assert _names(applied / ".airgap") == ["marker.json"]


@pytest.mark.parametrize("second", range(5))
@pytest.mark.parametrize("first", range(1, 4))
def test_killed_twice(applied: Path, tmp_path: Path, first: int, second: int) -> None:
    renderer = OwnRenderer()
    old = _deployed(applied, renderer)
    _apply(tmp_path / "new", _NEW)
    new = _deployed(tmp_path / "new", renderer)
    _kill_after(applied, _NEW, first)
    _kill_after(applied, _OLD, second)
    assert _deployed(applied, renderer) == (old if second else new)
    _kill_after(applied, _NEW, second)
    assert _deployed(applied, renderer) == new
    _apply(applied, _OLD)
    assert _deployed(applied, renderer) == old
    assert _is_one_of(applied, _OLD)
    assert _names(applied / ".airgap") == ["marker.json"]


@pytest.mark.parametrize("steps", range(4))
def test_killed_during_the_first_apply_nothing_can_be_deployed(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "shop"
    with open_overlay_directory(path, "shop") as directory:
        directory.stage(_OLD.overlay(), _OLD.files)
        with directory.planned_switch() as swaps:
            assert len(swaps) == 3
            for swap in swaps[:steps]:
                swap.apply()
    assert (path / "overlays" / "midstream").exists() == (steps == 3)
    _apply(path, _NEW)
    assert _is_one_of(path, _NEW)


@pytest.mark.parametrize("missing", ["upstream", "next-base", "overlays/midstream"])
def test_a_switch_that_fails_halfway_is_taken_back(applied: Path, missing: str) -> None:
    before = _snapshot(applied)
    with open_overlay_directory(applied, "shop") as directory:
        directory.stage(_NEW.overlay(), _NEW.files)
        shutil.rmtree(applied / ".airgap" / "staged" / missing)
        with pytest.raises(OverlayNotWritable) as failed:
            directory.switch()
    # What was changed besides is for the caller to say.
    assert not failed.value.changed
    with open_overlay_directory(applied, "shop"):
        pass
    assert _snapshot(applied) == before


@pytest.mark.parametrize("missing", ["next-base", "overlays/midstream"])
def test_a_first_switch_that_fails_halfway_is_taken_back(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "shop"
    with open_overlay_directory(path, "shop") as directory:
        directory.stage(_NEW.overlay(), _NEW.files)
        shutil.rmtree(path / ".airgap" / "staged" / missing)
        with pytest.raises(OverlayNotWritable):
            directory.switch()
    assert not (path / "base").exists()
    assert not (path / "upstream").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../x.yaml",
        "/x.yaml",
        "a/../x.yaml",
        "a//x.yaml",
        "./x.yaml",
        ".hidden",
        "a/.hidden/x",
        "a b.yaml",
        "a\n.yaml",
        "ü.yaml",
        "x" * 101,
        "/".join("a" * 17),
        "",
    ],
)
def test_paths_of_the_application_stay_inside(applied: Path, path: str) -> None:
    before = _snapshot(applied)
    with open_overlay_directory(applied, "shop") as directory, pytest.raises(OverlayRefused):
        directory.stage(_NEW.overlay(), [ManifestFile(path, b"")])
    assert _snapshot(applied) == before


def test_the_deepest_path_is_accepted(tmp_path: Path) -> None:
    path = "/".join("a" * 16)
    _apply(tmp_path / "shop", application({path: _NEW.files[0].content}))
    assert (tmp_path / "shop" / "base" / "resources" / path).is_file()


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a")])
def test_a_file_cannot_be_a_directory_too(tmp_path: Path, paths: tuple[str, str]) -> None:
    files = [ManifestFile(path, b"") for path in paths]
    with (
        open_overlay_directory(tmp_path / "shop", "shop") as directory,
        pytest.raises(OverlayRefused),
    ):
        directory.stage(_NEW.overlay(), files)


def test_records_are_replaced_whole(applied: Path) -> None:
    with open_overlay_directory(applied, "shop") as directory:
        directory.write_record("relocation.json", b"{}\n")
        directory.write_record("relocation.json", b"[]\n")
    assert (applied / ".airgap" / "relocation.json").read_bytes() == b"[]\n"
    assert _names(applied / ".airgap") == ["marker.json", "relocation.json"]


@pytest.mark.parametrize("name", ["marker.json", "../x", "staged", ".x"])
def test_a_record_does_not_take_another_place(applied: Path, name: str) -> None:
    with (
        open_overlay_directory(applied, "shop") as directory,
        pytest.raises(ValueError, match="cannot name a record"),
    ):
        directory.write_record(name, b"")


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((OverlayNotWritable, OverlayNotOurs)) as failed:
        _apply(tmp_path / "file" / "shop", _OLD)
    assert "file" in failed.value.where


def test_the_directory_is_closed_in_the_end(applied: Path) -> None:
    before = _names(Path("/proc/self/fd"))
    _apply(applied, _NEW)
    with pytest.raises(OverlayNotOurs):
        _apply(applied, _NEW, "other")
    assert _names(Path("/proc/self/fd")) == before
