from __future__ import annotations

import email.utils
import http.client
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airgap_shared.errors import (
    Denied,
    DigestMismatch,
    RateLimited,
    RegistryError,
    RegistryIntegrity,
    RegistryRejected,
    RegistryUnavailable,
    SizeMismatch,
    TagImmutable,
    UnsafeUploadLocation,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from airgap_shared.stores.tls import TrustSettings
from support.clients import IMPATIENT, FakeClock, Identities, body_of, http_client, settings_by
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Action, Answer, AnswerEarly, DropAfterCommit, ResetRequest, Rewrite, Rule
from support.images import GeneratedContent, chunks_of, make_image
from support.tls import Certificate
from support.token_server import MakeTokenServer, TokenPolicy

CONTENT = b"".join(chunks_of(GeneratedContent((3 << 20) + 5)))
DIGEST = Digest.of(CONTENT)
SIZE = len(CONTENT)
IMAGE = make_image([b"layer"])
ROBOT = Credential("robot", "s3cret:word")


class Source:
    """A body that counts how often it was opened."""

    def __init__(self) -> None:
        self.opened = 0

    def __call__(self) -> Iterator[bytes]:
        self.opened += 1
        return body_of(CONTENT)()


def pushed(proxy: FaultProxy, clock: FakeClock | None = None) -> Source:
    source = Source()
    with http_client(proxy.host, settings=settings_by(clock or FakeClock())) as client:
        client.push_blob("app", DIGEST, SIZE, source)
    return source


@pytest.mark.parametrize("after", [0, 1, 1_000_000, SIZE - 1])
def test_a_broken_upload_is_begun_anew(
    registry: DockerRegistry, make_proxy: MakeProxy, after: int
) -> None:
    proxy = make_proxy(registry.host, Rule(ResetRequest(after), "PUT", times=2))
    assert pushed(proxy).opened == 3
    assert registry.storage.blobs() == {str(DIGEST): SIZE}
    assert [one.method for one in proxy.mutations()] == ["POST", "PUT"] * 3


def test_a_lost_answer_does_not_send_the_blob_again(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host, Rule(DropAfterCommit(), "PUT"))
    assert pushed(proxy).opened == 1
    assert [one.method for one in proxy.requests()] == ["GET", "POST", "PUT", "HEAD"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_waited_for(
    registry: DockerRegistry, make_proxy: MakeProxy, method: str, status: int
) -> None:
    clock = FakeClock()
    fault = Answer(status, {"Retry-After": "7"}, b"<html>busy</html>")
    proxy = make_proxy(registry.host, Rule(fault, method, times=2))
    pushed(proxy, clock)
    assert registry.storage.blobs() == {str(DIGEST): SIZE}
    assert [7 <= pause <= 8 for pause in clock.pauses] == [True, True]


def test_a_date_to_come_back_at_is_kept(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    clock = FakeClock()
    later = {"Retry-After": email.utils.formatdate(clock() + 40, usegmt=True)}
    date = {"Date": email.utils.formatdate(clock(), usegmt=True)}
    proxy = make_proxy(registry.host, Rule(Rewrite(429, {**later, **date}, b""), "POST"))
    pushed(proxy, clock)
    assert [40 <= pause <= 41 for pause in clock.pauses] == [True]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(429, {"Retry-After": "301"}), RateLimited),
        (Answer(503, {"Retry-After": "99999"}), RateLimited),
        (Answer(429), RateLimited),
        (Answer(503), RegistryUnavailable),
    ],
)
def test_patience_ends(
    registry: DockerRegistry, make_proxy: MakeProxy, answer: Answer, error: type[RegistryError]
) -> None:
    clock = FakeClock()
    proxy = make_proxy(registry.host, Rule(answer, "POST", times=None))
    with pytest.raises(error) as caught:
        pushed(proxy, clock)
    assert caught.value.where == f"{proxy.host}/app"
    assert len(clock.pauses) == (0 if "Retry-After" in answer.headers else 5)


@pytest.mark.parametrize(
    ("status", "body", "error", "step"),
    [
        (400, b'{"errors":[{"code":"NAME_INVALID","message":"m"}]}', RegistryRejected, ""),
        (403, b'{"errors":[{"code":"DENIED","message":"quota"}]}', Denied, "push to"),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"m"}]}', RegistryRejected, "created"),
        (405, b"", RegistryRejected, "read-only"),
        (413, b"<html>too large</html>", RegistryRejected, "client_max_body_size"),
        (507, b"", RegistryRejected, "room"),
        (501, b"", RegistryRejected, ""),
    ],
)
def test_a_refusal_says_what_to_do(
    registry: DockerRegistry,
    make_proxy: MakeProxy,
    status: int,
    body: bytes,
    error: type[RegistryError],
    step: str,
) -> None:
    clock = FakeClock()
    proxy = make_proxy(registry.host, Rule(Answer(status, {}, body), "POST", times=None))
    with pytest.raises(error) as caught:
        pushed(proxy, clock)
    assert step in caught.value.next_step
    assert str(status) in caught.value.what
    assert clock.pauses == []
    assert len(proxy.requests("POST")) == 1


def test_content_damaged_on_its_way_is_tried_twice_more(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    damaged = Answer(400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"m"}]}')
    proxy = make_proxy(registry.host, Rule(damaged, "PUT", times=None))
    with pytest.raises(RegistryIntegrity, match="damaged"):
        pushed(proxy)
    assert len(proxy.requests("PUT")) == 3


def test_a_lost_session_is_begun_anew(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    lost = Answer(404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"m"}]}')
    proxy = make_proxy(registry.host, Rule(lost, "PUT"))
    assert pushed(proxy).opened == 2


def test_another_digest_than_pushed_is_noticed(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    other = str(Digest.of(b"other"))
    proxy = make_proxy(
        registry.host, Rule(Rewrite(headers={"Docker-Content-Digest": other}), "PUT", times=None)
    )
    with pytest.raises(RegistryIntegrity, match=other):
        pushed(proxy)
    with http_client(proxy.host) as client, pytest.raises(RegistryIntegrity, match=other):
        fill(client)
    assert len(proxy.requests("PUT", "digest=")) == 2


def fill(client: Registry) -> None:
    for digest, content in IMAGE.all_blobs().items():
        assert isinstance(content, bytes)
        client.push_blob("app", Digest.parse(digest), len(content), body_of(content))
    client.put_manifest("app", "1", IMAGE.raw, IMAGE.media_type)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (412, b'{"errors":[{"code":"PRECONDITION","message":"configured as immutable"}]}'),
        (409, b'{"errors":[{"code":"TAG_IMMUTABLE","message":"m"}]}'),
        (400, b'{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}'),
    ],
)
def test_an_immutable_tag_is_named_so(
    registry: DockerRegistry, make_proxy: MakeProxy, status: int, body: bytes
) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(status, {}, body), "PUT", "manifests"))
    with http_client(proxy.host) as client:
        with pytest.raises(TagImmutable) as caught:
            fill(client)
        assert caught.value.where == f"{proxy.host}/app:1"
        fill(client)


def test_a_500_about_the_content_is_believed_after_three_times(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    """docker-registry answers so to foreign layers."""
    body = b'{"errors":[{"code":"UNKNOWN"},{"code":"MANIFEST_BLOB_UNKNOWN","message":"m"}]}'
    proxy = make_proxy(registry.host, Rule(Answer(500, {}, body), "PUT", "manifests", times=None))
    with http_client(proxy.host) as client, pytest.raises(RegistryRejected) as caught:
        fill(client)
    assert len(proxy.requests("PUT", "manifests")) == 3
    assert "validation.manifests.urls.allow" in caught.value.next_step


LOCATIONS = [
    "http://localhost:{port}/v2/app/blobs/uploads/x",
    "http://127.0.0.1:1/v2/app/blobs/uploads/x",
    "https://127.0.0.1:{port}/v2/app/blobs/uploads/x",
    "//evil.test/x",
    "http://127.0.0.1:{port}@evil.test/x",
    "http://evil.test\\@127.0.0.1:{port}/x",
    "http://[::1/x",
    "",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_an_upload_to_another_origin_is_not_made(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy, location: str
) -> None:
    proxy, clock = make_proxy(htpasswd_registry.host), FakeClock()
    text = location.format(port=proxy.host.rpartition(":")[2])
    proxy.add(Rule(Rewrite(headers={"Location": text or None}), "POST", times=None))
    source = Source()
    with http_client(proxy.host, ROBOT, settings_by(clock)) as client:
        with pytest.raises(UnsafeUploadLocation) as caught:
            client.push_blob("app", DIGEST, SIZE, source)
        with pytest.raises(UnsafeUploadLocation):
            client.check_push("app")
    assert source.opened == 0
    assert clock.pauses == []
    assert proxy.requests("PUT|DELETE") == []
    if location.startswith("http://localhost"):
        assert proxy.url in caught.value.what
        assert "relativeurls" in caught.value.next_step


@pytest.mark.parametrize("text", ["Basic cm9ib3Q6c2VjcmV0", "secret-of-mine", "sha256:x"])
def test_what_is_no_digest_is_not_repeated(
    registry: DockerRegistry, make_proxy: MakeProxy, text: str
) -> None:
    odd = Rewrite(headers={"Docker-Content-Digest": text})
    proxy = make_proxy(registry.host, Rule(odd, "PUT", times=None))
    with pytest.raises(RegistryIntegrity, match="no digest") as caught:
        pushed(proxy)
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_another_origin_sees_nothing(
    htpasswd_registry: DockerRegistry, registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    other = make_proxy(registry.host)
    evil = Rewrite(headers={"Location": f"{other.url}/v2/app/blobs/uploads/x"})
    proxy = make_proxy(htpasswd_registry.host, Rule(evil, "POST", times=None))
    with http_client(proxy.host, ROBOT) as client, pytest.raises(UnsafeUploadLocation):
        client.push_blob("app", DIGEST, SIZE, body_of(CONTENT))
    assert other.requests() == []


def test_a_host_that_is_allowed_gets_content_without_credentials(
    htpasswd_registry: DockerRegistry, registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy, other = make_proxy(htpasswd_registry.host), make_proxy(registry.host)
    session = _begin(other).replace("127.0.0.1", "localhost")
    proxy.add(Rule(Rewrite(headers={"Location": session}), "POST"))
    settings = replace(IMPATIENT, upload_hosts=frozenset({"localhost"}))
    with http_client(proxy.host, ROBOT, settings) as client:
        client.push_blob("app", DIGEST, SIZE, body_of(CONTENT))
    assert [one for one in other.requests() if "authorization" in one.headers] == []
    assert registry.storage.blobs() == {str(DIGEST): SIZE}


@pytest.mark.parametrize("fault", [AnswerEarly(201), ResetRequest(10)])
def test_a_blob_is_not_stored_before_all_of_it_was_sent(
    registry: DockerRegistry, make_proxy: MakeProxy, fault: Action
) -> None:
    """Whatever the registry says: what was not sent was not proven to be what was signed."""
    content = bytes(16 << 20)
    opened = []

    def open_body() -> Iterator[bytes]:
        opened.append(1)
        return chunks_of(GeneratedContent(len(content)))

    there = Answer(200, {"Content-Length": str(len(content))})
    rules = [Rule(fault, "PUT", times=None), Rule(there, "HEAD", times=None)]
    proxy = make_proxy(registry.host, *rules)
    with (
        http_client(proxy.host, settings=settings_by(FakeClock())) as client,
        pytest.raises((RegistryIntegrity, RegistryUnavailable)),
    ):
        client.push_blob("app", Digest.of(content), len(content), open_body)
    assert len(opened) > 1
    assert not proxy.requests("HEAD", "/blobs/")


def test_an_answer_that_comes_early_once_is_asked_again(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    content = bytes(16 << 20)
    proxy = make_proxy(registry.host, Rule(AnswerEarly(201), "PUT"))
    with http_client(proxy.host, settings=settings_by(FakeClock())) as client:
        client.push_blob("app", Digest.of(content), len(content), body_of(content))
    assert registry.storage.blobs() == {str(Digest.of(content)): len(content)}


def test_each_sending_has_to_come_to_its_end(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    content = bytes(16 << 20)
    rules = [Rule(Answer(503), "PUT"), Rule(AnswerEarly(201), "PUT", first=2, times=None)]
    with (
        http_client(
            make_proxy(registry.host, *rules).host, settings=settings_by(FakeClock())
        ) as client,
        pytest.raises((RegistryIntegrity, RegistryUnavailable)),
    ):
        client.push_blob("app", Digest.of(content), len(content), body_of(content))


@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_blob_of_no_bytes_is_proven_too(
    registry: DockerRegistry, make_proxy: MakeProxy, content: bytes
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(proxy.host, settings=settings_by(FakeClock())) as client:
        client.push_blob("app", Digest.of(b""), 0, body_of(b""))
        with pytest.raises((SizeMismatch, DigestMismatch)):
            client.push_blob("app", Digest.of(b"x"), 0, body_of(content))
    assert len(proxy.requests("PUT")) == 1
    assert registry.storage.blobs() == {str(Digest.of(b"")): 0}


def test_a_session_that_may_not_be_cancelled_stays_with_one_request(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer, make_proxy: MakeProxy
) -> None:
    """docker-registry wants the permission to delete, which comes with no token for pushing."""
    tokens = make_token_server(TokenPolicy(users={"robot": "s3cret:word"}, anonymous=None))
    proxy = make_proxy(make_registry(RegistryOptions(token=tokens.realm)).host)
    with http_client(proxy.host, ROBOT) as client:
        client.check_push("app")
    assert [one.status for one in proxy.requests("DELETE")] == [401]
    assert len(tokens.requests) == 1


def test_a_lost_answer_and_a_failing_look_send_the_blob_again(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host, Rule(DropAfterCommit(), "PUT"), Rule(Answer(500), "HEAD"))
    assert pushed(proxy).opened == 2
    assert [one.method for one in proxy.requests()] == ["GET", "POST", "PUT", "HEAD", "POST", "PUT"]


def test_out_of_tls_is_another_origin(registry: DockerRegistry, certificate: Certificate) -> None:
    """A registry behind a TLS proxy that does not know it."""
    context = TrustSettings({}, ca_file=certificate.ca).context("x")
    with FaultProxy(registry.host, tls=certificate) as proxy:
        plain = {"Location": f"http://{proxy.host}/v2/app/blobs/uploads/x"}
        proxy.add(Rule(Rewrite(headers=plain), "POST"))
        with (
            Registry(Endpoint(proxy.host), Identities(), context, IMPATIENT) as client,
            pytest.raises(UnsafeUploadLocation, match=f"http://{proxy.host}"),
        ):
            client.push_blob("app", DIGEST, SIZE, body_of(CONTENT))


@pytest.mark.parametrize("form", ["{path}", "http://LOCALHOST.:{port}{path}#there"])
def test_the_same_origin_in_other_words_is_taken(
    registry: DockerRegistry, make_proxy: MakeProxy, form: str
) -> None:
    proxy = make_proxy(registry.host)
    port = proxy.host.rpartition(":")[2]
    session = _begin(proxy).removeprefix(proxy.url)
    location = form.format(port=port, path=session)
    proxy.add(Rule(Rewrite(headers={"Location": location}), "POST"))
    with http_client(f"localhost:{port}") as client:
        client.push_blob("app", DIGEST, SIZE, body_of(CONTENT))
    assert registry.storage.blobs() == {str(DIGEST): SIZE}


def _begin(proxy: FaultProxy) -> str:
    connection = http.client.HTTPConnection(proxy.host)
    connection.request("POST", "/v2/app/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.headers["Location"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_mount_that_fails_is_none(
    registry: DockerRegistry, make_proxy: MakeProxy, status: int
) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(status), "POST", "mount=", times=None))
    with http_client(proxy.host) as client:
        client.push_blob("one", DIGEST, SIZE, body_of(CONTENT))
        assert not client.mount_blob("two", DIGEST, "one")
        client.push_blob("two", DIGEST, SIZE, body_of(CONTENT))
    assert registry.storage.open_uploads() == 0


def test_a_blob_that_is_not_mounted_is_sent_into_the_session_that_was_opened(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(proxy.host) as client:
        assert not client.mount_blob("two", DIGEST, "one")
        client.push_blob("two", DIGEST, SIZE, body_of(CONTENT))
        client.push_blob("three", DIGEST, SIZE, body_of(CONTENT))
    assert [one.method for one in proxy.mutations()] == ["POST", "PUT", "POST", "PUT"]
    assert registry.storage.open_uploads() == 0


def test_a_session_that_is_lost_meanwhile_is_begun_anew(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(proxy.host) as client:
        assert not client.mount_blob("two", DIGEST, "one")
        registry.wipe()
        client.push_blob("two", DIGEST, SIZE, body_of(CONTENT))
    assert registry.storage.blobs() == {str(DIGEST): SIZE}


def test_a_blob_that_is_not_mounted_is_sent_where_no_session_was_told(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(202), "POST", "mount="))
    with http_client(proxy.host) as client:
        assert client.mount_blob("two", DIGEST, "one") is False
        client.push_blob("two", DIGEST, len(CONTENT), body_of(CONTENT))
        assert client.blob_size("two", DIGEST) == len(CONTENT)


def test_a_mount_is_asked_for_by_digest_and_source(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(proxy.host) as client:
        client.push_blob("team/one", DIGEST, SIZE, body_of(CONTENT))
        assert client.mount_blob("two", DIGEST, "team/one")
    [mount] = proxy.requests("POST", "mount=")
    assert mount.path.endswith(
        f"/v2/two/blobs/uploads/?mount=sha256%3A{DIGEST.hex}&from=team%2Fone"
    )
