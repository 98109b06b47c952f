from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import LimitExceeded
from airgap_shared.oci.fields import parse_json
from airgap_shared.oci.valuecount import check_value_count

MIB = 1 << 20
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('a,:[{"\\')),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text('a,:[{"\\', max_size=4), inner, max_size=4),
    ),
    max_leaves=20,
)


def values_of(document: object) -> Iterator[object]:
    """Every value and every key."""
    yield document
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from values_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from values_of(value)


@given(DOCUMENTS)
def test_there_are_never_more_values_than_are_counted(document: object) -> None:
    raw = json.dumps(document).encode()
    count = sum(1 for _ in values_of(document))
    if count > 1:
        with pytest.raises(LimitExceeded):
            check_value_count(raw, count - 2, "x")


@given(DOCUMENTS)
def test_only_the_structure_is_counted(document: object) -> None:
    containers = sum(isinstance(value, dict | list) for value in values_of(document))
    count = sum(1 for _ in values_of(document)) + containers
    check_value_count(json.dumps(document).encode(), count, "x")


@pytest.mark.parametrize("text", [",:[{" * 1000, '"' * 1000, '\\"' * 1000, "\\" * 1001])
def test_text_is_no_structure(text: str) -> None:
    raw = json.dumps({"a": [text, 1]}).encode()
    check_value_count(raw, 4, "x")
    with pytest.raises(LimitExceeded, match="over 3 values"):
        check_value_count(raw, 3, "x")


@pytest.mark.parametrize(
    "unit", [b"{},", b"[],", b'"ab",', b"0,", b'{"a":0},', b'""', b'"".', b'"a\\"b",', b"[", b"{"]
)
def test_a_large_document_is_refused_before_it_takes_memory(unit: bytes) -> None:
    raw = b"[" + unit * (4 * MIB // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded) as caught:
            parse_json(raw, "doc", values=1000)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    assert caught.value.where == "doc"


def test_without_a_limit_all_is_read() -> None:
    assert parse_json(b"[" + b"0," * 5000 + b"0]", "doc") == [0] * 5001
