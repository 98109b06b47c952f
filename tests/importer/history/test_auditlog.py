from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap_importer.history.auditlog import AUDIT, append_entry, read_entries
from airgap_shared.errors import StateCorrupt


def filled(folder: Path, count: int = 5) -> Path:
    for number in range(count):
        append_entry(folder, {"ev": "imported", "version": f"1.{number}"})
    return folder / AUDIT


def test_lines_are_numbered_and_chained(tmp_path: Path) -> None:
    filled(tmp_path)
    entries = read_entries(tmp_path)
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.facts["version"] for entry in entries] == ["1.0", "1.1", "1.2", "1.3", "1.4"]
    assert [entry.facts["prev"] for entry in entries[1:]] == [e.digest for e in entries[:-1]]


def test_an_empty_log(tmp_path: Path) -> None:
    assert read_entries(tmp_path) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_bit_breaks_the_chain_or_is_in_the_last_line(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / AUDIT
    path.unlink(missing_ok=True)
    filled(tmp_path)
    head = read_entries(tmp_path)[-1].digest
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    try:
        entries = read_entries(tmp_path)
    except StateCorrupt:
        return
    assert not entries or entries[-1].digest != head


@pytest.mark.parametrize("line", range(4))
def test_a_line_that_is_missing_or_comes_twice(tmp_path: Path, line: int) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        [*lines[:line], *lines[line + 1 :]],
        [*lines[:line], lines[line], *lines[line:]],
        [*lines[:line], lines[line + 1], lines[line], *lines[line + 2 :]],
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(StateCorrupt, match="chain is broken"):
            read_entries(tmp_path)


def test_a_line_that_a_crash_cut_short_gives_way(tmp_path: Path) -> None:
    path = filled(tmp_path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"ev": "impor')
    append_entry(tmp_path, {"ev": "imported", "version": "1.2"})
    assert [entry.facts["version"] for entry in read_entries(tmp_path)] == ["1.0", "1.1", "1.2"]


def test_nothing_is_added_to_a_log_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / AUDIT
    for content in (b"hello\n", b'{"n": 7}\n', json.dumps({"n": True}).encode() + b"\n"):
        path.write_bytes(content)
        with pytest.raises(StateCorrupt):
            append_entry(tmp_path, {})
        assert path.read_bytes() == content
