from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from airgap_shared.errors import AuthFailed, CredentialsInvalid, Denied
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from support.clients import IMPATIENT, FakeClock, body_of, http_client, settings_by
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import Answer, Rewrite, Rule
from support.images import GeneratedContent, chunks_of

ROBOT = Credential("robot", "s3cret:word")
CONTENT = b"".join(chunks_of(GeneratedContent(3 << 20)))
DIGEST = Digest.of(CONTENT)


def test_a_user_is_let_in_and_sends_each_body_once(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(htpasswd_registry.host)
    with http_client(proxy.host, ROBOT) as client:
        client.ping()
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
        assert client.blob_size("app", DIGEST) == len(CONTENT)
    assert sum(one.body_length for one in proxy.requests()) == len(CONTENT)
    # One request to learn the scheme carried nothing; no other was refused.
    assert [one.path for one in proxy.requests() if one.status == 401] == ["/v2/"]
    assert "authorization" not in proxy.requests()[0].headers


USES: list[Callable[[Registry], object]] = [
    lambda client: client.ping(),
    lambda client: client.head_manifest("app", "1"),
    lambda client: client.blob_size("app", DIGEST),
    lambda client: list(client.blob_chunks("app", DIGEST, 10)),
    lambda client: client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT)),
    lambda client: client.check_push("app"),
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "wrong", [Credential("robot", "hunter2"), Credential("someone", "s3cret:word")]
)
def test_a_wrong_password_fails_at_once(
    htpasswd_registry: DockerRegistry,
    make_proxy: MakeProxy,
    use: Callable[[Registry], object],
    wrong: Credential,
) -> None:
    proxy, clock = make_proxy(htpasswd_registry.host), FakeClock()
    with (
        http_client(proxy.host, wrong, settings_by(clock)) as client,
        pytest.raises(AuthFailed, match="does not accept the credentials") as caught,
    ):
        use(client)
    assert clock.pauses == []
    assert len([one for one in proxy.requests() if "authorization" in one.headers]) == 1
    assert wrong.password not in str(caught.value)
    assert wrong.username in str(caught.value)


@pytest.mark.parametrize("use", USES[1:])
def test_without_credentials_the_next_step_is_a_login(
    htpasswd_registry: DockerRegistry, use: Callable[[Registry], object]
) -> None:
    clock = FakeClock()
    with http_client(htpasswd_registry.host, settings=settings_by(clock)) as client:
        client.ping()
        with pytest.raises(AuthFailed, match="no credentials are known") as caught:
            use(client)
    assert "log in" in caught.value.next_step
    assert clock.pauses == []


def test_a_scheme_is_learnt_from_the_first_request_that_needs_it(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    """A registry that is open to readers answers /v2/ to anybody."""
    proxy = make_proxy(htpasswd_registry.host, Rule(Rewrite(200), path="^/v2/$", times=None))
    with http_client(proxy.host, ROBOT) as client:
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
        client.push_blob("app", Digest.of(b"x"), 1, body_of(b"x"))
    assert [one.status for one in proxy.requests("POST")] == [401, 202, 202]


def test_a_later_challenge_changes_nothing(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    """Harbor names another scheme than it takes once a request carried something."""
    other = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'}
    proxy = make_proxy(htpasswd_registry.host, Rule(Answer(401, other), "HEAD"))
    with http_client(proxy.host, ROBOT) as client:
        with pytest.raises(AuthFailed, match="does not accept"):
            client.blob_size("app", DIGEST)
        assert client.blob_size("app", DIGEST) is None


@pytest.mark.parametrize(
    ("challenge", "what"),
    [
        ("Negotiate", "negotiate"),
        ('Digest realm="x"', "digest"),
        ("Bearer", "bearer"),
        (None, "a way it does not name"),
    ],
)
def test_a_scheme_that_is_not_spoken_is_named(
    registry: DockerRegistry, make_proxy: MakeProxy, challenge: str | None, what: str
) -> None:
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    proxy = make_proxy(registry.host, Rule(Answer(401, headers), times=None))
    with http_client(proxy.host, ROBOT) as client, pytest.raises(AuthFailed, match=what):
        client.ping()


def test_a_missing_permission_is_denied(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    refusal = Answer(403, {}, b'{"errors":[{"code":"DENIED","message":"no push for robot"}]}')
    proxy, clock = make_proxy(htpasswd_registry.host, Rule(refusal, "POST")), FakeClock()
    with (
        http_client(proxy.host, ROBOT, settings_by(clock)) as client,
        pytest.raises(Denied, match="DENIED: no push for robot") as caught,
    ):
        client.check_push("team/app")
    assert caught.value.where == f"{proxy.host}/team/app"
    assert "push to" in caught.value.next_step
    assert clock.pauses == []


def test_what_is_echoed_of_the_credentials_is_hidden(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy, caplog: pytest.LogCaptureFixture
) -> None:
    page = f"<pre>Authorization: Basic {ROBOT.basic} = {ROBOT.password}\x1b[2J</pre>".encode()
    proxy = make_proxy(htpasswd_registry.host, Rule(Answer(400, {}, page), "POST", times=None))
    with (
        caplog.at_level(0),
        http_client(proxy.host, ROBOT) as client,
        pytest.raises(Exception, match="hidden") as caught,
    ):
        client.check_push("app")
    for text in (str(caught.value), repr(caught.value.__dict__), caplog.text):
        assert ROBOT.password not in text
        assert ROBOT.basic not in text
        assert "\x1b" not in text


def test_many_threads_learn_the_scheme_once(
    htpasswd_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(htpasswd_registry.host)
    start = threading.Barrier(8)
    contents = [f"content {number}".encode() for number in range(16)]

    with http_client(proxy.host, ROBOT) as client:

        def push(content: bytes) -> int | None:
            if content in contents[:8]:
                start.wait(10)
            digest = Digest.of(content)
            client.push_blob("app", digest, len(content), body_of(content))
            return client.blob_size("app", digest)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(push, contents)) == [len(content) for content in contents]
    assert [one.path for one in proxy.requests() if one.status == 401] == ["/v2/"]


def test_a_token_is_shown_as_it_is(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    challenge = Answer(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'})
    proxy = make_proxy(registry.host, Rule(challenge))
    with http_client(proxy.host, Credential(registry_token="given-token")) as client:
        assert client.blob_size("app", DIGEST) is None
    assert proxy.requests("HEAD")[0].headers["authorization"] == "Bearer given-token"


def test_credentials_that_cannot_be_read_are_reported(htpasswd_registry: DockerRegistry) -> None:
    class Unreadable:
        def lookup(self, host: str, repository: str) -> Credential | None:
            raise CredentialsInvalid("no", where=f"{host} {repository}")

        def renew(self, host: str, repository: str, stale: Credential) -> Credential | None:
            return None

    endpoint = Endpoint(htpasswd_registry.host, plain_http=True)
    with (
        Registry(endpoint, Unreadable(), None, replace(IMPATIENT, writes=False)) as client,
        pytest.raises(CredentialsInvalid, match=re.escape(f"{endpoint.host} app")),
    ):
        client.blob_size("app", DIGEST)
