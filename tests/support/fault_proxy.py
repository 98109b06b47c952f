"""A recording proxy before a registry that can be told to fail."""

from __future__ import annotations

import http.client
import io
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from support.docker_registry import ServerCertificate
from support.faults import (
    Action,
    Answer,
    AnswerEarly,
    Delay,
    Drip,
    DropAfterCommit,
    Echo,
    Examine,
    FlipByte,
    FlipSent,
    Hang,
    Meanwhile,
    PassOn,
    ResetRequest,
    ResetResponse,
    Rewrite,
    Rule,
)
from support.loopback_server import LoopbackHandler, LoopbackServer
from support.tls import server_context

_CHUNK = 256 * 1024
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
_MUTATING = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request in order of arrival; header names are in lower case.

    ``body_length`` counts what was read of the body, ``status`` is what the client was told
    (nothing if it was told nothing), ``rule`` whether a rule changed the course.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body_length: int = 0
    status: int | None = None
    rule: bool = False


class FaultProxy(LoopbackServer):
    """A context manager: a proxy on a port of its own before ``upstream`` (host:port, http).

    Bodies pass through in pieces. A Location on the registry is rewritten to the proxy, so
    that the client stays, or to where ``advertised`` says. Of several rules that act on a
    request the first one given wins.
    """

    def __init__(self, upstream: str, *rules: Rule, tls: ServerCertificate | None = None) -> None:
        super().__init__(_Handler, server_context(tls) if tls else None)
        self.upstream = upstream
        #: The base URL that a Location on the registry gets.
        self.advertised = self.url
        self._lock = threading.Lock()
        self._rules: list[Rule] = list(rules)
        self._hits: list[int] = [0] * len(rules)
        self._requests: list[Recorded] = []

    def add(self, rule: Rule) -> None:
        """Have one more rule from now on."""
        with self._lock:
            self._rules.append(rule)
            self._hits.append(0)

    def clear(self) -> None:
        """Forget rules and records."""
        with self._lock:
            self._rules, self._hits, self._requests = [], [], []

    def requests(self, method: str = "", path: str = "") -> list[Recorded]:
        """What came in, in order, where method and path match these expressions."""
        with self._lock:
            return [
                one
                for one in self._requests
                if re.search(method, one.method) and re.search(path, one.path)
            ]

    def mutations(self) -> list[Recorded]:
        """The requests that would change something: POST, PUT, PATCH, DELETE."""
        return [one for one in self.requests() if one.method in _MUTATING]

    def begin(self, request: Recorded) -> tuple[int, Action | None]:
        """Record a request; its number and what is to be done to it."""
        with self._lock:
            action = self._action_for(request)
            self._requests.append(replace(request, rule=action is not None))
            return len(self._requests) - 1, action

    def finish(self, number: int, body_length: int, status: int | None) -> None:
        """Record how a request went."""
        with self._lock:
            if number < len(self._requests):
                self._requests[number] = replace(
                    self._requests[number], body_length=body_length, status=status
                )

    def _action_for(self, request: Recorded) -> Action | None:
        chosen: Action | None = None
        for number, rule in enumerate(self._rules):
            if rule.meets(request.method, request.path):
                self._hits[number] += 1
                if chosen is None and rule.acts_on(self._hits[number]):
                    chosen = rule.action
        return chosen


class MakeProxy(Protocol):
    """The fixture that starts a proxy for one test."""

    def __call__(self, upstream: str, *rules: Rule) -> FaultProxy: ...


class _Break(Exception):
    """The connection is to be broken now."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int = ..., /) -> bytes: ...


class _Body:
    """The body of a request, in pieces, counted."""

    def __init__(self, source: _Readable, headers: Mapping[str, str]) -> None:
        self._source = source
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.declared = None if self.chunked else int(headers.get("content-length", "0"))
        self.length = 0

    def pieces(self, limit: int | None = None) -> Iterator[bytes]:
        """The body; with a limit only so much of it."""
        for piece in self._sized() if self.declared is not None else self._chunks():
            allowed = piece if limit is None else piece[: limit - self.length]
            self.length += len(allowed)
            if allowed:
                yield allowed
            if limit is not None and self.length >= limit:
                return

    def _sized(self) -> Iterator[bytes]:
        left = self.declared or 0
        while left:
            piece = self._source.read(min(left, _CHUNK))
            if not piece:
                raise ConnectionResetError("the client stopped sending")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._source.readline(64).split(b";")[0], 16):
            yield self._source.read(size)
            self._source.readline(4)
        while self._source.readline(1024).strip():
            pass


class _Handler(LoopbackHandler):
    server: FaultProxy

    def __getattr__(self, name: str) -> object:
        """Every method is passed on: the base class looks for do_GET and so on."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._told: int | None = None
        self._number, action = self.server.begin(Recorded(self.command, self.path, headers))
        self._body = body = _Body(self.rfile, headers)
        try:
            self._act(action, body)
        except _Break:
            self.server.reset_on_close(self.connection)
            self.close_connection = True
        except (OSError, http.client.HTTPException):
            # Either side went away: so does the other.
            self.close_connection = True
        finally:
            self._record()

    def _record(self) -> None:
        """Before the client knows its answer, so that the client's test can ask for it."""
        self.server.finish(self._number, self._body.length, self._told)

    def _act(self, action: Action | None, body: _Body) -> None:
        match action:
            case Answer():
                _drain(body)
                self._reply(action)
            case AnswerEarly(status):
                self._reply(Answer(status))
                raise _Break
            case Examine(judge):
                self._examine(judge, body)
            case Echo(status, before, after):
                _drain(body)
                shown = self.headers.get("Authorization", "").encode()
                self._reply(Answer(status, {}, before + shown + after))
            case Hang():
                self._hang(body)
            case Drip(head, seconds):
                self._drip(body, head, seconds)
            case Delay(seconds):
                self.server.stopping.wait(seconds)
                self._forward(None, body)
            case _:
                self._pass(action, body)

    def _pass(self, action: Action | None, body: _Body) -> None:
        if isinstance(action, Meanwhile):
            action.happens()
            action = None
        if isinstance(action, PassOn):
            self.path = action.path
            action = action.change
        self._forward(action, body)

    def _examine(self, judge: Callable[[bytes], Answer | Rewrite], body: _Body) -> None:
        content = b"".join(body.pieces())
        verdict = judge(content)
        if isinstance(verdict, Answer):
            self._reply(verdict)
        else:
            self._forward(verdict, _Body(io.BytesIO(content), _sized(content)))

    def _reply(self, answer: Answer) -> None:
        self._told = answer.status
        self._record()
        self.send_body(answer.status, dict(answer.headers), answer.body)

    def _hang(self, body: _Body) -> None:
        """Wait for the client to close (or the server to shut the connection at its end)."""
        _drain(body)
        self.connection.recv(1)
        raise _Break

    def _drip(self, body: _Body, head: bytes, seconds: float) -> None:
        """Go on until the client closes."""
        _drain(body)
        self._record()
        self.wfile.write(head)
        while not self.server.stopping.wait(seconds):
            self.wfile.write(b"x")
        raise _Break

    def _forward(self, action: Action | None, body: _Body) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=600)
        try:
            limit = action.after_bytes if isinstance(action, ResetRequest) else None
            flip = action.offset if isinstance(action, FlipSent) else None
            self._send(upstream, body, limit, flip)
            if isinstance(action, ResetRequest):
                if action.happens is not None:
                    action.happens()
                raise _Break
            with upstream.getresponse() as answer:
                if isinstance(action, DropAfterCommit):
                    answer.read()
                    raise _Break
                self._answer(answer, action)
        finally:
            upstream.close()

    def _send(
        self,
        upstream: http.client.HTTPConnection,
        body: _Body,
        limit: int | None,
        flip: int | None,
    ) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        upstream.putheader("Host", self.server.upstream)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"host", "expect"}:
                upstream.putheader(name, value)
        if body.chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        for passed in body.pieces(limit):
            piece = _flipped(passed, body.length - len(passed), flip)
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if body.chunked else piece)
        if body.chunked and limit is None:
            upstream.send(b"0\r\n\r\n")

    def _answer(self, answer: http.client.HTTPResponse, action: Action | None) -> None:
        rewrite = action if isinstance(action, Rewrite) else Rewrite()
        self._told = rewrite.status or answer.status
        self._record()
        self.send_response_only(self._told)
        headers = self._answer_headers(answer, rewrite)
        for name, value in headers:
            self.send_header(name, value)
        sized = any(name.lower() == "content-length" for name, _ in headers)
        empty = self.command == "HEAD" or answer.status in (204, 304)
        chunked = not sized and not empty
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not empty:
            self._pass_body(_answer_pieces(answer, action), chunked)
        if isinstance(action, ResetResponse):
            self._end_early(action)

    def _answer_headers(
        self, answer: http.client.HTTPResponse, rewrite: Rewrite
    ) -> Sequence[tuple[str, str]]:
        changed = {name.lower() for name in rewrite.headers}
        if rewrite.body is not None:
            changed.add("content-length")
        kept = [
            (name, self._own_location(value) if name.lower() == "location" else value)
            for name, value in answer.getheaders()
            if name.lower() not in changed | _HOP_BY_HOP
        ]
        added = [(name, value) for name, value in rewrite.headers.items() if value is not None]
        if rewrite.body is not None and "content-length" not in {n.lower() for n, _ in added}:
            added.append(("Content-Length", str(len(rewrite.body))))
        return [*kept, *added]

    def _own_location(self, location: str) -> str:
        ours = f"http://{self.server.upstream}"
        if not _within(location, ours):
            return location
        return self.server.advertised + location.removeprefix(ours)

    def _pass_body(self, pieces: Iterator[bytes], chunked: bool) -> None:
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _end_early(self, action: ResetResponse) -> None:
        self.wfile.flush()
        self.close_connection = True
        if action.abrupt:
            raise _Break


def _within(location: str, origin: str) -> bool:
    return location == origin or location.startswith(f"{origin}/")


def _sized(content: bytes) -> Mapping[str, str]:
    return {"content-length": str(len(content))}


def _drain(body: _Body) -> None:
    for _ in body.pieces():
        pass


def _answer_pieces(answer: http.client.HTTPResponse, action: Action | None) -> Iterator[bytes]:
    if isinstance(action, Rewrite) and action.body is not None:
        answer.read()
        yield action.body
        return
    limit = action.after_bytes if isinstance(action, ResetResponse) else None
    position = 0
    while limit is None or position < limit:
        piece = answer.read(_CHUNK if limit is None else min(_CHUNK, limit - position))
        if not piece:
            return
        flip = action.offset if isinstance(action, FlipByte) else None
        yield _flipped(piece, position, flip)
        position += len(piece)


def _flipped(piece: bytes, position: int, offset: int | None) -> bytes:
    """A piece that begins at ``position``, with the byte at ``offset`` changed if that is in it."""
    at = -1 if offset is None else offset - position
    if not 0 <= at < len(piece):
        return piece
    return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
