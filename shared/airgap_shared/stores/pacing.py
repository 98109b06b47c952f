"""Pacing: connections on which an answer has to come forward, its headers included.

A socket's timeout bounds one wait. A server that sends a byte every few seconds never runs into
it, and http.client would read its headers for days.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

#: For this much of an answer the allowed waiting is counted, then anew.
_PORTION = 64 * 1024


class TooSlow(TimeoutError):
    """An answer arrives, but not within reason."""


class _PacedReader(io.RawIOBase):
    """What arrives on a socket, with the waiting for it added up."""

    def __init__(self, raw: io.RawIOBase, seconds: float, clock: Callable[[], float]) -> None:
        self._raw = raw
        self._seconds = seconds
        self._clock = clock
        self._waited = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - any writable buffer
        began = self._clock()
        count = self._raw.readinto(buffer)
        self._waited += self._clock() - began
        self._received += count or 0
        if self._waited > self._seconds:
            raise TooSlow
        if self._received >= _PORTION:
            self._waited, self._received = 0.0, 0
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class PacedResponse(http.client.HTTPResponse):
    """An answer that ends in :class:`TooSlow` when it does not come forward.

    ``seconds`` by ``clock`` may be spent waiting for each 64 KiB, from the status line on.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float],
        connection: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(connection, debuglevel, method, url)
        self.fp = io.BufferedReader(_PacedReader(self.fp.detach(), seconds, clock))
