"""Swapping directories: at once, and where the kernel cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airgap_importer.filetree import exchange, exchange_by_renames, kind_of, tree_of, write_tree
from airgap_shared.bundle.names import is_safe_path

_Exchange = Callable[[int, str, int, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("swap", [exchange, exchange_by_renames])
def test_two_directories_change_places(swap: _Exchange, folder: int, tmp_path: Path) -> None:
    write_tree(folder, "one", tree_of({"a/b": b"1"}))
    write_tree(folder, "two", tree_of({"c": b"2"}))
    swap(folder, "one", folder, "two")
    assert (tmp_path / "two" / "a" / "b").read_bytes() == b"1"
    assert (tmp_path / "one" / "c").read_bytes() == b"2"
    assert sorted(os.listdir(folder)) == ["one", "two"]


@pytest.mark.parametrize("swap", [exchange, exchange_by_renames])
@pytest.mark.parametrize("there", ["one", "two"])
def test_nothing_happens_when_one_is_missing(
    swap: _Exchange, there: str, folder: int, tmp_path: Path
) -> None:
    (tmp_path / there).mkdir()
    with pytest.raises(FileNotFoundError):
        swap(folder, "one", folder, "two")
    assert os.listdir(folder) == [there]


def test_links_are_not_followed(folder: int, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert [kind_of(folder, name) for name in ("real", "link", "none")] == [
        "directory",
        "other",
        "absent",
    ]
    with pytest.raises(FileExistsError):
        write_tree(folder, "link", {"a": b""})
    assert not any((tmp_path / "real").iterdir())


@pytest.mark.parametrize("path", ["a", "a/b.yaml", "A_b-c.d/0", "-a", "_"])
def test_ordinary_paths_are_safe(path: str) -> None:
    assert is_safe_path(path)
