from __future__ import annotations

import base64
import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.stores.redaction import TEXT_LIMIT, Redactor, hide, readable, without_accounts
from airgap_shared.stores.spelling import shortest, spellings


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


_PASSWORD = "p&ss<w0rd>\"q+/é'\\ canary"
_TOLD = _PASSWORD.encode()
_BASIC = base64.b64encode(b"robot:" + _TOLD + b"xy").decode()


def _as_go(text: str) -> str:
    """As encoding/json has it, for pages (json.HTMLEscape)."""
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _by_code(text: str, form: str) -> str:
    return "".join(c if c.isalnum() else form.format(ord(c)) for c in text)


@pytest.mark.parametrize(
    "spelling",
    [
        _as_go(json.dumps(_PASSWORD)),
        _as_go(json.dumps(_PASSWORD, ensure_ascii=False)),
        json.dumps(json.dumps(json.dumps(_PASSWORD))),
        html.escape(_PASSWORD).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        html.escape(html.escape(_PASSWORD)),
        _by_code(_PASSWORD, "&#{};"),
        _by_code(_PASSWORD, "&#X{:x};"),
        _PASSWORD.replace("é", "&eacute;"),
        quote(_PASSWORD, safe="").lower(),
        quote(quote(_PASSWORD), safe=""),
        quote_plus(_PASSWORD),
        repr(_PASSWORD),
        ascii(_PASSWORD),
        base64.b64encode(_TOLD).decode(),
        base64.urlsafe_b64encode(_TOLD).decode().rstrip("="),
        _BASIC.rstrip("="),
        _BASIC.replace("+", "-").replace("/", "_"),
        _BASIC.replace("=", "\\u003d").replace("+", "\\u002b"),
    ],
)
def test_a_known_secret_is_hidden_as_servers_spell_it(spelling: str) -> None:
    redactor = Redactor()
    redactor.learn(_PASSWORD, _BASIC)
    assert redactor.clean(f"you sent {spelling} to us").strip('"').count("[hidden]") == 1
    shown = redactor.clean(spelling).strip("\"'\\")
    assert shown == "[hidden]"


@pytest.mark.parametrize("unit", ["\\", "&amp;", "%25", "+", " ", "p&", "p\\", "p+ "])
def test_what_is_not_quite_a_secret_is_read_once(unit: str) -> None:
    redactor = Redactor()
    redactor.learn("p + + + q", 'p&&"\\\\"\\q', "p&p&p&p&p&q", "\\\\p\\p\\p")
    assert "[hidden]" not in redactor.clean(unit * 20_000)


def test_a_secret_longer_than_the_text_is_not_looked_for() -> None:
    """Of punctuation every text has the landmark, and an expression for all of it is large."""
    redactor = Redactor()
    redactor.learn("!" * (1 << 20))
    assert _seconds(lambda: redactor.clean("not found")) < 1


@pytest.mark.parametrize("secret", ["!" * 16_000, "=" * 16_000 + "a", "!a" * 8_000, "\\a" * 8_000])
def test_of_a_secret_with_very_many_parts_nothing_is_shown(secret: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    page = f"you sent {html.escape(quote(secret, safe=''))} and {'x' * 50_000}"
    shown: list[str] = []
    assert _seconds(lambda: shown.append(redactor.clean(page))) < 5
    assert shown == ["you sent [hidden]"]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


_SHAPES = st.text("ab0=+/\\ \n\t\u2003&é\U0001f511", max_size=12)


@given(_SHAPES)
def test_no_spelling_is_shorter_than_is_said(secret: str) -> None:
    tree = re._parser.parse(spellings(secret))  # type: ignore[attr-defined]
    assert tree.getwidth()[0] >= shortest(secret)


def test_the_last_tokens_for_each_use_are_hidden_and_credentials_always() -> None:
    redactor = Redactor()
    redactor.learn(_PASSWORD)
    redactor.learn_token("rare", "token-of-another-use")
    for number in range(100):
        redactor.learn_token("often", f"token-{number:03}")
    for secret in (_PASSWORD, "token-of-another-use", *(f"token-{n:03}" for n in range(92, 100))):
        assert redactor.clean(secret) == "[hidden]"
        assert redactor.clean(base64.b64encode(secret.encode()).decode()) == "[hidden]"
    assert redactor.clean("token-091") == "token-091"


def test_hiding_does_not_cut() -> None:
    text = "a" * 5000 + " https://u:p@h/?t=1"
    assert hide(text) == "a" * 5000 + " https://h/"


_DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://bob:canary@git.example/x?ref=1", "https://***@git.example/x?ref=1"),
        ("git::https://canary@github.com/x/y@v1", "git::https://***@github.com/x/y@v1"),
        ("https:/bob:canary@git.example/x", "https:/***@git.example/x"),
        ("https://a:canary@h,https://b:can@ary@i", "https://***@h,https://***@i"),
        ("'bob:canary@reg.example/a:1': no", "'***@reg.example/a:1': no"),
        ("bob:can/ary@reg.example/a:1", "***@reg.example/a:1"),
        ("bob:can@ary@reg.example:5000/a", "***@reg.example:5000/a"),
        (f"bob:canary@reg/a:1@{_DIGEST}", f"***@reg/a:1@{_DIGEST}"),
        (f"reg:5000/a/b:1@{_DIGEST} x", f"reg:5000/a/b:1@{_DIGEST} x"),
        (f"docker://reg@{_DIGEST}", f"docker://reg@{_DIGEST}"),
        ("https://github.com/x/y@v1", "https://github.com/x/y@v1"),
        ("app.yaml:3: me@example.com", "app.yaml:3: me@example.com"),
        ("git@github.com", "git@github.com"),
    ],
)
def test_users_and_passwords_before_hosts_are_not_shown(text: str, shown: str) -> None:
    assert without_accounts(text) == shown
    assert without_accounts(shown) == shown


@pytest.mark.parametrize("unit", ["@", "a:", ":/", "://a@", "a@sha256:", "a:b@ ", "/", "'"])
def test_a_long_text_is_searched_for_accounts_once(unit: str) -> None:
    # Anything that goes back over the text would not end with this many repetitions.
    assert without_accounts(unit * 200_000)
