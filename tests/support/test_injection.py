"""What strace is told to do happens."""

from __future__ import annotations

from pathlib import Path

from support.commands import Shell
from support.injection import trace
from support.journey import refused


def test_calls_are_recorded_by_thread(tmp_path: Path) -> None:
    traced = trace(Shell(tmp_path), ("airgap-import", "--version"), "execve,write")
    assert traced.done.code == 0
    assert [call.name for call in traced.calls if call.name == "execve"] == ["execve"]
    assert any("airgap-import" in call.rest for call in traced.calls if call.name == "write")
    assert sum(traced.by_thread) == len(traced.calls)
    assert list(tmp_path.iterdir()) == []


def test_a_call_fails(tmp_path: Path) -> None:
    key = tmp_path / "bundle"
    key.write_bytes(b"no key")
    command = ("airgap-import", "verify", "bundle", "--key", key)
    traced = trace(Shell(tmp_path), command, "openat", "openat:error=EIO", path=key)
    refused(traced.done, 2, "KeyFileInvalid")
    assert "Input/output error" in traced.done.err


def test_a_kill_strikes(tmp_path: Path) -> None:
    key = tmp_path / "bundle"
    key.write_bytes(b"no key")
    command = ("airgap-import", "verify", "bundle", "--key", key)
    traced = trace(Shell(tmp_path), command, "openat", "openat:signal=SIGKILL", path=key)
    assert traced.killed
