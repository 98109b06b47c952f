"""New texts inside values: right where they shall be, every other character as it was."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import UnrewrittenImage
from airgap_shared.kube.replacing import (
    Change,
    Edit,
    changes_of,
    edit_text,
    value_at,
    with_changes,
)
from airgap_shared.kube.uses import Embedded, Encoded, FieldPath, Span, Step
from airgap_shared.kube.yamltext import read_documents

_OLD = "quay.io/org/app:1"
_NEW = "registry.test:5000/apps/app:1@sha256:" + "a" * 64


def _in(*parts: str | int, document: int = 0) -> Embedded:
    return Embedded(document, FieldPath(parts))


def _edit(*inside: Step, before: str = _OLD, after: str = _NEW) -> Edit:
    return Edit(FieldPath(("data", "x")), inside, before, after)


def _edited(text: str, *inside: Step) -> str:
    return edit_text(text, [_edit(*inside)], "here")


@pytest.mark.parametrize(
    "text",
    [
        "# top\nother:   1 # one\nimage: OLD   # which\nlast: 'x'\n",
        "image: 'OLD' # c\n",
        'image: "OLD"\n',
        '{"image":"OLD","n":[1,2 ]}',
        '{"image":"OLD","face":"\\ud83d\\ude00"}',
        "a: {image: OLD, b: c}\n".replace("a: ", ""),
        "image: >-\n  OLD\n# c\nx: y\n",
        "image: |-\n    OLD\n\n\nx: y\n",
        "image: &i OLD\nagain: *i\n",
        "image: !!str OLD\r\nx: y\r\n",
        "\ufeffimage: OLD\nx: 010\n",
    ],
)
def test_only_the_reference_changes(text: str) -> None:
    before = text.replace("OLD", _OLD)
    assert _edited(before, _in("image")) == text.replace("OLD", _NEW)


def test_escapes_count_as_what_they_mean() -> None:
    text = '{"a": "\\u0071uay.io\\/org/app:1", "b": "\\t"}'
    assert _edited(text, _in("a")) == f'{{"a": "{_NEW}", "b": "\\t"}}'


def test_a_part_of_a_pair_of_surrogate_escapes_stays() -> None:
    text = f'{{"a": "\\ud83d\\ude00 {_OLD} \\ud83d\\ude00"}}'
    assert _edited(text, _in("a"), Span(2, 2 + len(_OLD))) == text.replace(_OLD, _NEW)


@pytest.mark.parametrize(
    "text",
    [
        "x: |2-\n    run --image=OLD\n     then\n",
        "x: >\n  run\n  --image=OLD\n  then\n\n  stop\n",
        "x: run\n  --image=OLD\n  then\n",
        'x: "run\\n\\\n  --image=OLD\\\n  \\ then"\n',
        "x: 'it''s\n  --image=OLD'\n",
    ],
)
def test_a_part_of_a_text_is_replaced_in_every_style(text: str) -> None:
    before = text.replace("OLD", _OLD)
    value = read_documents(before, "")[0].value
    assert isinstance(value, dict)
    start = str(value["x"]).index(_OLD)
    after = _edited(before, _in("x"), Span(start, start + len(_OLD)))
    assert after == text.replace("OLD", _NEW)
    assert read_documents(after, "")[0].value == {"x": str(value["x"]).replace(_OLD, _NEW)}


def test_several_uses_in_one_value_change_together() -> None:
    text = f"a: {_OLD}\nb: [x, '{_OLD}']\n---\nc: --i={_OLD},{_OLD}\n"
    end = 4 + len(_OLD)
    edits = [
        _edit(_in("a")),
        _edit(_in("b", 1), after="z/1:1"),
        _edit(_in("c", document=1), Span(4, end)),
        _edit(_in("c", document=1), Span(end + 1, end + 1 + len(_OLD)), after="z/2:2"),
    ]
    (change,) = changes_of({"data": {"x": text}}, edits, "app.yaml#ConfigMap/x")
    assert change == Change(
        FieldPath(("data", "x")),
        text,
        f"a: {_NEW}\nb: [x, 'z/1:1']\n---\nc: --i={_NEW},z/2:2\n",
    )


def test_what_one_anchor_holds_changes_once_and_only_one_way() -> None:
    text = f"a: &i {_OLD}\nb: *i\n"
    assert edit_text(text, [_edit(_in("a")), _edit(_in("b"))], "") == text.replace(_OLD, _NEW)
    with pytest.raises(UnrewrittenImage, match="two new texts"):
        edit_text(text, [_edit(_in("a")), _edit(_in("b"), after="z")], "")


@pytest.mark.parametrize("after", ["1.10", "on", "", "[::1]:5000/x", "a b", "a: b", "é"])
def test_a_text_that_would_be_read_otherwise_gets_quotes(after: str) -> None:
    text = "tag: old # c\nx: [old]\n"
    edits = [_edit(_in("tag"), before="old", after=after)]
    edits.append(_edit(_in("x", 0), before="old", after=after))
    assert read_documents(edit_text(text, edits, ""), "")[0].value == {"tag": after, "x": [after]}


@pytest.mark.parametrize("text", ["tag: 9.1\n", '{"tag": 9.1}', "tag:\n  9.1\n"])
def test_a_number_is_known_by_how_it_is_written(text: str) -> None:
    after = edit_text(text, [_edit(_in("tag"), before="9.1", after="9.2")], "")
    assert read_documents(after, "")[0].value == {"tag": "9.2"}


def test_base64_keeps_its_lines() -> None:
    text = f"image: {_OLD}\n" + "".join(f"k{n}: y\n" for n in range(30))
    plain = base64.b64encode(text.encode()).decode()
    broken = "\n".join(plain[at : at + 76] for at in range(0, len(plain), 76)) + "\n"
    after = _edited(broken, Encoded(), _in("image"))
    lines = after.split("\n")
    assert {len(line) for line in lines[:-2]} == {76}
    assert after.endswith("\n")
    assert base64.b64decode(after).decode() == text.replace(_OLD, _NEW)
    assert _edited(plain, Encoded(), _in("image")) == "".join(lines)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("image: other\n", (_in("image"),)),
        ("image: other\n", (_in("nothing"),)),
        ("image: other\n", (_in("image", document=7),)),
        ("not base64!", (Encoded(),)),
        ("other", ()),
        ("other", (Span(0, 3),)),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(text: str, inside: tuple[Step, ...]) -> None:
    with pytest.raises(UnrewrittenImage) as refused:
        changes_of({"data": {"x": text}}, [_edit(*inside)], "app.yaml#ConfigMap/x")
    assert refused.value.where.startswith("app.yaml#ConfigMap/x#data.x")


def test_values_that_stay_are_no_changes() -> None:
    assert changes_of({"data": {"x": "a"}}, [_edit(before="a", after="a")], "") == ()


def test_changes_are_made_in_a_copy() -> None:
    value = {"a": [{"b": 1.1}, "c"], "d": {}}
    changed = with_changes(value, [Change(FieldPath(("a", 0, "b")), 1.1, "new")])
    assert changed == {"a": [{"b": "new"}, "c"], "d": {}}
    assert value["a"] == [{"b": 1.1}, "c"]
    assert value_at(changed, FieldPath(("a", 0, "b"))) == "new"
    assert value_at(changed, FieldPath(("a", 9))) is None


_REFERENCES = st.sampled_from(["a/b:1", "quay.io/org/app:1.10", "x@sha256:" + "b" * 64, "redis"])
_FILLING = st.text(st.sampled_from("ab \n\t'\"\\:#-é😀,|>&*!%@`{}[]"), max_size=12)
_KEYS = st.sampled_from(["image", "a.b", "x y", "on", "1", "'"])


@dataclass(frozen=True, slots=True)
class _Nested:
    """A text, the way to a reference in it, and the text as it would be with another one."""

    text: str
    inside: tuple[Step, ...]
    reference: str


@st.composite
def _leaves(draw: st.DrawFn) -> _Nested:
    reference = draw(_REFERENCES)
    if draw(st.booleans()):
        return _Nested(reference, (), reference)
    before, after = draw(_FILLING), draw(_FILLING)
    span = Span(len(before), len(before) + len(reference))
    return _Nested(before + reference + after, (span,), reference)


@st.composite
def _wrapped(draw: st.DrawFn, inner: st.SearchStrategy[_Nested]) -> _Nested:
    nested = draw(inner)
    if draw(st.integers(0, 3)) == 0:
        encoded = base64.b64encode(nested.text.encode()).decode()
        return _Nested(encoded, (Encoded(), *nested.inside), nested.reference)
    key, filling = draw(_KEYS), draw(_FILLING)
    in_list = draw(st.booleans())
    holder: object = [filling, nested.text] if in_list else nested.text
    document = {"first": filling, key: holder, "last": [filling, 1]}
    path = FieldPath((key, 1) if in_list else (key,))
    text = draw(_written(document))
    return _Nested(text, (Embedded(0, path), *nested.inside), nested.reference)


def _written(document: object) -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from([None, 2]).map(lambda indent: json.dumps(document, indent=indent)),
        st.builds(
            lambda style, width, flow, unicode: str(
                yaml.safe_dump(
                    document,
                    default_style=style,
                    width=width,
                    default_flow_style=flow,
                    allow_unicode=unicode,
                )
            ),
            st.sampled_from([None, "'", '"', "|", ">"]),
            st.sampled_from([10, 80]),
            st.booleans(),
            st.booleans(),
        ),
    )


def _follow(text: object, inside: tuple[Step, ...]) -> object:
    for step in inside:
        assert isinstance(text, str)
        match step:
            case Span(start, _):
                text = text[start:]
            case Encoded():
                text = base64.b64decode(text).decode()
            case Embedded(document, path):
                text = value_at(read_documents(text, "")[document].value, path)
    return text


@given(st.recursive(_leaves(), _wrapped, max_leaves=1).flatmap(lambda n: _wrapped(st.just(n))))
@settings(deadline=None, max_examples=300)
def test_wherever_it_stands_it_is_replaced_and_back(nested: _Nested) -> None:
    there = [Edit(FieldPath(()), nested.inside, nested.reference, _NEW)]
    after = edit_text(nested.text, there, "")
    found = _follow(after, nested.inside)
    assert isinstance(found, str)
    assert found.startswith(_NEW)
    inside = nested.inside
    if isinstance(inside[-1], Span):
        inside = (*inside[:-1], Span(inside[-1].start, inside[-1].start + len(_NEW)))
    back = [Edit(FieldPath(()), inside, _NEW, nested.reference)]
    assert edit_text(after, back, "") == nested.text
