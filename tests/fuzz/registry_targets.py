"""Targets of the registry client: what a registry, a token server or a proxy may answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import requests
import urllib3.util

from airgap_shared.errors import AirgapError
from airgap_shared.oci import mediatype
from airgap_shared.stores.challenge import Challenge, parse_challenges
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.download import Download
from airgap_shared.stores.endpoint import Endpoint, Origin
from airgap_shared.stores.exchange import Access, Answer, Request
from airgap_shared.stores.origins import check_realm, redirect_target, upload_location
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.referrerpages import ReferrerPages
from airgap_shared.stores.refusals import judge, read_complaint
from airgap_shared.stores.retrying import Transient, parse_retry_after
from airgap_shared.stores.settings import ClientSettings, Patience
from airgap_shared.stores.tokens import IdentityRefused, TokenService
from fuzz.target import Target, Turns
from support.clients import FakeClock

_ENDPOINT = Endpoint("reg.example:5000")
_REQUEST = Request("GET", "https://reg.example:5000/v2/a/blobs/x", "reg.example:5000/a", (200,))
_SECRET = "c4n4ry-s3cret"
_IDENTITY = Credential("robot", _SECRET)


class _Page:
    """A body that is here already, in small pieces."""

    def __init__(self, content: bytes, piece: int = 1 << 20) -> None:
        self._content, self._piece = content, piece

    def read(self, size: int) -> bytes:
        size = min(size, self._piece)
        piece, self._content = self._content[:size], self._content[size:]
        return piece

    def close(self) -> None:
        self._content = b""


def _text(data: bytes) -> str:
    """As http.client gives headers: Latin-1 (RFC 9110 §5.5)."""
    return data.decode("latin-1")


def _answer(
    status: int, headers: dict[str, str], body: bytes = b"", piece: int = 1 << 20
) -> Answer:
    return Answer(status, headers, (), _REQUEST.url, _Page(body, piece))


# Challenges and tokens --------------------------------------------------------------------------


def _feed_challenge(data: bytes) -> None:
    headers = [_text(line) for line in data.split(b"\n")]
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower() and challenge.scheme
        realm = challenge.parameters.get("realm")
        if realm is not None:
            _feed_realm(realm)


def _feed_realm(realm: str) -> None:
    try:
        check_realm(realm, _ENDPOINT, ())
    except AirgapError as refusal:
        str(refusal).encode()
        return
    assert _host_of(realm) == "reg.example"


def _host_of(url: str) -> str | None:
    """The host by the parser that makes the connections."""
    host = urllib3.util.parse_url(url).host
    return None if host is None else host.lower().removesuffix(".")


def _challenges() -> Iterator[bytes]:
    yield b'Bearer realm="https://reg.example/token",service="reg",scope="repository:a:pull,push"'
    yield b'Basic realm="a \\"quoted\\" one", Bearer realm=x,error="insufficient_scope"'
    yield b"Negotiate abc=, NTLM\nBasic"
    yield b"bearer  realm = https://REG.example.:443/t , service = a"


def _feed_token(data: bytes) -> None:
    """Headers and body of a token server's answer, behind the status."""
    turns = Turns(data)
    status = (200, 200, 200, 401, 429, 500, 503)[turns.below(7)]
    head, _, body = turns.rest().partition(b"\n\n")
    headers = {"retry-after": _text(head)} if head else {}
    asked: list[str | None] = []

    def send(request: Request, authorization: str | None) -> Answer:
        asked.append(request.url)
        return _answer(status, headers, body)

    clock = FakeClock()
    settings = ClientSettings(patience=Patience(timing=clock.timing()))
    redactor = Redactor()
    redactor.learn(*_IDENTITY.secrets)
    challenge = Challenge("bearer", {"realm": "https://reg.example:5000/token", "service": "x"})
    service = TokenService(_ENDPOINT, send, settings, redactor)
    try:
        token = service.token(challenge, Access.to("a", "pull"), _IDENTITY)
    except (Transient, IdentityRefused) as fault:
        assert _SECRET not in str(fault.error)
        raise fault.error from fault
    except AirgapError as refusal:
        assert _SECRET not in str(refusal)
        raise
    assert token.isascii() and token.isprintable() and " " not in token


def _token_answers() -> Iterator[bytes]:
    for document in (
        {"token": "abc.def", "expires_in": 300},
        {"access_token": "abc", "expires_in": 1e308},
        {"token": "abc", "expires_in": 10**400},
        {"token": "abc", "expires_in": -1, "issued_at": "2026-01-01T00:00:00Z"},
        {"errors": [{"code": "UNAUTHORIZED", "message": f"not {_SECRET}"}]},
    ):
        for status in range(7):
            yield bytes((status,)) + b"5\n\n" + json.dumps(document).encode()


# Origins ----------------------------------------------------------------------------------------


def _feed_origins(data: bytes) -> None:
    """An address that a registry names, in each of the places where it may name one."""
    text = _text(data)
    try:
        target = upload_location(_answer(202, {"location": text}), _ENDPOINT, "reg.example", ())
    except AirgapError as refusal:
        str(refusal).encode()
    else:
        parsed = urllib3.util.parse_url(target)
        assert (parsed.scheme, parsed.host, parsed.port) == ("https", "reg.example", 5000), target
        assert Origin.of(target) == _ENDPOINT.origin
    _feed_realm(text)
    target = redirect_target(_REQUEST, _answer(307, {"location": text}), 0)
    origin, parsed = Origin.of(target), urllib3.util.parse_url(target)
    assert origin is not None and origin.scheme == "https"
    assert parsed.auth is None and parsed.scheme == "https"
    assert _host_of(target) in (origin.host, f"[{origin.host}]")
    assert (443 if parsed.port is None else parsed.port) == origin.port
    assert urlsplit(target).fragment == ""
    requests.Request("GET", target).prepare()


def _addresses() -> Iterator[bytes]:
    yield b"https://reg.example:5000/v2/a/blobs/uploads/1?_state=x"
    yield b"/v2/a/blobs/uploads/1?_state=x#f"
    yield b"https://REG.EXAMPLE.:5000/x"
    yield b"https://reg.example:5000@evil.example/"
    yield b"//evil.example\\@reg.example:5000/"
    yield b"http://[::1]:80/%00"
    yield b"https://169.254.169.254/latest"
    yield b"https:/\\evil.example"
    yield b"https://a[::1]:80/"


# Lists ------------------------------------------------------------------------------------------


def _feed_link(data: bytes) -> None:
    """A ``Link`` header with each page of a list: the next one is asked of the same server."""
    lines = data.split(b"\n")[:5]
    asked: list[Request] = []

    def exchange(request: Request) -> Answer:
        headers = {"content-type": mediatype.OCI_INDEX}
        if len(asked) < len(lines):
            headers["link"] = _text(lines[len(asked)])
        asked.append(request)
        return replace(_answer(200, headers, b"{}"), url=request.url)

    pages = ReferrerPages(exchange, _REQUEST, Patience(timing=FakeClock().timing())).read()
    try:
        assert pages is not None and len(list(pages)) == len(asked)
    finally:
        for request in asked:
            assert Origin.of(request.url) == _ENDPOINT.origin
            assert _host_of(request.url) == "reg.example"
            requests.Request("GET", request.url).prepare()


def _links() -> Iterator[bytes]:
    for address in _addresses():
        yield b"<" + address + b'>; rel="next"\n</v2/a/referrers/x?n=2>; rel=next'
    yield b'</v2/a/referrers/x?n=1&last=%zz>; title="x"; rel="next"'
    yield b'<http://[::1/x>; rel="next"'


# Downloads --------------------------------------------------------------------------------------

_BLOB = bytes(range(256)) * 4


def _feed_download(data: bytes) -> None:
    """Answers of any status and headers; never one byte more than was asked for."""
    turns = Turns(data)
    lines = iter(turns.rest().split(b"\n"))
    exchanges = 0

    def exchange(request: Request) -> Answer:
        nonlocal exchanges
        exchanges += 1
        status = (200, 206, 206, 404, 416)[turns.below(5)]
        headers = {
            "content-range": _text(next(lines, b"")),
            "content-length": _text(next(lines, b"")),
        }
        body = _BLOB[turns.below(256) :][: turns.below(256) * 4]
        return _answer(status, {key: value for key, value in headers.items() if value}, body, 97)

    clock = FakeClock()
    download = Download(exchange, _REQUEST, len(_BLOB), Patience(timing=clock.timing()))
    offset = turns.below(4) * 100
    found = b"".join(download.chunks(offset))
    assert len(found) == len(_BLOB) - offset
    assert exchanges <= 100


def _downloads() -> Iterator[bytes]:
    yield b"\x00\x00\x00\x00\xff"
    yield b"\x01\x01bytes 100-1023/1024\n924\n\xff\xff"
    yield b"\x00\x01\x00\x20bytes 0-127/*\n\nbytes 128-1023/1024\n896\n"


def _feed_retry_after(data: bytes) -> None:
    value, _, date = data.partition(b"\n")
    seconds = parse_retry_after(_text(value), _text(date) or None, 1_800_000_000.0)
    assert seconds is None or 0 <= seconds < float("inf")
    length = _answer(200, {"content-length": _text(value)}).length()
    assert length is None or length >= 0
    problem = judge(_REQUEST, _answer(503, {"retry-after": _text(value)}), Redactor(), 0.0)
    assert isinstance(problem, Transient)


def _retry_afters() -> Iterator[bytes]:
    yield b"120\n"
    yield b"Wed, 21 Oct 2026 07:28:00 GMT\nWed, 21 Oct 2026 07:27:00 GMT"
    yield b"Wed, 21 Oct 2026 07:28:00 +9999\nFri, 31 Dec 9999 23:59:59 -1200"
    yield b"999999999999999999999\n"


# Error pages ------------------------------------------------------------------------------------


def _feed_complaint(data: bytes) -> None:
    """An error page: what is shown of it is printable, short and without secrets."""
    redactor = Redactor()
    redactor.learn(*_IDENTITY.secrets)
    complaint = read_complaint(data, redactor)
    for line in complaint.lines:
        assert line.isprintable() and _SECRET not in line and _IDENTITY.basic not in line
        assert len(line) < 6000
    for method, status in (("GET", 500), ("PUT", 400), ("PUT", 403), ("POST", 404)):
        request = Request(method, _REQUEST.url, "reg.example", (200,))
        problem = judge(request, _answer(status, {}, data), redactor, 0.0)
        error = problem.error if isinstance(problem, Transient) else problem
        assert isinstance(error, AirgapError) and error.exit_code != 1
        assert _SECRET not in str(error)


def _complaints() -> Iterator[bytes]:
    basic = _IDENTITY.basic
    for message in ("denied", f"no Basic {basic}", f"https://robot:{_SECRET}@h/?a=b {_SECRET}"):
        for code in ("DENIED", "MANIFEST_INVALID", "TAG_IMMUTABLE", 7):
            error = {"code": code, "message": message, "detail": {"Authorization": message}}
            yield json.dumps({"errors": [error]}).encode()
    yield b"<html><body>502 Bad Gateway</body></html>"
    yield b'{"errors":[{"code":null,"detail":[[[1]]]},5,{"message":["x"]}]}'
    yield b'{"error":"x\\ud800\\u0000\\u202e"}'


_SCHEMES = (b"Bearer ", b"Basic ", b"realm=", b"service=", b"scope=", b"error=", b"https://")
_URLS = (b"https://", b"http://", b"reg.example", b":5000", b"//", b"@", b"[::1]", b"\\")
_ERRORS = (b"errors", b"code", b"message", b"detail", b"Bearer ", _SECRET.encode(), b"://", b"?a=")
_DATES = (b" GMT", b"Mon, ", b" +0000", b" Jan ")

TARGETS = {
    "challenge": Target(_feed_challenge, _challenges, _SCHEMES),
    "token-answer": Target(_feed_token, _token_answers, (b"token", b"expires_in", *_ERRORS)),
    "origins": Target(_feed_origins, _addresses, _URLS),
    "next-page": Target(_feed_link, _links, (b"<", b'>; rel="next"', *_URLS)),
    "download": Target(_feed_download, _downloads, (b"bytes ", b"/1024", b"0-1023", b"\n")),
    "retry-after": Target(_feed_retry_after, _retry_afters, _DATES),
    "complaint": Target(_feed_complaint, _complaints, _ERRORS),
}
