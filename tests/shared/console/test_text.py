from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.console.text import byte_size, in_one_line, printable, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – text ü 漢\n", "plain – text ü 漢\n"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\rb"),
        ("a\tb", "a\\tb"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u200b\u2066", "\\u200b\\u2066"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_nothing_reaches_the_terminal_that_it_would_act_on(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_what_is_shown_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert printable(shown) == shown
    shown.encode()


@given(st.text())
def test_one_line_stays_one(text: str) -> None:
    assert in_one_line(f"{text}\n{text}").isprintable()
    assert in_one_line("a\nb\u202e") == "a\\nb\\u202e"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1024, "1.02 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (29_158_894, "29.2 MB"),
        (2 << 30, "2.15 GB"),
        (1 << 40, "1.1 TB"),
        (5 * 10**15, "5 PB"),
    ],
)
def test_sizes_have_three_digits(count: int, text: str) -> None:
    assert byte_size(count) == text


def test_columns_are_aligned() -> None:
    rows = [("a", "long cell", "x"), ("longer", "b", "")]
    assert table(rows, "  ") == "  a       long cell  x\n  longer  b"
    assert table([]) == ""
