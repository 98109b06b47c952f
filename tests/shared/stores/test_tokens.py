from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest

from airgap_shared.errors import AuthFailed, Denied, RateLimited, RegistryError, UnsafeTokenRealm
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.challenge import Challenge
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Request
from airgap_shared.stores.exchange import Answer as Given
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.tokens import TokenService
from support.clients import IMPATIENT, FakeClock, body_of, http_client, settings_by
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rewrite, Rule
from support.images import GeneratedContent, chunks_of
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer

ROBOT = Credential("robot", "s3cret:word")
USERS = {"robot": "s3cret:word"}
CONTENT = b"".join(chunks_of(GeneratedContent(1 << 20)))
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def tokens(make_token_server: MakeTokenServer) -> TokenServer:
    return make_token_server(TokenPolicy(users=USERS))


@pytest.fixture
def guarded(make_registry: MakeRegistry, tokens: TokenServer) -> DockerRegistry:
    return make_registry(RegistryOptions(token=tokens.realm))


def pushed(registry: DockerRegistry, repository: str, tokens: TokenServer) -> None:
    with http_client(registry.host, ROBOT) as client:
        client.push_blob(repository, DIGEST, len(CONTENT), body_of(CONTENT))
    tokens.requests.clear()


def test_one_client_pushes_to_two_repositories(
    guarded: DockerRegistry, tokens: TokenServer
) -> None:
    with http_client(guarded.host, ROBOT) as client:
        for repository in ("one", "two", "one"):
            client.push_blob(repository, DIGEST, len(CONTENT), body_of(CONTENT))
            assert client.blob_size(repository, DIGEST) == len(CONTENT)
    assert [(one.user, one.scopes) for one in tokens.requests] == [
        ("robot", ("repository:one:pull,push",)),
        ("robot", ("repository:two:pull,push",)),
    ]
    assert {one.service for one in tokens.requests} == {tokens.realm.service}


def test_a_reader_asks_for_pull_only(guarded: DockerRegistry, tokens: TokenServer) -> None:
    pushed(guarded, "app", tokens)
    with http_client(guarded.host, ROBOT, replace(IMPATIENT, writes=False)) as client:
        assert b"".join(client.fetch_blob("app", DIGEST, len(CONTENT))) == CONTENT
    assert [one.scopes for one in tokens.requests] == [("repository:app:pull",)]


def test_anybody_reads_without_credentials(guarded: DockerRegistry, tokens: TokenServer) -> None:
    pushed(guarded, "app", tokens)
    with http_client(guarded.host, settings=replace(IMPATIENT, writes=False)) as client:
        client.ping()
        assert client.blob_size("app", DIGEST) == len(CONTENT)
    assert [one.authorization for one in tokens.requests] == [None]


def test_a_blob_is_mounted_with_both_scopes(guarded: DockerRegistry, tokens: TokenServer) -> None:
    pushed(guarded, "one", tokens)
    with http_client(guarded.host, ROBOT) as client:
        assert client.mount_blob("two", DIGEST, "one")
        assert client.blob_size("two", DIGEST) == len(CONTENT)
    assert tokens.requests[0].scopes == ("repository:two:pull,push", "repository:one:pull")


def test_a_mount_that_is_not_allowed_is_none(guarded: DockerRegistry, tokens: TokenServer) -> None:
    """Some token servers refuse two scopes in one request; then the blob is pushed."""
    pushed(guarded, "one", tokens)
    tokens.policy = replace(tokens.policy, one_scope_only=True)
    with http_client(guarded.host, ROBOT) as client:
        assert not client.mount_blob("two", DIGEST, "one")
        client.push_blob("two", DIGEST, len(CONTENT), body_of(CONTENT))
    assert guarded.storage.open_uploads() == 0


def test_a_token_is_renewed_before_it_expires(guarded: DockerRegistry, tokens: TokenServer) -> None:
    clock = FakeClock()
    tokens.policy = replace(tokens.policy, lifetime=100)
    with http_client(guarded.host, ROBOT, settings_by(clock)) as client:
        for seconds, requests in ((0, 1), (79, 1), (1, 2), (79, 2), (1, 3)):
            clock.advance(seconds)
            client.blob_size("app", DIGEST)
            assert len(tokens.requests) == requests


def test_a_refused_token_is_renewed_once(
    guarded: DockerRegistry, tokens: TokenServer, make_proxy: MakeProxy
) -> None:
    refusal = Answer(401, {"WWW-Authenticate": 'Bearer realm="http://evil.test/"'})
    proxy = make_proxy(guarded.host, Rule(refusal, "PUT"))
    with http_client(proxy.host, ROBOT) as client:
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
        assert client.blob_size("app", DIGEST) == len(CONTENT)
    assert len(tokens.requests) == 2
    assert [one.status for one in proxy.requests("PUT")] == [401, 201]


def test_a_dead_token_is_no_reason_to_give_up_for_ever(
    guarded: DockerRegistry, tokens: TokenServer
) -> None:
    tokens.policy = replace(tokens.policy, lifetime=-10)
    with http_client(guarded.host, ROBOT) as client:
        with pytest.raises(AuthFailed, match="tokens of its own token server"):
            client.blob_size("app", DIGEST)
        tokens.policy = replace(tokens.policy, lifetime=300)
        assert client.blob_size("app", DIGEST) is None


def test_eight_threads_share_their_tokens(guarded: DockerRegistry, tokens: TokenServer) -> None:
    repositories = [f"team/app{number % 4}" for number in range(24)]

    with http_client(guarded.host, ROBOT, replace(IMPATIENT, jobs=8)) as client:

        def push(numbered: tuple[int, str]) -> int | None:
            number, repository = numbered
            content = f"content {number}".encode()
            digest = Digest.of(content)
            client.push_blob(repository, digest, len(content), body_of(content))
            assert client.mount_blob("team/all", digest, repository)
            return client.blob_size("team/all", digest)

        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(push, enumerate(repositories)))
    assert sizes == [len(f"content {number}") for number in range(24)]
    # One token a repository, one a mount source, one for reading the target.
    assert len(tokens.requests) == 4 + 4 + 1


def test_a_wrong_password_fails_after_one_try(guarded: DockerRegistry, tokens: TokenServer) -> None:
    clock = FakeClock()
    wrong = Credential("robot", "hunter2")
    with (
        http_client(guarded.host, wrong, settings_by(clock)) as client,
        pytest.raises(AuthFailed, match="wrong credentials") as caught,
    ):
        client.ping()
    assert len(tokens.requests) == 1
    assert clock.pauses == []
    assert "hunter2" not in str(caught.value)


def test_the_right_password_is_confirmed(guarded: DockerRegistry, tokens: TokenServer) -> None:
    with http_client(guarded.host, ROBOT) as client:
        client.ping()
    assert [(one.user, one.scopes, one.status) for one in tokens.requests] == [("robot", (), 200)]


def test_a_missing_permission_is_denied(guarded: DockerRegistry, tokens: TokenServer) -> None:
    clock = FakeClock()
    tokens.policy = replace(tokens.policy, read_only=frozenset({"app"}))
    with (
        http_client(guarded.host, ROBOT, settings_by(clock)) as client,
        pytest.raises(Denied, match="pull,push") as caught,
    ):
        client.check_push("app")
    assert caught.value.where == f"{guarded.host}/app"
    assert "'robot'" in caught.value.what
    assert clock.pauses == []


def test_anybody_is_told_to_log_in(guarded: DockerRegistry) -> None:
    with http_client(guarded.host) as client, pytest.raises(AuthFailed) as caught:
        client.check_push("app")
    assert "log in" in caught.value.next_step


def test_an_identity_token_is_posted(guarded: DockerRegistry, tokens: TokenServer) -> None:
    identity = Credential(identity_token=tokens.refresh_token("robot"))
    with http_client(guarded.host, identity) as client:
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    [asked] = tokens.requests
    assert (asked.method, asked.grant_type) == ("POST", "refresh_token")
    assert asked.scopes == ("repository:app:pull,push",)
    assert asked.authorization is None


def test_a_revoked_identity_token_is_refused(guarded: DockerRegistry, tokens: TokenServer) -> None:
    with (
        http_client(guarded.host, Credential(identity_token="revoked-token")) as client,
        pytest.raises(AuthFailed) as caught,
    ):
        client.check_push("app")
    assert "revoked-token" not in str(caught.value)
    assert len(tokens.requests) == 1


@pytest.fixture
def broken_tokens(tokens: TokenServer, make_proxy: MakeProxy) -> FaultProxy:
    """A token server that a test can break."""
    return make_proxy(tokens.host)


@pytest.fixture
def behind(
    make_registry: MakeRegistry, tokens: TokenServer, broken_tokens: FaultProxy
) -> DockerRegistry:
    realm = replace(tokens.realm, realm=f"{broken_tokens.url}/token?x=1")
    return make_registry(RegistryOptions(token=realm))


@pytest.mark.parametrize(
    "answer",
    [
        Rewrite(200, {}, b"<html>log in</html>"),
        Rewrite(200, {}, b"{}"),
        Rewrite(200, {}, b"[1]"),
        Rewrite(200, {}, b'{"token": ""}'),
        Rewrite(200, {}, b'{"token": 5}'),
        Rewrite(200, {}, b'{"token": "a\\r\\nX-Injected: 1"}'),
        Rewrite(200, {}, b'{"token": "' + b"x" * (1 << 20) + b'"}'),
        Answer(403, {}, b"no"),
        Answer(404, {}, b"no"),
        Answer(302, {"Location": "http://127.0.0.1:1/login"}),
    ],
)
def test_no_token_is_a_failure_to_authorize(
    behind: DockerRegistry, broken_tokens: FaultProxy, answer: Answer | Rewrite
) -> None:
    clock = FakeClock()
    broken_tokens.add(Rule(answer, times=None))
    with (
        http_client(behind.host, ROBOT, settings_by(clock)) as client,
        pytest.raises(AuthFailed) as caught,
    ):
        client.check_push("app")
    assert clock.pauses == []
    assert broken_tokens.host in caught.value.where


def test_a_token_that_is_too_long_is_not_used(
    behind: DockerRegistry, broken_tokens: FaultProxy
) -> None:
    body = json.dumps({"token": "x" * ((16 << 10) + 1)}).encode()
    broken_tokens.add(Rule(Rewrite(200, {}, body), times=None))
    with (
        http_client(behind.host, ROBOT) as client,
        pytest.raises(AuthFailed, match="longer than 16 KiB") as caught,
    ):
        client.check_push("app")
    assert broken_tokens.host in caught.value.where


def test_the_tokens_of_a_server_that_ends_them_at_once_are_not_all_kept() -> None:
    redactor, serial, clock = Redactor(), count(), FakeClock()

    def send(request: Request, header: str | None) -> Given:
        token = f"{next(serial):08}{'a' * 10_000}"
        page = io.BytesIO(json.dumps({"token": token, "expires_in": 1e-9}).encode())
        return Given(200, {}, (), request.url, page)

    service = TokenService(Endpoint("reg.example"), send, settings_by(clock), redactor)
    challenge = Challenge("bearer", {"realm": "https://reg.example/token"})
    access = Access.to("app", "pull")
    tokens = [service.token(challenge, access, None)]
    tracemalloc.start()
    try:
        for _ in range(400):
            clock.advance(1)
            tokens[0] = service.token(challenge, access, None)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    assert redactor.clean(f"you sent {tokens[0]}") == "you sent [hidden]"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_token_server_may_recover(
    behind: DockerRegistry, broken_tokens: FaultProxy, status: int
) -> None:
    clock = FakeClock()
    broken_tokens.add(Rule(Answer(status, {"Retry-After": "3"}), times=2))
    with http_client(behind.host, ROBOT, settings_by(clock)) as client:
        client.check_push("app")
    assert len(clock.pauses) == 2
    assert all(pause >= 3 for pause in clock.pauses)


@pytest.mark.parametrize(("status", "error"), [(500, AuthFailed), (429, RateLimited)])
def test_a_token_server_may_stay_broken(
    behind: DockerRegistry, broken_tokens: FaultProxy, status: int, error: type[RegistryError]
) -> None:
    clock = FakeClock()
    broken_tokens.add(Rule(Answer(status), times=None))
    with (
        http_client(behind.host, ROBOT, settings_by(clock, attempts=3)) as client,
        pytest.raises(error),
    ):
        client.check_push("app")
    assert len(clock.pauses) == 2


@pytest.mark.parametrize(
    ("fields", "usable"),
    [
        ({"expires_in": 1000}, 800),
        ({}, 48),
        ({"expires_in": 0}, 48),
        ({"expires_in": "soon"}, 48),
        ({"expires_in": None}, 48),
    ],
)
def test_a_token_lives_as_long_as_is_said_or_a_minute(
    behind: DockerRegistry,
    tokens: TokenServer,
    broken_tokens: FaultProxy,
    fields: Mapping[str, object],
    usable: int,
) -> None:
    token = tokens.token("repository:app:pull,push")
    body = json.dumps({"access_token": token, **fields}).encode()
    broken_tokens.add(Rule(Rewrite(200, {}, body), times=None))
    clock = FakeClock()
    with http_client(behind.host, ROBOT, settings_by(clock)) as client:
        for seconds, requests in ((0, 1), (usable - 1, 1), (1, 2)):
            clock.advance(seconds)
            client.blob_size("app", DIGEST)
            assert len(broken_tokens.requests()) == requests


def test_a_realm_keeps_its_own_parameters(
    behind: DockerRegistry, broken_tokens: FaultProxy
) -> None:
    with http_client(behind.host, ROBOT) as client:
        client.check_push("app")
    assert "/token?x=1&service=" in broken_tokens.requests()[0].path


@pytest.mark.parametrize(
    "realm",
    [
        "http://localhost:{port}/token",
        "http://127.0.0.2:{port}/token",
        "http://169.254.169.254/token",
        "http://2130706433:{port}/token",
        "http://robot@127.0.0.1:{port}/token",
        "file:///etc/passwd",
        "/token",
        "http://127.0.0.1:{port}\\@evil.test/token",
    ],
)
def test_credentials_are_not_shown_to_another_host(
    registry: DockerRegistry, tokens: TokenServer, make_proxy: MakeProxy, realm: str
) -> None:
    text = realm.format(port=tokens.host.rpartition(":")[2])
    challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{text}",service="x"'})
    proxy = make_proxy(registry.host, Rule(challenge, times=None))
    with (
        http_client(proxy.host, ROBOT) as client,
        pytest.raises(UnsafeTokenRealm) as caught,
    ):
        client.check_push("app")
    assert tokens.requests == []
    assert not [one for one in proxy.requests() if "authorization" in one.headers]
    assert caught.value.where == proxy.host


def test_another_host_is_asked_when_that_is_allowed(
    make_registry: MakeRegistry, tokens: TokenServer
) -> None:
    elsewhere = tokens.realm.realm.replace("127.0.0.1", "localhost")
    guarded = make_registry(RegistryOptions(token=replace(tokens.realm, realm=elsewhere)))
    settings = replace(IMPATIENT, token_hosts=frozenset({"localhost"}))
    with http_client(guarded.host, ROBOT, settings) as client:
        client.check_push("app")
    assert tokens.requests[0].user == "robot"
