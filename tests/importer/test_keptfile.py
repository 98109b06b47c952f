"""What an earlier import kept: read whole, or told what is wrong with it; nothing hangs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airgap_importer import keptfile
from airgap_importer.history.auditlog import AUDIT, read_entries
from airgap_importer.keptfile import read_kept
from airgap_importer.relocationrecord import load_relocation_record
from airgap_shared.errors import StateCorrupt


def test_what_is_there_is_read_and_what_is_not_is_none(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b"{}")
    assert read_kept(tmp_path / "state.json") == b"{}"
    assert read_kept(tmp_path / "other.json") is None


@pytest.mark.parametrize("made", ["pipe", "folder", "nothing", "/dev/zero"])
def test_what_no_import_wrote_is_told(made: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    match made:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case link:
            path.symlink_to(link)
    with pytest.raises(StateCorrupt) as caught:
        read_kept(path)
    assert caught.value.where == str(path)


def test_no_more_is_read_than_an_import_may_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keptfile, "LIMIT", 10)
    path = tmp_path / "state.json"
    path.write_bytes(bytes(10))
    assert read_kept(path) == bytes(10)
    path.write_bytes(bytes(11))
    with pytest.raises(StateCorrupt, match="far too large"):
        read_kept(path)


def test_what_may_not_be_read_says_what_to_do(tmp_path: Path) -> None:
    below = tmp_path / "file" / "state.json"
    below.parent.write_bytes(b"")
    with pytest.raises(StateCorrupt, match="cannot be read") as caught:
        read_kept(below)
    assert caught.value.next_step


def test_a_pipe_in_the_place_of_a_record_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "relocation.json")
    os.mkfifo(tmp_path / AUDIT)
    with pytest.raises(StateCorrupt, match="no regular file"):
        load_relocation_record(tmp_path / "relocation.json")
    with pytest.raises(StateCorrupt, match="no regular file"):
        read_entries(tmp_path)
