from __future__ import annotations

from pathlib import Path

import pytest

from support.registry_binary import ToolMissing, registry_binary


def test_an_unpacked_program_is_used_first(tmp_path: Path) -> None:
    unpacked = tmp_path / "docker-registry" / "usr" / "bin" / "docker-registry"
    unpacked.parent.mkdir(parents=True)
    unpacked.touch()
    assert registry_binary(tmp_path) == unpacked


def test_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "docker-registry"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert registry_binary(tmp_path / "cache") == program


def test_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="apt-get install docker-registry"):
        registry_binary(tmp_path / "cache")
