from __future__ import annotations

import pytest

from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.uses import ScalarStyle

_TEXT = """# é 🚢 comment
a: "x"
b: plain é # c
c: |
  foo
  bar
d: >-
  folded
e: 'q''q'
f: &anchor !!str "tagged"
g: *anchor
h: [one, {i: two}]
<<: {j: merged}
---
a: second
"""


@pytest.mark.parametrize(
    ("document", "path", "token", "style"),
    [
        (0, ("a",), '"x"', ScalarStyle.DOUBLE_QUOTED),
        (0, ("b",), "plain é", ScalarStyle.PLAIN),
        (0, ("c",), "|\n  foo\n  bar\n", ScalarStyle.LITERAL),
        (0, ("d",), ">-\n  folded\n", ScalarStyle.FOLDED),
        (0, ("e",), "'q''q'", ScalarStyle.SINGLE_QUOTED),
        (0, ("f",), '"tagged"', ScalarStyle.DOUBLE_QUOTED),
        (0, ("g",), '"tagged"', ScalarStyle.DOUBLE_QUOTED),
        (0, ("h", 0), "one", ScalarStyle.PLAIN),
        (0, ("h", 1, "i"), "two", ScalarStyle.PLAIN),
        (0, ("j",), "merged", ScalarStyle.PLAIN),
        (1, ("a",), "second", ScalarStyle.PLAIN),
    ],
)
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_token_is_exactly_the_characters_of_its_scalar(
    document: int, path: tuple[str | int, ...], token: str, style: ScalarStyle, start: str
) -> None:
    text = start + _TEXT
    found = TokenTree(text).token(document, path)
    assert found is not None
    assert text[found.span.start : found.span.end] == token
    assert found.style is style


@pytest.mark.parametrize(
    ("document", "path"), [(0, ("h",)), (0, ("none",)), (0, ("h", 7)), (0, ("a", "b")), (5, ())]
)
def test_what_is_no_scalar_has_no_token(document: int, path: tuple[str | int, ...]) -> None:
    assert TokenTree(_TEXT).token(document, path) is None


def test_json_has_tokens_too() -> None:
    text = '{\n\t"a": {"b": ["x\\u0041"]}}'
    found = TokenTree(text).token(0, ("a", "b", 0))
    assert found is not None
    assert text[found.span.start : found.span.end] == '"x\\u0041"'
    assert found.value == "xA"


def test_json_that_is_no_yaml_has_none() -> None:
    assert TokenTree('{"a": "\\ud83d\\ude00"}').token(0, ("a",)) is None
