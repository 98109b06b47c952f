from __future__ import annotations

import http.client
import threading
from collections.abc import Callable

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import (
    Answer,
    Delay,
    Drip,
    DropAfterCommit,
    Echo,
    FlipByte,
    FlipSent,
    Hang,
    Meanwhile,
    ResetRequest,
    ResetResponse,
    Rewrite,
    Rule,
    redirect,
)
from support.images import GeneratedContent, chunks_of, digest_of, generated_layer, make_image
from support.meddling import MeddlingProxy
from support.pushing import RegistryRefused, fetch_blob, fetch_manifest, push_blob, push_image

CONTENT = b"".join(chunks_of(GeneratedContent(3 << 20)))
DIGEST = digest_of(CONTENT)
BLOB = f"/v2/app/blobs/{DIGEST}"
BROKEN = (ConnectionError, http.client.HTTPException)


def test_an_image_passes_through(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host)
    image = make_image([b"small", generated_layer(5 << 20)])
    push_image(proxy.host, "app", "1", image)
    assert fetch_manifest(proxy.host, "app", "1").raw == image.raw
    assert registry.storage.tags("app") == {"1": image.digest}
    steps = [(one.method, one.status) for one in proxy.mutations()]
    assert steps == [("POST", 202), ("PUT", 201)] * 3 + [("PUT", 201)]
    # A Location that named the registry would have drawn the uploads away from the proxy.
    sent = {one.body_length for one in proxy.requests("PUT", "digest=")}
    assert 5 << 20 in sent


def test_a_chunked_request_passes_through(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host)
    connection = http.client.HTTPConnection(proxy.host)
    connection.request("POST", "/v2/app/blobs/uploads/")
    begun = connection.getresponse()
    begun.read()
    location = begun.headers["Location"].removeprefix(proxy.url)
    connection.request("PATCH", location, iter([b"abc", b"de"]), encode_chunked=True)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert (answer.status, answer.headers["Range"]) == (202, "0-4")
    assert proxy.requests("PATCH")[0].body_length == 5


@pytest.mark.parametrize("first", [1, 2])
def test_a_rule_acts_on_its_hits(
    registry: DockerRegistry, make_proxy: MakeProxy, first: int
) -> None:
    rule = Rule(Answer(503, {"Retry-After": "0"}, b"later"), "GET", "^/v2/$", first=first)
    proxy = make_proxy(registry.host, rule)
    seen = [_get(proxy.host, "/v2/")[0] for _ in range(3)]
    assert seen == [503 if number == first else 200 for number in (1, 2, 3)]
    assert [one.rule for one in proxy.requests()] == [status == 503 for status in seen]


def test_the_first_rule_that_acts_wins(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(500)), Rule(Answer(429), times=None))
    assert [_get(proxy.host, "/v2/")[0] for _ in range(2)] == [500, 429]
    proxy.clear()
    assert _get(proxy.host, "/v2/")[0] == 200
    assert len(proxy.requests()) == 1


def test_a_client_is_sent_elsewhere(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(redirect("http://elsewhere.test/x"), path="blobs"))
    status, headers, _ = _get(proxy.host, BLOB)
    assert (status, headers["Location"]) == (307, "http://elsewhere.test/x")


def test_an_answer_is_rewritten(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    change = Rewrite(200, {"Content-Type": None, "X-New": "1"}, b"other")
    proxy = make_proxy(registry.host, Rule(change))
    status, headers, body = _get(proxy.host, "/v2/app/tags/list")
    assert (status, headers["X-New"], body) == (200, "1", b"other")
    assert "Content-Type" not in headers


def test_a_delayed_request_is_answered(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    assert _get(make_proxy(registry.host, Rule(Delay(0.01))).host, "/v2/")[0] == 200


def test_one_byte_is_changed(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    push_blob(registry.host, "app", DIGEST, CONTENT)
    proxy = make_proxy(registry.host, Rule(FlipByte(1_000_000), "GET", "blobs"))
    found = fetch_blob(proxy.host, "app", DIGEST)
    differing = [at for at, (a, b) in enumerate(zip(found, CONTENT, strict=True)) if a != b]
    assert differing == [1_000_000]
    assert fetch_blob(proxy.host, "app", DIGEST) == CONTENT


@pytest.mark.parametrize("abrupt", [True, False])
def test_an_answer_is_cut_off(
    registry: DockerRegistry, make_proxy: MakeProxy, abrupt: bool
) -> None:
    push_blob(registry.host, "app", DIGEST, CONTENT)
    proxy = make_proxy(registry.host, Rule(ResetResponse(100_000, abrupt), "GET", "blobs"))
    with pytest.raises(BROKEN) as caught:
        _get(proxy.host, BLOB)
    if isinstance(caught.value, http.client.IncompleteRead):
        assert len(caught.value.partial) <= 100_000
    else:
        assert abrupt
    assert _get(proxy.host, BLOB)[2] == CONTENT


@pytest.mark.parametrize("after", [0, 1_000_000])
def test_an_upload_is_cut_off(registry: DockerRegistry, make_proxy: MakeProxy, after: int) -> None:
    proxy = make_proxy(registry.host, Rule(ResetRequest(after), "PUT", "digest="))
    with pytest.raises(BROKEN):
        push_blob(proxy.host, "app", DIGEST, CONTENT)
    assert registry.storage.blobs() == {}
    [cut] = proxy.requests("PUT")
    assert (cut.body_length, cut.status) == (after, None)
    push_blob(proxy.host, "app", DIGEST, CONTENT)
    assert registry.storage.blobs() == {DIGEST: len(CONTENT)}


def test_an_answer_is_lost_after_the_deed(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(DropAfterCommit(), "PUT", "digest="))
    with pytest.raises(BROKEN):
        push_blob(proxy.host, "app", DIGEST, CONTENT)
    assert registry.storage.blobs() == {DIGEST: len(CONTENT)}


def test_a_silent_proxy_lets_go(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(Hang(), times=None))
    connection = http.client.HTTPConnection(proxy.host, timeout=0.1)
    connection.request("GET", "/v2/")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert proxy.requests()[0].status is None


def test_leaving_ends_waiting_clients(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    """What waits on the proxy when a test ends must not hold the test up."""
    proxy = make_proxy(registry.host, Rule(Hang(), times=None))
    ended = threading.Event()
    waiting = threading.Thread(target=_until_broken, args=(proxy.host, ended.set))
    waiting.start()
    while not proxy.requests():
        ended.wait(0.01)
    proxy.__exit__(None, None, None)
    assert ended.wait(10)
    waiting.join()


def test_something_happens_before_a_request_is_passed_on(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    seen: list[int] = []
    proxy.add(Rule(Meanwhile(lambda: seen.append(len(proxy.requests()))), "GET", "/v2/"))
    assert _get(proxy.host, "/v2/")[0] == 200
    assert _get(proxy.host, "/v2/")[0] == 200
    assert seen == [1]


def test_requests_on_one_connection(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host)
    connection = http.client.HTTPConnection(proxy.host)
    for _ in range(3):
        connection.request("GET", "/v2/")
        opened = connection.sock
        connection.getresponse().read()
        assert connection.sock is opened
    connection.close()
    assert len(proxy.requests("GET")) == 3


def _get(host: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def _until_broken(host: str, report: Callable[[], None]) -> None:
    try:
        _get(host, "/v2/")
    except BROKEN:
        report()


@pytest.mark.parametrize("offset", [0, 1_000_000, len(CONTENT) - 1])
def test_one_byte_of_an_upload_is_changed(
    registry: DockerRegistry, make_proxy: MakeProxy, offset: int
) -> None:
    proxy = make_proxy(registry.host, Rule(FlipSent(offset), "PUT"))
    with pytest.raises(RegistryRefused, match="DIGEST_INVALID"):
        push_blob(proxy.host, "app", DIGEST, CONTENT)
    assert registry.storage.blobs() == {}


def test_an_answer_drips(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(Drip(b"HTTP/1.1 200 OK\r\n\r\n")))
    connection = http.client.HTTPConnection(proxy.host, timeout=30)
    connection.request("GET", "/v2/")
    answer = connection.getresponse()
    assert answer.read(3) == b"xxx"
    answer.close()
    connection.close()


def test_a_page_repeats_who_came(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(Echo(403, b"<", b">")))
    connection = http.client.HTTPConnection(proxy.host, timeout=30)
    connection.request("GET", "/v2/", headers={"Authorization": "Basic x"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"<Basic x>")
    connection.close()


def test_uploads_are_sent_to_where_it_is_advertised(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy, other = make_proxy(registry.host), make_proxy(registry.host)
    proxy.advertised = other.url
    connection = http.client.HTTPConnection(proxy.host, timeout=30)
    connection.request("POST", "/v2/app/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers["Location"].startswith(f"{other.url}/v2/app/blobs/uploads/")


def test_somebody_meddles_at_the_moment_that_was_chosen(registry: DockerRegistry) -> None:
    image = make_image([b"content"])
    deeds: list[int] = []
    with MeddlingProxy(registry.host) as proxy:
        proxy.meddle(lambda: deeds.append(len(proxy.requests())), "PUT", "/manifests/")
        push_image(proxy.host, "app", "1", image)
        push_image(proxy.host, "app", "2", image)
        (before,) = deeds
        assert "/manifests/1" in proxy.requests()[before].path
