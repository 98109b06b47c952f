"""What a fault proxy can be told to do, and to which requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer at once, without asking the registry; the request's body is read and dropped."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class AnswerEarly:
    """Answer before anything of the request's body was read, and close the connection."""

    status: int


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait, then pass the request on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Read the request and say nothing until the client or the proxy goes away."""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Break the connection once this much of the request's body was passed on.

    Before that, ``happens`` is called.
    """

    after_bytes: int = 0
    happens: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class ResetResponse:
    """Break the connection after the headers and this much of the answer's body.

    With ``abrupt=False`` it ends as if the answer were complete.
    """

    after_bytes: int = 0
    abrupt: bool = True


@dataclass(frozen=True, slots=True)
class DropAfterCommit:
    """Let the registry carry the request out, then break the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Change the registry's answer; a header set to None is taken out."""

    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class PassOn:
    """Pass the request on to another path, and change the registry's answer."""

    path: str
    change: Rewrite = field(default_factory=Rewrite)


@dataclass(frozen=True, slots=True)
class Examine:
    """Read the whole body first: ``judge`` answers it, or changes the registry's answer."""

    judge: Callable[[bytes], Answer | Rewrite]


@dataclass(frozen=True, slots=True)
class FlipByte:
    """Change one byte of the answer's body on its way."""

    offset: int


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Do something of the test's own once the request has come in, then pass it on."""

    happens: Callable[[], object]


@dataclass(frozen=True, slots=True)
class FlipSent:
    """Change one byte of the request's body on its way."""

    offset: int


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer with ``head`` at once, and with one more byte now and then for as long as it takes."""

    head: bytes
    seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Echo:
    """Answer with a page that repeats the client's ``Authorization`` header between two texts."""

    status: int
    before: bytes = b""
    after: bytes = b""


Action = (
    Answer
    | AnswerEarly
    | Delay
    | Hang
    | Meanwhile
    | ResetRequest
    | ResetResponse
    | DropAfterCommit
    | Rewrite
    | PassOn
    | Examine
    | FlipByte
    | FlipSent
    | Drip
    | Echo
)


def redirect(location: str, status: int = 307) -> Answer:
    """Send the client elsewhere."""
    return Answer(status, {"Location": location})


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do to which requests: method and path (with query) are searched as expressions.

    The rule acts on its ``first`` hit and the following ones, ``times`` in all (None: always).
    """

    action: Action
    method: str = ""
    path: str = ""
    first: int = 1
    times: int | None = 1

    def meets(self, method: str, path: str) -> bool:
        """Whether a request is a hit."""
        return bool(re.search(self.method, method) and re.search(self.path, path))

    def acts_on(self, hit: int) -> bool:
        """Whether the rule acts on its ``hit``th hit, counted from 1."""
        return hit >= self.first and (self.times is None or hit < self.first + self.times)
