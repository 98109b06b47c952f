from __future__ import annotations

from collections.abc import Iterator

import pytest

from airgap_shared.stores.exchange import Access, Answer, Body, BodyFailed


class Source:
    def __init__(self, problem: Exception | None = None) -> None:
        self.opened = 0
        self.closed = 0
        self._problem = problem

    def __call__(self) -> Iterator[bytes]:
        self.opened += 1
        try:
            yield b"x" * 600_000
            if self._problem is not None:
                raise self._problem
            yield b"y"
        finally:
            self.closed += 1


def test_a_body_is_opened_anew_and_sent_in_small_pieces() -> None:
    source = Source()
    body = Body(600_001, source)
    for number in (1, 2):
        pieces = list(body)
        assert b"".join(pieces) == b"x" * 600_000 + b"y"
        assert max(map(len, pieces)) <= 256 * 1024
        assert (source.opened, source.closed) == (number, number)
    assert len(body) == 600_001


@pytest.mark.parametrize("problem", [OSError(5, "x"), ValueError("x")])
def test_what_a_source_raises_is_told_apart_from_the_connections_faults(problem: Exception) -> None:
    with pytest.raises(BodyFailed) as caught:
        list(Body(1, Source(problem)))
    assert caught.value.__cause__ is problem


def test_a_body_that_is_given_up_is_closed() -> None:
    source = Source()
    pieces = iter(Body(1, source))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert source.closed == 1


@pytest.mark.parametrize(
    ("source", "scopes"),
    [
        ("", ("repository:a/b:pull",)),
        ("a/b", ("repository:a/b:pull",)),
        ("c", ("repository:a/b:pull", "repository:c:pull")),
    ],
)
def test_scopes_are_written_as_token_servers_read_them(
    source: str, scopes: tuple[str, ...]
) -> None:
    assert Access.to("a/b", "pull", source) == Access("a/b", scopes)


class Endless:
    closed = False

    def read(self, size: int) -> bytes:
        return b"x" * size

    def close(self) -> None:
        self.closed = True


def test_no_more_of_an_answer_is_read_than_asked() -> None:
    stream = Endless()
    answer = Answer(200, {"content-length": "12"}, (), "", stream)
    assert answer.prefix(5_000_000) == b"x" * 5_000_000
    assert answer.body(5) is None
    assert stream.closed


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("12", 12),
        (" 0 ", 0),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("9" * 20, None),
        ("²", None),
    ],
)
def test_a_length_is_a_number_or_nothing(text: str, length: int | None) -> None:
    assert Answer(200, {"content-length": text}, (), "", Endless()).length() == length
