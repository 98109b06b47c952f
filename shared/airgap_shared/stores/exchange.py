"""One request to a registry and the answer to it, free of any HTTP library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: A part of a body handed to the socket at once: small, so that a slow line is not taken for a
#: dead one (a socket's timeout bounds the whole of one send).
_PIECE = 256 * 1024
READ_SIZE = 1 << 18


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs to be allowed, as token servers name it (distribution, token scope).

    ``repository`` also decides whose credentials are used; empty for ``/v2/`` itself.
    """

    repository: str = ""
    scopes: tuple[str, ...] = ()

    @classmethod
    def to(cls, repository: str, actions: str, pull_from: str = "") -> Access:
        """Some actions (``pull``, ``pull,push``) on a repository, and reading another one."""
        scopes = [f"repository:{repository}:{actions}"]
        if pull_from and pull_from != repository:
            scopes.append(f"repository:{pull_from}:pull")
        return cls(repository, tuple(scopes))


class BodyFailed(Exception):
    """The source of a request's body failed; the cause says how."""


class Body:
    """A request's body that is opened anew for every sending.

    ``len()`` is its exact length in bytes. What its source raises comes out as
    :class:`BodyFailed`, so that a broken disk is not taken for a broken connection.
    """

    def __init__(self, size: int, open_chunks: Callable[[], Iterable[bytes]]) -> None:
        self._size = size
        self._open = open_chunks

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._open()
        try:
            for chunk in chunks:
                if len(chunk) <= _PIECE:
                    yield chunk
                    continue
                view = memoryview(chunk)
                for start in range(0, len(chunk), _PIECE):
                    yield bytes(view[start : start + _PIECE])
        except Exception as problem:
            raise BodyFailed from problem
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``where`` names host and repository for messages.

    ``accepted`` are the statuses that its sender understands; all others become errors. With 401
    among them no other authorization is tried.
    """

    method: str
    url: str
    where: str
    accepted: Collection[int]
    access: Access = field(default_factory=Access)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = field(default=None, repr=False)

    @property
    def writes(self) -> bool:
        """Whether it would change something."""
        return self.method not in ("GET", "HEAD")


class Stream(Protocol):
    """The body of an answer as it arrives; faults come out as :class:`Transient`."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty only at the end."""
        ...

    def close(self) -> None:
        """Give the connection back, or end it if the body was not read to its end."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers by lower-case name, and a body not yet read; close it after use."""

    status: int
    headers: Mapping[str, str]
    challenges: tuple[str, ...]
    url: str
    stream: Stream = field(repr=False)

    def body(self, limit: int) -> bytes | None:
        """The whole body, and the connection is free again; nothing if it is over ``limit``."""
        data = self.prefix(limit + 1)
        return None if len(data) > limit else data

    def prefix(self, limit: int) -> bytes:
        """The first ``limit`` bytes of the body; the answer is closed."""
        pieces: list[bytes] = []
        left = limit
        try:
            while left and (piece := self.stream.read(min(left, READ_SIZE))):
                pieces.append(piece)
                left -= len(piece)
        finally:
            self.stream.close()
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection; the rest of a short body is read so that it can be kept."""
        self.stream.close()

    def length(self) -> int | None:
        """``Content-Length``, if it is given and a number."""
        text = self.headers.get("content-length", "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
