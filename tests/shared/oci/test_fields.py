from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import (
    AirgapError,
    DigestUnsupported,
    DocumentInvalid,
    DuplicateJSONKey,
    StatementInvalid,
)
from airgap_shared.oci.fields import MAX_DEPTH, Fields, parse_json

DIGEST = f"sha256:{'0' * 64}"
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"]))
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text('ab"\\[]{}', max_size=4), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(DOCUMENTS, st.booleans())
def test_json_is_read_as_it_was_written(document: object, ascii_only: bool) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert parse_json(raw, "x") == document


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b'{"a": 1} {}',
        b'{"a": 1}\x00',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        '{"a": 1}'.encode("utf-16"),
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"[0x10]",
        b"[01]",
        b"// {}",
        b'"\\ud800"',
        b'{"a": ["\\udc00\\ud800"]}',
        b'{"\\ud800": 1}',
        b"[" + b"9" * 5000 + b"]",
        b'"tab\there"',
        b'"' + b'\\"' * 200_000,
        b'"' + b'\\"' * 200_000 + b"\\",
        b'"' * 200_001,
    ],
)
def test_what_is_not_strict_json_is_refused_with_the_error_asked_for(raw: bytes) -> None:
    with pytest.raises(StatementInvalid) as caught:
        parse_json(raw, "statement", StatementInvalid)
    assert caught.value.where == "statement"
    assert len(caught.value.what) < 300


def test_a_whole_surrogate_pair_is_text() -> None:
    assert parse_json(b'"\\ud83d\\ude00"', "x") == "😀"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "c": 2, "a": 3}}]',
        b'{"a": 1, "\\u0061": 2}',
    ],
)
def test_a_key_that_stands_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(DuplicateJSONKey, match="'a' stands twice"):
        parse_json(raw, "x", StatementInvalid)


@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded(left: bytes, right: bytes) -> None:
    parse_json(left * MAX_DEPTH + b"1" + right * MAX_DEPTH, "x")
    with pytest.raises(DocumentInvalid, match="nested deeper than 64"):
        parse_json(left * (MAX_DEPTH + 1) + b"1" + right * (MAX_DEPTH + 1), "x")
    with pytest.raises(DocumentInvalid, match="nested deeper than 64"):
        parse_json(left * 500_000, "x")


def test_brackets_in_text_do_not_nest() -> None:
    text = '[{"' * 100 + "\\"
    assert parse_json(json.dumps([text]).encode(), "x") == [text]


def test_the_text_after_a_string_still_nests() -> None:
    with pytest.raises(DocumentInvalid, match="nested deeper"):
        parse_json(b'["\\\\",' * (MAX_DEPTH + 1), "x")


def fields(document: object) -> Fields:
    return Fields(document, "doc", StatementInvalid)


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_counts_are_whole_numbers_within_63_bits(value: int) -> None:
    assert fields({"n": value}).count("n") == value


@pytest.mark.parametrize("value", [-1, 2**63, 1.0, 1e3, True, False, "1", None, [], {}])
def test_other_numbers_are_refused(value: object) -> None:
    with pytest.raises(StatementInvalid) as caught:
        fields({"n": value}).count("n")
    assert caught.value.where == "doc.n"


READS: dict[str, Callable[[Fields], object]] = {
    "text": lambda found: found.text("k"),
    "count": lambda found: found.count("k"),
    "digest": lambda found: found.digest("k"),
    "record": lambda found: found.record("k"),
    "records": lambda found: found.records("k"),
    "texts": lambda found: found.texts("k"),
}
OPTIONAL: dict[str, Callable[[Fields], object]] = {
    "text": lambda found: found.optional_text("k"),
    "record": lambda found: found.optional_record("k"),
    "texts": lambda found: found.optional_texts("k"),
    "text_map": lambda found: found.text_map("k"),
}
WRONG: dict[str, list[object]] = {
    "text": [1, True, [], {}],
    "count": ["1", [], {}],
    "digest": [1, [], {}],
    "record": [1, "x", []],
    "records": [1, "x", {}, [1], [{}, "x"], [None], [[]]],
    "texts": [1, "x", {}, [1], ["x", None], [[]]],
    "text_map": [1, "x", [], {"a": 1}, {"a": None}],
}


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize("document", [{}, {"k": None}, {"K": "x"}])
def test_what_must_be_there_is_missed(kind: str, document: dict[str, object]) -> None:
    with pytest.raises(StatementInvalid) as caught:
        READS[kind](fields(document))
    assert caught.value.where == "doc.k"


@pytest.mark.parametrize("kind", OPTIONAL)
@pytest.mark.parametrize("document", [{}, {"k": None}])
def test_what_may_be_left_out_counts_as_nothing(kind: str, document: dict[str, object]) -> None:
    assert not OPTIONAL[kind](fields(document))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (read, value)
        for kind in WRONG
        for read in (READS.get(kind), OPTIONAL.get(kind))
        if read
        for value in WRONG[kind]
    ],
)
def test_a_wrong_type_is_refused_in_its_place(
    read: Callable[[Fields], object], value: object
) -> None:
    with pytest.raises(StatementInvalid) as caught:
        read(fields({"k": value}))
    assert caught.value.where.startswith("doc.k")


def test_places_grow_on_the_way_down() -> None:
    document = {"manifests": [{}, {"platform": {"os": 1}, "urls": ["a", 2], "labels": {"x": 3}}]}
    entry = Fields(document, "").records("manifests")[1]
    for read, where in (
        (lambda: entry.record("platform").text("os"), "manifests[1].platform.os"),
        (lambda: entry.texts("urls"), "manifests[1].urls[1]"),
        (lambda: entry.text_map("labels"), "manifests[1].labels.x"),
        (lambda: entry.digest("digest"), "manifests[1].digest"),
    ):
        with pytest.raises(AirgapError) as caught:
            read()
        assert caught.value.where == where


def test_a_digest_is_checked_where_it_stands() -> None:
    assert str(fields({"d": DIGEST}).digest("d")) == DIGEST
    with pytest.raises(DigestUnsupported) as caught:
        fields({"d": "md5:1"}).digest("d")
    assert caught.value.where == "doc.d"


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}]])
def test_only_an_object_has_fields(value: object) -> None:
    with pytest.raises(DocumentInvalid, match="expected an object"):
        Fields(value, "doc")
