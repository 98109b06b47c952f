"""What long work tells whoever watches: a port, so that stores never print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol


class Progress(Protocol):
    """Listens to one task at a time; every call may come from any thread."""

    def begin(self, task: str, total: int, unit: str) -> None:
        """A task starts: ``total`` is in ``unit``, ``"bytes"`` or a noun in the plural."""

    def advance(self, amount: int) -> None:
        """So much more is done."""

    def end(self) -> None:
        """The task is over, whether it succeeded or not."""

    def note(self, text: str) -> None:
        """Something the user should know that is no failure."""


class NoProgress:
    """Listens and says nothing."""

    def begin(self, task: str, total: int, unit: str) -> None: ...

    def advance(self, amount: int) -> None: ...

    def end(self) -> None: ...

    def note(self, text: str) -> None: ...


def counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    """Pass chunks on and report their lengths."""
    for chunk in chunks:
        yield chunk
        progress.advance(len(chunk))
