"""The three standard streams, which may be closed from the beginning or from some moment on."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_standard_streams() -> None:
    """Have nothing be where a stream was closed before we began (``command >&-``).

    Files and connections opened later would take its number, and be read or written as if they
    were the stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def silence(stream: TextIO) -> None:
    """Let what is still buffered, and what may come, go nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Unheard(io.TextIOBase):
    """A stream that is written to whether or not anybody reads: that is no reason to stop."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream itself."""
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write, if that can be done."""
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)

    def fileno(self) -> int:
        """The stream's own descriptor, by which the width of a terminal is found."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()
