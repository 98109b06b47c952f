from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from airgap_importer.history.journal import Begun, Journal, Unfinished, unfinished

_BEGUN = Begun("shop", "r.example/apps", "1.5.2")


def _stopped(version: str, phase: str) -> Unfinished:
    return Unfinished("shop", "r.example/apps", version, phase)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path)
    journal.begin(_BEGUN, "sha256:1")
    return journal


def test_an_import_that_ended(tmp_path: Path, journal: Journal) -> None:
    journal.note("phase", phase="pushed")
    assert unfinished(tmp_path) == _stopped("1.5.2", "pushed")
    journal.note("end")
    assert unfinished(tmp_path) is None


def test_every_import_begins_anew(tmp_path: Path, journal: Journal) -> None:
    journal.note("end")
    journal.begin(replace(_BEGUN, version="1.6.0"), "sha256:2")
    assert unfinished(tmp_path) == _stopped("1.6.0", "start")


def test_none(tmp_path: Path) -> None:
    assert unfinished(tmp_path) is None


def test_a_torn_line_is_dropped(tmp_path: Path, journal: Journal) -> None:
    journal.note("phase", phase="pushed")
    journal.note("end")
    path = tmp_path / "journal.jsonl"
    raw = path.read_bytes()
    end = raw.rindex(b'{"ev": "end"')
    for cut in range(end, len(raw)):
        path.write_bytes(raw[:cut])
        assert unfinished(tmp_path) == _stopped("1.5.2", "pushed")


def test_damage_before_the_end_hides_what_follows(tmp_path: Path, journal: Journal) -> None:
    journal.note("phase", phase="pushed")
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"pushed", b"pushes"))
    journal.note("phase", phase="tagged")
    assert unfinished(tmp_path) == _stopped("1.5.2", "start")
    path.write_bytes(b"\xff" * 100)
    assert unfinished(tmp_path) is None
