from __future__ import annotations

from pathlib import Path

from support.commands import Shell


def test_a_command_is_run_and_judged(tmp_path: Path) -> None:
    done = Shell(tmp_path).run("airgap-import", "--help", measure=True)
    assert (done.code, done.err) == (0, "")
    assert "airgap-import" in done.out
    assert done.peak is not None
    assert 5 << 20 < done.peak < 200 << 20
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_command_line_is_told_by_the_exit_code(tmp_path: Path) -> None:
    done = Shell(tmp_path).run("airgap-bundle", "no-such-verb")
    assert done.code == 2
    assert done.peak is None


def test_nothing_of_this_machine_is_seen(tmp_path: Path) -> None:
    seen = Shell(tmp_path, {"SOURCE_DATE_EPOCH": "1"}).environment
    assert seen["HOME"] == str(tmp_path)
    assert set(seen) == {"PATH", "PYTHONPATH", "HOME", "LC_ALL", "SOURCE_DATE_EPOCH"}
