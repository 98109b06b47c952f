"""Reading a body: as much as asked for where its length is known, and nothing lost on the way."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from airgap_shared.stores.pacing import PacedResponse

_SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"
_BODY = bytes(range(250)) * 120


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection; the near one waits a fifth of a second, no longer."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.2)
        yield near, far


def _begun(near: socket.socket) -> PacedResponse:
    response = PacedResponse(10.0, time.monotonic, near, method="GET")
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
