"""The file beside the output: what may have its name, and what is left of it on a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from airgap_shared.errors import DiskFull, MediaReadError, OutputNotWritable
from airgap_shared.stores.bundlewriter import PartialBundle, compose_head
from airgap_shared.stores.medium import FileMedium
from airgap_shared.stores.progress import NoProgress
from support.bundles import make_contents
from support.images import generated_layer, make_image

MADE = make_contents({"large:1": make_image([generated_layer(1 << 20, 1)])})
HEAD = compose_head(MADE.plan())[0]


def write(output: Path) -> None:
    partial = PartialBundle(output)
    with partial.opened():
        partial.write(MADE.plan(), MADE.fetch, 1, NoProgress())


def link(path: Path) -> None:
    path.with_name("victim").write_bytes(b"precious")
    path.symlink_to("victim")


@pytest.mark.parametrize("make", [link, os.mkfifo, Path.mkdir])
def test_only_a_regular_file_is_written(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "bundle.partial")
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    with pytest.raises(OutputNotWritable) as caught:
        write(tmp_path / "bundle")
    assert "bundle.partial" in caught.value.where
    assert {path.name: path.lstat().st_mode for path in tmp_path.iterdir()} == before
    assert make is not link or (tmp_path / "victim").read_bytes() == b"precious"


def test_a_link_to_nothing_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "bundle.partial").symlink_to("victim")
    with pytest.raises(OutputNotWritable, match="a link"):
        write(tmp_path / "bundle")
    assert not (tmp_path / "victim").exists()


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    partial = PartialBundle(tmp_path / "bundle")
    with partial.opened():
        partial.write(MADE.plan(), MADE.fetch, 1, NoProgress())
        partial.path.unlink()
        partial.path.write_bytes(b"something else")
        with partial.medium() as medium:
            assert medium.read_envelope() == MADE.plan().envelope


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(f_bavail=0, f_frsize=4096)
    monkeypatch.setattr(os, "fstatvfs", lambda _: room)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("left", [HEAD + b"and some blocks", b"of another plan"])
def test_what_an_earlier_run_left_outlives_a_full_disk(tmp_path: Path, left: bytes) -> None:
    partial = tmp_path / "bundle.partial"
    partial.write_bytes(left)
    with pytest.raises(DiskFull) as caught:
        write(tmp_path / "bundle")
    assert partial.read_bytes() == left
    assert caught.value.changed == f"what an earlier run fetched is kept in {partial}"


@pytest.mark.usefixtures("full_disk")
def test_a_run_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as caught:
        write(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
    assert caught.value.changed == "nothing was written"


def test_a_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(MediaReadError, match="a folder") as caught:
        FileMedium(tmp_path)
    assert caught.value.next_step == "name the bundle file"
