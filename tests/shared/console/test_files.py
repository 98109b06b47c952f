from __future__ import annotations

import io
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from airgap_shared.console.files import (
    open_medium,
    read_key_file,
    write_new_file,
    write_new_files,
)
from airgap_shared.errors import (
    BundleTruncated,
    DiskFull,
    KeyFileInvalid,
    MediaReadError,
    NotABundle,
    OutputNotWritable,
    UsageError,
)
from airgap_shared.stores.medium import FileMedium, StreamMedium
from airgap_shared.trust.keys import KEY_FILE_LIMIT
from support.keys import fixed_key
from support.mounting import mounted

KEY = fixed_key(1)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileInvalid, match="cannot read the key"):
        read_key_file(tmp_path / name)


def test_a_file_too_large_for_a_key_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(KeyFileInvalid, match="too large"):
        read_key_file(path)
    path.write_bytes(b"x" * KEY_FILE_LIMIT)
    assert len(read_key_file(path)) == KEY_FILE_LIMIT


def test_a_new_file_has_its_permissions_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "vendor.key"
    write_new_file(path, b"secret", 0o600)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_what_is_there_is_not_written_over(tmp_path: Path, there: str) -> None:
    path = tmp_path / "vendor.key"
    if there == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif there == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        write_new_file(path, b"secret", 0o600)
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(UsageError, match="cannot write"):
        write_new_file(tmp_path / "missing" / "key", b"secret", 0o600)


def test_of_several_files_all_are_written_or_none(tmp_path: Path) -> None:
    files = [(tmp_path / name, name.encode(), 0o600) for name in ("a", "b", "c")]
    (tmp_path / "b").write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        write_new_files(files)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]
    (tmp_path / "b").unlink()
    write_new_files(files)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"a", b"b", b"c"]


def test_a_full_disk_is_told_and_nothing_stays(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4k") as disk:
        with pytest.raises(DiskFull):
            write_new_file(disk / "vendor.key", bytes(8192), 0o600)
        assert not list(disk.iterdir())


def test_a_disk_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro") as disk, pytest.raises(OutputNotWritable):
        write_new_file(disk / "vendor.key", b"secret", 0o600)


def test_a_name_that_no_file_system_takes_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write_new_file(tmp_path / ("a" * 300), b"secret", 0o600)
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_at_random(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b"not a bundle")
    with open_medium(str(path)) as medium:
        assert isinstance(medium, FileMedium)
        with pytest.raises(NotABundle):
            medium.read_envelope()


def test_a_pipe_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"",))
    writer.start()
    with open_medium(str(path)) as medium:
        assert isinstance(medium, StreamMedium)
        with pytest.raises(BundleTruncated):
            medium.read_envelope()
    writer.join()


@pytest.mark.parametrize("name", ["missing", "n" * 300, "file/inside"])
def test_a_bundle_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MediaReadError), open_medium(str(tmp_path / name)):
        raise AssertionError


class Input(io.TextIOWrapper):
    """Standard input, which may be a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(b"\x28\xb5"))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Input(terminal=False))
    with open_medium("-") as medium:
        assert isinstance(medium, StreamMedium)
        with pytest.raises(BundleTruncated):
            medium.read_envelope()


def test_a_terminal_is_no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Input(terminal=True))
    with pytest.raises(UsageError, match="is a terminal"), open_medium("-"):
        raise AssertionError
