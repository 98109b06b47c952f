from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.stores.challenge import Challenge, parse_challenges

_WORDS = st.text(
    alphabet="!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    min_size=1,
    max_size=8,
)
_VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
_CHALLENGES = st.builds(
    Challenge,
    _WORDS.map(str.lower),
    st.dictionaries(_WORDS.map(str.lower), _VALUES, min_size=1, max_size=4),
)


def written(challenge: Challenge) -> str:
    parameters = (
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in challenge.parameters.items()
    )
    return f"{challenge.scheme} {', '.join(parameters)}"


@given(st.lists(_CHALLENGES, max_size=4))
def test_what_is_written_by_the_grammar_is_read(challenges: list[Challenge]) -> None:
    header = ", ".join(written(challenge) for challenge in challenges)
    assert parse_challenges([header]) == tuple(challenges)
    one_a_header = [written(challenge) for challenge in challenges]
    assert parse_challenges(one_a_header) == tuple(challenges)


@given(st.text(max_size=200))
def test_any_text_is_read_as_something(text: str) -> None:
    for challenge in parse_challenges([text]):
        assert challenge.scheme
        assert challenge.scheme == challenge.scheme.lower()


@given(_CHALLENGES, st.data())
def test_a_realm_is_never_made_up(challenge: Challenge, data: st.DataObject) -> None:
    """A header cut anywhere yields only values that stood in it whole."""
    header = written(challenge)
    cut = data.draw(st.integers(0, len(header)))
    for found in parse_challenges([header[:cut]]):
        for name, value in found.parameters.items():
            assert challenge.parameters.get(name) == value


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a, Bearer realm=b"', [("basic", {"realm": "a, Bearer realm=b"})]),
        ("BEARER Realm=https, Service=x", [("bearer", {"realm": "https", "service": "x"})]),
        (
            'Bearer realm = "a" ,, scope="r:x:pull,push"',
            [("bearer", {"realm": "a", "scope": "r:x:pull,push"})],
        ),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('NTLM dG9rZW4=, Bearer realm="y"', [("ntlm", {}), ("bearer", {"realm": "y"})]),
        ('Bearer realm="one",realm="two"', [("bearer", {"realm": "one"})]),
        ('Basic realm="say \\"hi\\""', [("basic", {"realm": 'say "hi"'})]),
        ("", []),
        ('="x"', []),
        ('Bearer realm="unfinished', [("bearer", {})]),
    ],
)
def test_headers_as_registries_send_them(
    header: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    found = parse_challenges([header])
    assert [(one.scheme, dict(one.parameters)) for one in found][: len(expected)] == expected
