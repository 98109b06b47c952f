from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_importer.history.folder import (
    all_states,
    latest_seen,
    load_state,
    locked_place,
    write_receipt,
    write_state,
)
from airgap_importer.history.state import ImportState, parse_state
from airgap_shared.bundle.admission import Step
from airgap_shared.errors import Locked, StateCorrupt, StateNotWritable
from support.receipts import NOW, RECEIPT

TARGET = "registry.corp/shop"
STATE = ImportState(TARGET, "shop", {"stable": RECEIPT}, NOW)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(st.integers(0, 2**63 - 1), MOMENTS, st.sampled_from(Step), st.lists(st.text(), max_size=3))
def test_what_is_written_is_read(
    sequence: int, moment: datetime, step: Step, agreed: list[str]
) -> None:
    receipt = replace(RECEIPT, sequence=sequence, accepted=moment, step=step)
    receipt = replace(receipt, agreed=tuple(text for text in agreed if text.isprintable()))
    state = ImportState(TARGET, "shop", {"stable": receipt}, moment)
    assert parse_state(state.to_json(), "here") == state


def test_a_channel_has_its_own_newest_release() -> None:
    beta = replace(RECEIPT, channel="beta", sequence=99)
    state = STATE.with_receipt(beta, NOW - timedelta(days=9))
    assert state.channels == {"stable": RECEIPT, "beta": beta}
    assert state.latest_seen == NOW


def test_a_clock_that_was_not_believed_leaves_no_trace() -> None:
    assert STATE.with_receipt(RECEIPT, None).latest_seen == NOW
    assert ImportState(TARGET, "shop").with_receipt(RECEIPT, None).latest_seen is None


DAMAGES = {
    "nothing": b"",
    "cut": STATE.to_json()[:-20],
    "noise": b"\x00\xff" * 40,
    "no object": b"[]",
    "twice": b'{"format": 1, "format": 1}',
    "a later format": STATE.to_json().replace(b'"format": 1', b'"format": 2'),
    "another application": STATE.to_json().replace(b'"app": "shop"', b'"app": "mail"', 1),
    "no time": STATE.to_json().replace(b'"latestSeen": "', b'"latestSeen": "x'),
    "a number as text": STATE.to_json().replace(b'"sequence": 15', b'"sequence": "15"'),
    "an unknown step": STATE.to_json().replace(b'"step": "newer"', b'"step": "sideways"'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_never_taken_for_none(tmp_path: Path, damage: str) -> None:
    with locked_place(tmp_path, TARGET, "shop") as place:
        (place / "state.json").write_bytes(DAMAGES[damage])
        with pytest.raises(StateCorrupt) as caught:
            load_state(tmp_path, TARGET, "shop")
    assert "state.json" in caught.value.where
    assert caught.value.next_step
    assert latest_seen(tmp_path) is None


@given(st.data())
def test_no_byte_can_be_changed_into_something_else_than_json(data: st.DataObject) -> None:
    raw = bytearray(STATE.to_json())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        parse_state(bytes(raw), "here")
    except StateCorrupt as problem:
        assert problem.exit_code == 32


def test_places_are_told_apart(tmp_path: Path) -> None:
    for target, app in ((TARGET, "shop"), (TARGET, "mail"), (f"{TARGET}/x", "shop")):
        with locked_place(tmp_path, target, app) as place:
            assert load_state(tmp_path, target, app) == ImportState(target, app)
            receipt = replace(RECEIPT, app=app)
            write_state(place, ImportState(target, app, {"stable": receipt}, NOW))
    assert {(state.target, state.app) for state in all_states(tmp_path)} == {
        (TARGET, "shop"),
        (TARGET, "mail"),
        (f"{TARGET}/x", "shop"),
    }
    assert latest_seen(tmp_path) == NOW


def test_one_import_at_a_time(tmp_path: Path) -> None:
    with locked_place(tmp_path, TARGET, "shop"):
        with pytest.raises(Locked, match=r"process [0-9]+"), locked_place(tmp_path, TARGET, "shop"):
            pass
        with locked_place(tmp_path, TARGET, "mail"), locked_place(tmp_path, "other", "shop"):
            pass
    with locked_place(tmp_path, TARGET, "shop"):
        pass


def test_receipts_are_kept(tmp_path: Path) -> None:
    with locked_place(tmp_path, TARGET, "shop") as place:
        document = json.dumps(RECEIPT.to_document()).encode()
        write_receipt(place, RECEIPT, document)
        write_receipt(place, RECEIPT, document)
        (path,) = (place / "receipts").iterdir()
        assert path.name == f"15-{RECEIPT.statement.hex[:12]}.json"
        assert path.read_bytes() == document


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with (
        pytest.raises(StateNotWritable, match="cannot be written") as caught,
        locked_place(tmp_path / "state", TARGET, "shop"),
    ):
        pass
    assert "--state-dir" in caught.value.next_step
