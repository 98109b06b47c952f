"""A target: something of ours that takes foreign bytes, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from airgap_shared.errors import AirgapError

#: Changes an input; ``garble`` is the fuzzer's own way of changing bytes.
Mutate = Callable[[bytes, Random, Callable[[bytes], bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """``feed`` takes an input, and fails where a promise is broken.

    ``seeds`` are good inputs to begin with, ``words`` what such inputs are made of. ``mutate``
    is there where changed bytes alone would never get past the first check. ``longest`` is the
    length up to which no input may take over a second.
    """

    feed: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()
    mutate: Mutate | None = None
    longest: int = 1 << 16


def try_out(target: Target, data: bytes) -> str:
    """Feed one input: the name of the error that refuses it, or nothing.

    Raises:
        Exception: a finding: a broken promise, or an error that no user should ever meet.

    """
    try:
        target.feed(data)
    except AirgapError as refusal:
        assert refusal.exit_code != 1, refusal
        # Whatever it quotes, it must be possible to print it.
        str(refusal).encode(errors="backslashreplace")
        return refusal.name
    return ""


class Turns:
    """Decisions taken from bytes, one after the other; all zero when there are no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, limit: int) -> int:
        """A number from 0 on."""
        self._at += 1
        return self._data[self._at - 1] % limit if self._at <= len(self._data) else 0

    def odd(self, one_in: int) -> bool:
        """Whether something unlikely shall be."""
        return self.below(256) >= 256 - 256 // one_in

    def rest(self) -> bytes:
        """What was not used yet."""
        return self._data[self._at :]
