"""Digests, and reading that trusts nothing until size and digest are right."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from airgap_shared.errors import DigestMismatch, DigestUnsupported, SizeMismatch

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


class Hasher(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and a lower-case hexadecimal value (image-spec, descriptor.md, Digests)."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str, where: str = "") -> Self:
        """Read ``sha256:…`` or ``sha512:…``.

        Raises:
            DigestUnsupported: another algorithm, a wrong length, upper case or other characters.

        """
        algorithm, _, value = text.partition(":")
        length = _HEX_LENGTH.get(algorithm)
        if length is None or len(value) != length or not _HEX.fullmatch(value):
            raise DigestUnsupported(f"not a sha256 or sha512 digest: {text[:160]!r}", where=where)
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The sha256 digest of some bytes."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def check(self, data: bytes, where: str = "") -> None:
        """Raise :class:`DigestMismatch` unless ``data`` has this digest."""
        hasher = self.hasher()
        hasher.update(data)
        self.compare(hasher, where)

    def compare(self, hasher: Hasher, where: str = "") -> None:
        """Raise :class:`DigestMismatch` unless what ``hasher`` has seen has this digest."""
        found = hasher.hexdigest()
        if found != self.hex:
            raise DigestMismatch(
                f"content has digest {self.algorithm}:{found}, not {self}", where=where
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class ProvenChunks:
    """Content that passes once, its last chunk withheld until size and digest were proven.

    Made by whoever proves it; :func:`verified_chunks` takes its word and does not hash it again.
    """

    digest: Digest
    size: int
    chunks: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def through(self, pass_on: Callable[[Iterator[bytes]], Iterator[bytes]]) -> ProvenChunks:
        """The same content on its way through something that looks at it and changes nothing."""
        return ProvenChunks(self.digest, self.size, pass_on(self.chunks))


def verified_chunks(
    chunks: Iterable[bytes], digest: Digest, size: int, where: str = ""
) -> Iterator[bytes]:
    """Pass chunks on, withholding the last one until size and digest are proven.

    The size is judged before the digest (image-spec, descriptor.md, Verification), and no byte
    beyond ``size`` is ever passed on. What is proven to be just this is passed on as it is.

    Raises:
        SizeMismatch: more or fewer bytes than ``size``.
        DigestMismatch: the bytes do not have ``digest``.

    """
    if isinstance(chunks, ProvenChunks) and (chunks.digest, chunks.size) == (digest, size):
        yield from chunks.chunks
        return
    hasher = digest.hasher()
    seen = 0
    held: bytes | None = None
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise SizeMismatch(f"content is longer than the {size} bytes promised", where=where)
        hasher.update(chunk)
        if held is not None:
            yield held
        held = chunk
    if seen != size:
        raise SizeMismatch(f"content ends after {seen} of {size} bytes", where=where)
    digest.compare(hasher, where)
    if held is not None:
        yield held
