"""Schedules of faults: from a number, always the same rules for a fault proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Final

from support.faults import (
    Action,
    Answer,
    Delay,
    DropAfterCommit,
    FlipByte,
    ResetRequest,
    ResetResponse,
    Rewrite,
    Rule,
    redirect,
)

_ENDPOINTS: Final = (
    ("GET", "/v2/$"),
    ("HEAD", "/blobs/"),
    ("POST", "/blobs/uploads/"),
    ("PATCH", "/blobs/uploads/"),
    ("PUT", "/blobs/uploads/"),
    ("DELETE", "/blobs/uploads/"),
    ("HEAD", "/manifests/"),
    ("GET", "/manifests/"),
    ("PUT", "/manifests/sha256:"),
    ("PUT", "/manifests/(?!sha256:)"),
    ("PUT|POST|PATCH", ""),
    ("", ""),
)
_STATUSES: Final = (
    *(200, 201, 202, 204, 301, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 416, 418, 429),
    *(429, 500, 500, 501, 502, 502, 503, 503, 504, 507),
)
_CODES: Final = ("BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "UNKNOWN", "X")
_HEADERS: Final = (
    {"Docker-Content-Digest": f"sha256:{'0' * 64}"},
    {"Docker-Content-Digest": "nonsense"},
    {"Docker-Content-Digest": None},
    {"Location": None},
    {"Location": "https://evil.example/v2/x"},
    {"Location": "//[::1"},
    {"Content-Type": "text/html"},
    {"Content-Type": None},
    {"WWW-Authenticate": 'Bearer realm="http://evil.example/"'},
)
_BODIES: Final = (b"", b"{}", b"[]", b"\xff" * 50, b"<html>gateway</html>", b'{"errors":[{}]}')


def schedule(number: int) -> tuple[Rule, ...]:
    """From one to five rules."""
    random = Random(number)  # noqa: S311 - repeatable on purpose
    return tuple(_rule(random) for _ in range(random.choice((1, 1, 2, 2, 3, 5))))


def _rule(random: Random) -> Rule:
    method, path = random.choice(_ENDPOINTS)
    times = random.choice((1, 1, 1, 2, 3, 8, None))
    action = random.choice(_ACTIONS)(random)
    return Rule(action, method, path, first=random.choice((1, 1, 2, 3, 7)), times=times)


def _answer(random: Random) -> Action:
    status = random.choice(_STATUSES)
    headers = {"Retry-After": random.choice(("0", "2", "nonsense", "-1", "99999"))}
    error = {"code": random.choice(_CODES), "message": "made up"}
    body = random.choice((*_BODIES, json.dumps({"errors": [error]}).encode()))
    return Answer(status, headers if random.random() < 0.3 else {}, body)


def _rewrite(random: Random) -> Action:
    if random.random() < 0.5:
        return Rewrite(headers=random.choice(_HEADERS))
    if random.random() < 0.5:
        return Rewrite(status=random.choice(_STATUSES))
    return Rewrite(body=random.choice(_BODIES))


def _redirect(random: Random) -> Action:
    places = ("/elsewhere", "http://127.0.0.1:1/x", "https://evil.example/", "http://a[::1]/", "")
    return redirect(random.choice(places), random.choice((301, 302, 303, 307, 308)))


def _size(random: Random) -> int:
    return random.choice((0, 1, 100, 1000, 5000))


_ACTIONS: Final[tuple[Callable[[Random], Action], ...]] = (
    _answer,
    _answer,
    _rewrite,
    _redirect,
    lambda random: ResetRequest(_size(random)),
    lambda random: ResetResponse(_size(random), random.random() < 0.5),
    lambda random: DropAfterCommit(),
    lambda random: Delay(random.choice((0.001, 0.02))),
    lambda random: FlipByte(_size(random)),
)
