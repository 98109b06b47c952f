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
_PORTION = 1 << 20


#: More than this no answer has beside its body, in bytes,
_FRAMING = 1 << 20
#: and this for each byte of the body, which may come in a chunk of its own.
_FRAMING_PER_BYTE = 16


class TooSlow(TimeoutError):
    """An answer arrives, but not within reason."""


class EndlessFraming(OSError):
    """What frames an answer (interim answers, headers, trailers) does not come to its end."""


class _PacedReader(io.RawIOBase):
    """What arrives on a socket, with the waiting for it added up.

    While ``filling`` it is asked for nothing but the body, and reads on until the buffer is full:
    what is encrypted arrives in records of 16 KiB, and the way up to the reader is long.
    """

    filling = False
    #: Whether there may be more than the body: it is no progress, and has an end.
    framed = False
    #: How many bytes may still be received while that is so.
    allowed = _FRAMING

    def __init__(self, raw: io.RawIOBase, seconds: float, clock: Callable[[], float]) -> None:
        self._raw = raw
        self._seconds = seconds
        self._clock = clock
        self._waited = 0.0
        self._received = 0
        self._failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def deliver(self, count: int) -> None:
        """Take note of ``count`` bytes of the body found in what was framed."""
        self.allowed += count * (1 + _FRAMING_PER_BYTE)
        self._advance(count)

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - any writable buffer
        if self._failure is not None:
            raise self._failure
        return self._fill(memoryview(buffer)) if self.filling else self._receive(buffer)

    def _fill(self, view: memoryview) -> int:
        """What arrived before a failure is not lost: the next reading meets that failure."""
        filled = 0
        while filled < len(view):
            try:
                count = self._receive(view[filled:])
            except OSError as problem:
                if not filled:
                    raise
                self._failure = problem
                break
            if not count:
                break
            filled += count
        return filled

    def _receive(self, buffer: Any) -> int | None:  # noqa: ANN401 - as above
        began = self._clock()
        count = self._raw.readinto(buffer)
        self._waited += self._clock() - began
        if self._waited > self._seconds:
            raise TooSlow
        if not self.framed:
            self._advance(count or 0)
            return count
        self.allowed -= count or 0
        if self.allowed < 0:
            raise EndlessFraming
        return count

    def _advance(self, count: int) -> None:
        self._received += count
        if self._received >= _PORTION:
            self._waited, self._received = 0.0, 0

    def close(self) -> None:
        super().close()
        self._raw.close()


class PacedResponse(http.client.HTTPResponse):
    """An answer that ends in :class:`TooSlow` when it does not come forward.

    ``seconds`` by ``clock`` may be spent waiting for each mebibyte of the body; what comes before
    the body belongs to the first.
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
        self._paced = _PacedReader(self.fp.detach(), seconds, clock)
        self.fp = io.BufferedReader(self._paced)

    def begin(self) -> None:
        """Read as far as the body.

        Raises:
            EndlessFraming: http.client takes any number of interim answers.

        """
        self._paced.framed = True
        try:
            super().begin()
        finally:
            self._paced.framed = False

    def read1(self, n: int = -1) -> bytes:
        """Up to ``n`` bytes of the body; as many, where its length was declared.

        Raises:
            EndlessFraming: http.client takes chunks of any form, and any number of trailers.

        """
        if self.chunked:
            return self._read_from_chunk(n if n >= 0 else _PORTION)
        self._paced.filling = self.length is not None
        try:
            return super().read1(n)
        finally:
            self._paced.filling = False

    def _read_from_chunk(self, n: int) -> bytes:
        self._paced.framed = True
        # What is asked for may come in before it is delivered.
        self._paced.allowed += n
        try:
            body = super().read1(n)
        finally:
            self._paced.allowed -= n
            self._paced.framed = False
        self._paced.deliver(len(body))
        return body
