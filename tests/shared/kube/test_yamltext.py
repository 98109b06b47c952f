from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import (
    AirgapError,
    LimitExceeded,
    ManifestSourceInvalid,
    TextEncodingInvalid,
    YamlAliasLimit,
    YamlDuplicateKey,
    YamlTagUnsupported,
    YamlTooDeep,
)
from airgap_shared.kube.yamlscalars import YamlFloat
from airgap_shared.kube.yamltext import (
    ALIAS_LIMIT,
    DEPTH_LIMIT,
    DOCUMENT_LIMIT,
    MERGE_LIMIT,
    NODE_LIMIT,
    SIZE_LIMIT,
    read_documents,
    read_text,
)


def only(text: str) -> object:
    (document,) = read_documents(text, "file.yaml")
    return document.value


def alias_bomb(levels: int) -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


def merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 9)}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
        ("- =\n", ["="]),
        ("{a: [1, {b: c}], d: }", {"a": [1, {"b": "c"}], "d": None}),
        ('{"a": "\\ud83d\\ude00", "b": [1.10, null, true]}', {"a": "😀", "b": [1.1, None, True]}),
        ("a: !!str 010", {"a": "010"}),
        ("a: !!int '7'", {"a": 7}),
        ("a: !!float 5", {"a": 5}),
        ("a: !!bool on", {"a": True}),
        ("a: !!null ''", {"a": None}),
        ("a: ! 5", {"a": "5"}),
        ("a: !!timestamp 2024-01-01", {"a": "2024-01-01"}),
        ("a: 'on'\nb: \"1\"", {"a": "on", "b": "1"}),
        ("on: 1\n010: 2", {"true": 1, "8": 2}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x k\n*x : v", {"a": "k", "k": "v"}),
        ("p: &x {a: 1, b: 1}\nq: {<<: *x, b: 2}", {"p": {"a": 1, "b": 1}, "q": {"a": 1, "b": 2}}),
        ("q: {b: 3, <<: {b: 4}}", {"q": {"b": 3}}),
        ("q: {<<: [{a: 1}, {a: 2, b: 2}]}", {"q": {"a": 1, "b": 2}}),
        ("'<<': x", {"<<": "x"}),
        ("# only a comment\n---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_text_is_read_as_kubernetes_reads_it(text: str, value: object) -> None:
    assert only(text) == value


def test_the_text_of_a_number_survives() -> None:
    value = only("tag: 1.10")
    assert isinstance(value, dict)
    tag = value["tag"]
    assert isinstance(tag, YamlFloat)
    assert tag.text == "1.10"


def test_documents_know_their_position_and_line() -> None:
    documents = read_documents("a: 1\n---\n---\n# nothing\n---\n\nb: 2\n", "file.yaml")
    assert [(document.index, document.value) for document in documents] == [
        (0, {"a": 1}),
        (1, None),
        (2, None),
        (3, {"b": 2}),
    ]
    assert [document.line for document in documents] == [1, 2, 3, 5]


def test_json_documents_may_follow_each_other() -> None:
    documents = read_documents('{"a": 1}\n\n{"b": 010}'.replace("010", "10"), "file.json")
    assert [(d.index, d.line, d.value) for d in documents] == [(0, 1, {"a": 1}), (1, 3, {"b": 10})]


@pytest.mark.parametrize("text", ["", "\n", "# nothing here\n"])
def test_a_text_without_documents_has_none(text: str) -> None:
    assert read_documents(text, "file.yaml") == ()


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("a: 1\nb: 2\na: 3", YamlDuplicateKey, "file.yaml:3:1"),
        ("{'a': 1, \"a\": 2}", YamlDuplicateKey, "file.yaml:1:10"),
        ('{"a": 1, "a": 2}', YamlDuplicateKey, "file.yaml:1:10"),
        ("1: a\n'1': b", YamlDuplicateKey, "file.yaml:2:1"),
        ("x: {<<: {a: 1}, <<: {a: 2}}", None, ""),
        ("a: !!python/object/apply:os.system [id]", YamlTagUnsupported, "file.yaml:1:4"),
        ("a: !!python/name:os.system ''", YamlTagUnsupported, "file.yaml:1:4"),
        ("a: !thing b", YamlTagUnsupported, "file.yaml:1:4"),
        ("a: !!set {b}", YamlTagUnsupported, "file.yaml:1:4"),
        ("a: !!int x", YamlTagUnsupported, "file.yaml:1:4"),
        ("a: *nothing", ManifestSourceInvalid, "file.yaml:1:4"),
        ("a: &a [*a]", ManifestSourceInvalid, "file.yaml:1:8"),
        ("a: &x 1\n---\nb: *x", ManifestSourceInvalid, "file.yaml:3:4"),
        ("a: .inf", ManifestSourceInvalid, "file.yaml:1:4"),
        ("? [a]\n: b", ManifestSourceInvalid, "file.yaml:1:5"),
        ("~: b", ManifestSourceInvalid, "file.yaml:1:1"),
        ("a: {<<: 1}", ManifestSourceInvalid, "file.yaml:1:10"),
        ("a: b: c", ManifestSourceInvalid, "file.yaml:1:5"),
        ("a:\n\t- b", ManifestSourceInvalid, "file.yaml:2:1"),
        ("a: 'b", ManifestSourceInvalid, "file.yaml:1:6"),
        ("a: \x00", TextEncodingInvalid, "file.yaml"),
        ('{"a": "\\ud800"}', ManifestSourceInvalid, "file.yaml:1:10"),
        ('{"a": 1', ManifestSourceInvalid, "file.yaml:2:1"),
        ("{{ .Values.x }}", ManifestSourceInvalid, "file.yaml:1:14"),
    ],
)
def test_what_is_amiss_is_said_with_its_place(
    text: str, kind: type[AirgapError] | None, where: str
) -> None:
    if kind is None:
        assert only(text) == {"x": {"a": 1}}
        return
    with pytest.raises(kind) as caught:
        read_documents(text, "file.yaml")
    assert caught.value.where == where


def test_a_byte_order_mark_is_dropped_and_other_encodings_are_refused() -> None:
    assert read_text(b"\xef\xbb\xbfa: 1", "f") == "a: 1"
    for content in ("a: 1".encode("utf-16"), "a: 1".encode("utf-32"), b"a: 1\nb: \xe9"):
        with pytest.raises(TextEncodingInvalid, match="UTF-8"):
            read_text(content, "f")
    with pytest.raises(TextEncodingInvalid) as caught:
        read_text(b"a: 1\nb: \xe9", "f")
    assert caught.value.where == "f:2"


@pytest.mark.parametrize("document", ["---\na: 1\n", '{"a": 1}\n'])
def test_documents_are_counted(document: str) -> None:
    assert len(read_documents(document * DOCUMENT_LIMIT, "f")) == DOCUMENT_LIMIT
    with pytest.raises(LimitExceeded, match="documents"):
        read_documents(document * (DOCUMENT_LIMIT + 1), "f")


def test_size_is_limited() -> None:
    with pytest.raises(LimitExceeded):
        read_text(b"#" * (SIZE_LIMIT + 1), "f")
    assert read_text(b"#" * SIZE_LIMIT, "f")


@pytest.mark.parametrize("opening", ["[", "{a: ", "[? ", "- ", "? ", '{"a":', "[[{x: "])
@pytest.mark.parametrize("times", [DEPTH_LIMIT + 1, 30_000, 1_000_000])
def test_deep_nesting_is_refused_at_the_limit(opening: str, times: int) -> None:
    with pytest.raises(YamlTooDeep):
        read_documents(opening * times, "file.yaml")


@pytest.mark.parametrize("depth", [DEPTH_LIMIT, DEPTH_LIMIT + 1])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_the_depth_limit_is_exact(depth: int, pair: str) -> None:
    text = "[" * depth + "]" * depth if pair == "[]" else '{"a":' * depth + "1" + "}" * depth
    if depth > DEPTH_LIMIT:
        with pytest.raises(YamlTooDeep):
            only(text)
    else:
        assert only(text)


def test_depth_is_counted_through_aliases() -> None:
    chain = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    with pytest.raises(YamlTooDeep):
        only("\n".join(chain))


@pytest.mark.parametrize("bomb", [alias_bomb(12), merge_bomb(12)])
def test_bombs_are_refused_before_they_grow(bomb: str) -> None:
    assert len(bomb) < 700
    with pytest.raises(YamlAliasLimit):
        only(bomb)


def test_aliases_are_counted() -> None:
    text = "a: &a 1\nb: [" + ",".join(["*a"] * ALIAS_LIMIT) + "]"
    assert only(text)
    with pytest.raises(YamlAliasLimit):
        only(text.replace("]", ",*a]"))


def test_merge_keys_are_counted() -> None:
    assert only("- {<<: {a: 1}}\n" * MERGE_LIMIT)
    with pytest.raises(YamlAliasLimit):
        only("- {<<: {a: 1}}\n" * (MERGE_LIMIT + 1))


@pytest.mark.parametrize("text", ["- 1\n" * NODE_LIMIT, "[" + "1," * NODE_LIMIT + "]"])
def test_nodes_are_counted(text: str) -> None:
    with pytest.raises(LimitExceeded):
        only(text)


def test_nodes_of_json_are_counted() -> None:
    with pytest.raises(LimitExceeded):
        only('{"a": [' + "1," * NODE_LIMIT + "1]}")


KEYS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from([None, 2]))
def test_json_is_read_as_json(value: dict[str, object], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert only(text) == value
    # The same text by the YAML reader: a comment keeps the JSON reader away.
    if "\\ud" not in text:
        assert only(f"# a comment\n{text}") == value


@settings(deadline=None)
@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@`#~ \nab<1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_documents(text, "file.yaml")
    except AirgapError as problem:
        assert problem.where.startswith("file.yaml")
        assert problem.exit_code in (2, 14)
