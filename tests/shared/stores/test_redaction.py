from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.stores.redaction import TEXT_LIMIT, Redactor, hide, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Basic cm9ib3Q6eA==", "Authorization: Basic [hidden]"),
        ("you sent bearer abc.def-ghi", "you sent bearer [hidden]"),
        ("see https://user:pw@host/path", "see https://host/path"),
        ("at https://host/x?X-Amz-Signature=1&y=2 now", "at https://host/x now"),
        ("line\r\n\x1b[31mred", "line\\r\\n\\x1b[31mred"),
        ("really?", "really?"),
        ("Basic cm9ib3Q6c2Vj\\/cmV0cw==", "Basic [hidden]"),
        ("Authorization=Basic%20cm9ib3Q6c2VjcmV0cw%3D%3D&x", "Authorization=Basic [hidden]&x"),
        ("Set-Cookie: session=1; Path=/", "Set-Cookie: [hidden]"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert readable(text) == shown


@given(st.text(max_size=2000))
def test_any_text_becomes_one_short_printable_line(text: str) -> None:
    shown = readable(text)
    assert shown.isprintable()
    assert len(shown) <= 10 * (TEXT_LIMIT + 1)


@given(st.text(min_size=4, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_is_hidden_wherever_it_stands(secret: str, left: str, right: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    shown = redactor.clean(left + secret + right)
    assert secret not in shown.replace("[hidden]", "")


def test_of_two_secrets_the_longer_goes_first() -> None:
    redactor = Redactor()
    redactor.learn("secret", "secret-and-more", "abc", "")
    assert redactor.clean("secret-and-more abc") == "[hidden] abc"


@pytest.mark.parametrize("unit", ["a?", "?", "://", "basic ", "a?b ", "bearer\t"])
def test_hostile_text_is_read_once(unit: str) -> None:
    # Anything that goes back over the text would not end with this many repetitions.
    assert len(readable(unit * 200_000)) <= 2 * (TEXT_LIMIT + 1)


@pytest.mark.parametrize(
    "spelling",
    [json.dumps, html.escape, quote, lambda text: quote(text, safe=""), lambda text: repr(text)],
)
def test_a_known_secret_is_hidden_in_other_spellings(spelling: Callable[[str], str]) -> None:
    redactor = Redactor()
    secret = 'pa/ss"wo+rd&'
    redactor.learn(secret)
    shown = redactor.clean(f"you sent {spelling(secret)}")
    assert "wo" not in shown


def test_hiding_does_not_cut() -> None:
    text = "a" * 5000 + " https://u:p@h/?t=1"
    assert hide(text) == "a" * 5000 + " https://h/"
