"""Group E, faults that pass or do not: broken lines, errors, silence, lost sessions."""

from __future__ import annotations

import email.utils
import time
from dataclasses import replace
from random import Random
from urllib.parse import unquote

import pytest

from adversarial.conftest import Haste
from support.budget import budget
from support.docker_registry import MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import (
    Answer,
    Drip,
    FlipSent,
    Hang,
    ResetRequest,
    ResetResponse,
    Rewrite,
    Rule,
)
from support.figures import Figure
from support.gate import LARGE, NAMESPACE, Gate
from support.images import size_of
from support.journey import succeeded
from support.token_server import SERVICE, MakeTokenServer, TokenPolicy

pytestmark = pytest.mark.usefixtures("haste")

_SIZE = size_of(LARGE.content)
_LARGE_PUT = LARGE.digest.replace(":", "%3A")
_BLOBS = "/blobs/uploads/"
_BY_DIGEST = "/manifests/sha256"
_KEEP_TAG = "/manifests/airgap-"
_RELEASE_TAG = "/manifests/1$"
_RECEIPTS = "/airgap-receipts/"


def _assert_in_order(proxy: FaultProxy) -> None:
    """Each blob was stored once, blobs before manifests, those before the tags; a receipt last."""
    stored = [one for one in proxy.requests("PUT") if one.status == 201]
    taken = [one for one in stored if _RECEIPTS not in one.path]
    assert stored[: len(taken)] == taken
    blobs = [unquote(one.path).rpartition("digest=")[2] for one in taken if _BLOBS in one.path]
    assert len(blobs) == len(set(blobs))
    stages = [
        next(n for n, part in enumerate((_BLOBS, _BY_DIGEST, "/manifests/")) if part in one.path)
        for one in taken
        if _KEEP_TAG not in one.path
    ]
    assert stages == sorted(stages)
    assert {0, 1, 2} == set(stages)


class TestE01:
    """Nobody there."""

    @pytest.mark.parametrize("host", ["127.0.0.1:1", "registry.invalid"])
    def test_is_said_within_the_budget(self, gate: Gate, haste: Haste, host: str) -> None:
        done = gate.fails(20, "RegistryUnavailable", run=lambda: gate.apply(host=host))
        assert host in done.err
        assert len(haste.pauses) < 10
        gate.heals()


class TestE02:
    """The line breaks while a blob is sent."""

    def test_at_many_bytes(self, gate: Gate, figure: Figure) -> None:
        picked = Random(2).sample(range(_SIZE), budget(2, 60))  # noqa: S311 - the same every run
        positions = [0, 1, _SIZE - 1, *picked]
        for position in positions:
            gate.proxy.clear()
            gate.proxy.add(Rule(ResetRequest(position), "PUT", _LARGE_PUT, times=2))
            gate.registry.wipe()
            succeeded(gate.apply())
            assert len(gate.proxy.requests("PUT", _LARGE_PUT)) == 3
            _assert_in_order(gate.proxy)
            gate.assert_complete()
        figure("positions at which an upload was broken", len(positions))

    def test_of_every_blob(self, gate: Gate) -> None:
        for number in range(1, 40, 2):
            gate.proxy.add(Rule(ResetRequest(1), "PUT", _BLOBS, first=number))
        succeeded(gate.apply("--jobs", "1"))
        _assert_in_order(gate.proxy)
        gate.assert_complete()


class TestE03:
    """The line breaks always."""

    @pytest.mark.parametrize(
        "rule",
        [
            Rule(ResetRequest(), times=None),
            Rule(ResetRequest(100), "PUT", _BLOBS, times=None),
            Rule(ResetRequest(1), "PUT", "/manifests/", times=None),
        ],
        ids=["everywhere", "in blobs", "in manifests"],
    )
    def test_is_unavailable_and_heals(self, gate: Gate, haste: Haste, rule: Rule) -> None:
        gate.proxy.add(rule)
        gate.fails(20, "RegistryUnavailable")
        assert sum(haste.pauses) < 15 * 60
        gate.heals()


class TestE04:
    """Errors of servers that recover."""

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_of_every_endpoint_twice(self, gate: Gate, status: int) -> None:
        endpoints = [
            ("GET", "/v2/$"),
            ("HEAD", _RELEASE_TAG),
            ("GET", _BY_DIGEST),
            ("HEAD", "/blobs/sha256"),
            ("POST", f"{_BLOBS}$"),
            ("DELETE", _BLOBS),
            ("POST", r"\?mount="),
            ("PUT", _BLOBS),
            ("PUT", _BY_DIGEST),
            ("HEAD", _KEEP_TAG),
            ("PUT", _KEEP_TAG),
            ("PUT", _RELEASE_TAG),
        ]
        fault = Answer(status, {}, b"<html>busy</html>")
        for method, path in endpoints:
            gate.proxy.add(Rule(fault, method, path, times=2))
        succeeded(gate.apply())
        for method, path in endpoints:
            assert [one.rule for one in gate.proxy.requests(method, path)].count(True) == 2, path
        _assert_in_order(gate.proxy)
        gate.assert_complete()


class TestMounts:
    """Registries that do not take blobs over from each other, and say so in odd ways."""

    @pytest.mark.parametrize(
        "action",
        [Answer(202), Answer(429), Answer(503), Hang()],
        ids=["no session", "later", "busy", "silence"],
    )
    def test_that_fail_for_ever_are_no_matter(
        self, gate: Gate, haste: Haste, action: Answer | Hang
    ) -> None:
        gate.proxy.add(Rule(action, "POST", r"\?mount=", times=None))
        haste.limit(1 if isinstance(action, Hang) else 60)
        succeeded(gate.apply())
        assert any(one.rule for one in gate.proxy.requests("POST", r"\?mount="))
        gate.assert_complete()


class TestE05:
    """Registries that ask to come back later."""

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
    def test_in_seconds(self, gate: Gate, haste: Haste, method: str) -> None:
        gate.proxy.add(Rule(Answer(429, {"Retry-After": "2"}), method))
        succeeded(gate.apply())
        assert [2 <= pause <= 3 for pause in haste.pauses] == [True]
        gate.assert_complete()

    def test_by_a_date(self, gate: Gate, haste: Haste) -> None:
        date = email.utils.formatdate(time.time() + 100, usegmt=True)
        gate.proxy.add(Rule(Answer(429, {"Retry-After": date}), "POST"))
        succeeded(gate.apply())
        assert [2 <= pause <= 101 for pause in haste.pauses] == [True]
        gate.assert_complete()

    def test_later_than_anybody_waits(self, gate: Gate, haste: Haste) -> None:
        gate.proxy.add(Rule(Answer(429, {"Retry-After": "86400"}), "PUT", _BLOBS, times=None))
        gate.fails(20, "RateLimited")
        assert haste.pauses == []
        gate.heals()


class TestE07:
    """Registries that take a request and never come to an end."""

    @pytest.mark.parametrize(
        "where",
        [("GET", "/v2/$"), ("PUT", _BLOBS), ("PUT", _BY_DIGEST)],
        ids=["at once", "in blobs", "in manifests"],
    )
    @pytest.mark.parametrize(
        "action",
        [
            Hang(),
            Drip(b""),
            Drip(b"HTTP/1.1 201 Created\r\nX-Slow: "),
            Drip(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
        ],
        ids=["silence", "a byte now and then", "in a header", "in a chunk's size"],
    )
    def test_is_a_timeout(
        self, gate: Gate, haste: Haste, action: Hang | Drip, where: tuple[str, str]
    ) -> None:
        gate.proxy.add(Rule(action, *where, times=None))
        haste.limit(0.5)
        gate.fails(20, "RegistryTimeout")
        haste.limit(60)
        gate.heals()

    def test_in_what_is_read(self, gate: Gate, haste: Haste) -> None:
        succeeded(gate.apply())
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        gate.proxy.add(Rule(Drip(head), "GET", "/manifests/", times=None))
        haste.limit(0.5)
        gate.fails(20, "RegistryTimeout")


def test_e08_a_token_expires_in_the_middle_of_a_blob(
    gate: Gate,
    make_registry: MakeRegistry,
    make_token_server: MakeTokenServer,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = make_token_server(TokenPolicy(users={"robot": "s3cret:word"}, anonymous=None))
    registry = make_registry(RegistryOptions(token=tokens.realm))
    gate = replace(gate, registry=registry, proxy=make_proxy(registry.host))
    challenge = (
        f'Bearer realm="{tokens.realm.realm}",service="{SERVICE}",'
        f'scope="repository:{NAMESPACE}/one:pull,push",error="invalid_token"'
    )
    gate.proxy.add(Rule(Answer(401, {"WWW-Authenticate": challenge}), "PUT", _LARGE_PUT))
    monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", "robot")
    monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", "s3cret:word")

    succeeded(gate.apply())

    assert len(gate.proxy.requests("PUT", _LARGE_PUT)) == 2
    asked = [
        one for one in tokens.requests if f"repository:{NAMESPACE}/one:pull,push" in one.scopes
    ]
    # One when it began, one more for the 401; those for mounts name a second repository.
    assert len([one for one in asked if len(one.scopes) == 1]) == 2
    gate.assert_complete()


class TestE11:
    """Sessions that are not where they should be."""

    @pytest.mark.parametrize("told", ["0-0", "0-99", "0-99999999"])
    def test_by_a_416(self, gate: Gate, told: str) -> None:
        gate.proxy.add(Rule(Answer(416, {"Range": told}), "PUT", _LARGE_PUT, times=2))
        succeeded(gate.apply())
        _assert_in_order(gate.proxy)
        gate.assert_complete()

    @pytest.mark.parametrize("told", ["0-99", "0-99999999", "x"])
    def test_by_the_range_of_a_new_one(self, gate: Gate, told: str) -> None:
        gate.proxy.add(Rule(Rewrite(headers={"Range": told}), "POST", _BLOBS, times=None))
        succeeded(gate.apply())
        gate.assert_complete()

    def test_for_ever(self, gate: Gate) -> None:
        gate.proxy.add(Rule(Answer(416, {"Range": "0-99"}), "PUT", _BLOBS, times=None))
        gate.fails(22, "RegistryRejected")
        gate.heals()


class TestE12:
    """Sessions that are forgotten."""

    @pytest.mark.parametrize("code", ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"])
    def test_are_begun_anew(self, gate: Gate, code: str) -> None:
        lost = Answer(404, {}, b'{"errors":[{"code":"%s","message":"m"}]}' % code.encode())
        gate.proxy.add(Rule(lost, "PUT", _BLOBS, times=3))
        succeeded(gate.apply("--jobs", "1"))
        sessions = [one.path.partition("?")[0] for one in gate.proxy.requests("PUT", _BLOBS)]
        assert len(sessions) == len(set(sessions))
        _assert_in_order(gate.proxy)
        gate.assert_complete()

    def test_always(self, gate: Gate) -> None:
        lost = Answer(404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"m"}]}')
        gate.proxy.add(Rule(lost, "PUT", _BLOBS, times=None))
        gate.fails(20, "RegistryUnavailable")
        gate.heals()


class TestE13:
    """Something on the way changes what is sent."""

    def test_every_time(self, gate: Gate) -> None:
        gate.proxy.add(Rule(FlipSent(1_000_000), "PUT", _LARGE_PUT, times=None))
        done = gate.fails(24, "RegistryIntegrity")
        assert "DIGEST_INVALID" in done.err
        assert "proxy" in done.err
        assert len(gate.proxy.requests("PUT", _LARGE_PUT)) == 3
        gate.heals()

    def test_once(self, gate: Gate) -> None:
        gate.proxy.add(Rule(FlipSent(_SIZE - 1), "PUT", _LARGE_PUT))
        succeeded(gate.apply())
        gate.assert_complete()

    @pytest.mark.parametrize("offset", [1, 60, 150])
    def test_in_manifests(self, gate: Gate, offset: int) -> None:
        gate.proxy.add(Rule(FlipSent(offset), "PUT", _BY_DIGEST, times=None))
        gate.fails((22, 24), "RegistryRejected", "RegistryIntegrity")
        gate.heals()


@pytest.mark.parametrize("every", [3, 4, 7])
def test_e25_kept_connections_are_closed_now_and_then(gate: Gate, every: int) -> None:
    for number in range(every, 200, every):
        gate.proxy.add(Rule(ResetResponse(1 << 30, abrupt=False), first=number))
    succeeded(gate.apply())
    _assert_in_order(gate.proxy)
    gate.assert_complete()
