"""Reading a body: as much as asked for where its length is known, and nothing lost on the way."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from airgap_shared.stores.pacing import EndlessFraming, PacedResponse, TooSlow

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"
_BODY = bytes(range(250)) * 120


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection; the near one waits a fifth of a second, no longer."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.2)
        yield near, far


def _begun(
    near: socket.socket, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
) -> PacedResponse:
    response = PacedResponse(seconds, clock, near, method="GET")
    response.begin()
    return response


def test_a_body_of_known_length_is_read_on_until_there_is_as_much_as_asked_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    far.sendall(_SIZED + _BODY[:9000])
    with _begun(near) as response:
        first = response.read1(20000)  # what came along with the head is handed out as it is
        far.sendall(_BODY[9000:12000])
        far.sendall(_BODY[12000:])
        rest = response.read1(15000)
        assert len(rest) == 15000
        assert (first + rest) == _BODY[: len(first) + 15000]


def test_what_came_before_a_failure_is_handed_out_and_then_the_failure(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    far.sendall(_SIZED + _BODY[:20000])
    with _begun(near) as response:
        got = response.read1(30000)
        got += response.read1(30000)
        assert got == _BODY[:20000]
        for _ in range(2):
            with pytest.raises(TimeoutError):
                response.read1(30000)


def test_a_body_that_ends_early_is_handed_out_as_far_as_it_came(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    far.sendall(_SIZED + _BODY[:20000])
    far.shutdown(socket.SHUT_WR)
    with _begun(near) as response:
        got = b"".join(iter(lambda: response.read1(30000), b""))
    assert got == _BODY[:20000]


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"),
    ],
    ids=["no length", "chunked"],
)
def test_where_no_length_is_known_nothing_is_waited_for(
    head: bytes, sent: bytes, ends: tuple[socket.socket, socket.socket]
) -> None:
    near, far = ends
    far.sendall(head + sent)
    with _begun(near) as response:
        assert response.read1(30000) == b"abc"


@contextmanager
def _sending(far: socket.socket, answer: bytes) -> Iterator[None]:
    """Send it from a thread for as long as somebody listens."""

    def send() -> None:
        with suppress(OSError):
            far.sendall(answer)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        far.shutdown(socket.SHUT_RDWR)
        thread.join()


def _length(response: PacedResponse) -> int:
    return sum(len(part) for part in iter(lambda: response.read1(1 << 16), b""))


def test_what_frames_the_chunks_of_one_answer_has_an_end(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """No chunk's size is longer than http.client allows, but they are many."""
    near, far = ends
    chunk = b"1;" + b"x" * 60_000 + b"\r\n \r\n"
    with (
        _sending(far, _CHUNKED + chunk * 64 + b"0\r\n\r\n"),
        _begun(near) as response,
        pytest.raises(EndlessFraming),
    ):
        _length(response)


def test_chunks_of_one_byte_are_read(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    size = 240_000  # what frames it is more than a mebibyte
    with (
        _sending(far, _CHUNKED + b"1\r\n \r\n" * size + b"0\r\n\r\n"),
        _begun(near) as response,
    ):
        assert _length(response) == size


def test_what_frames_the_chunks_is_no_progress(ends: tuple[socket.socket, socket.socket]) -> None:
    """Each reading of 8 KiB takes a second here: a mebibyte some 128."""
    near, far = ends
    chunk = b"1;xxxxxxxxxx\r\n \r\n"
    seconds = itertools.count()
    with (
        _sending(far, _CHUNKED + chunk * 250_000 + b"0\r\n\r\n"),
        _begun(near, 300.0, lambda: float(next(seconds))) as response,
        pytest.raises(TooSlow),
    ):
        _length(response)
