"""Reading without a login where the login is refused, and where no challenge says how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airgap_shared.errors import AuthFailed
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from support.clients import IMPATIENT, body_of, http_client
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rewrite, Rule
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer

ROBOT = Credential("robot", "s3cret:word")
CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
READING = replace(IMPATIENT, writes=False)


@pytest.fixture
def tokens(make_token_server: MakeTokenServer) -> TokenServer:
    return make_token_server(TokenPolicy(users={"robot": "s3cret:word"}))


@pytest.fixture
def door(tokens: TokenServer, make_proxy: MakeProxy) -> FaultProxy:
    """Before the token server."""
    return make_proxy(tokens.url.removeprefix("http://"))


@pytest.fixture
def guarded(make_registry: MakeRegistry, tokens: TokenServer, door: FaultProxy) -> DockerRegistry:
    realm = replace(tokens.realm, realm=f"{door.url}/token")
    registry = make_registry(RegistryOptions(token=realm))
    with http_client(registry.host, ROBOT) as client:
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    door.clear()
    tokens.requests.clear()
    return registry


def test_what_anybody_may_read_is_read_when_the_login_is_forbidden(
    guarded: DockerRegistry,
    tokens: TokenServer,
    door: FaultProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """GHCR answers 403 to a personal token that has expired (oras#1161)."""
    door.add(Rule(Answer(403, {}, b'{"errors":[{"code":"DENIED"}]}'), "GET"))
    with http_client(guarded.host, ROBOT, READING) as client:
        assert client.blob_size("app", DIGEST) == len(CONTENT)
    shown = [one.headers.get("authorization", "")[:5] for one in door.requests()]
    assert shown == ["Basic", ""]
    assert [one.user for one in tokens.requests] == [None]
    assert caplog.text.count("going on without a login") == 1
    assert "s3cret" not in caplog.text


def test_a_login_that_is_refused_is_the_reason_where_nobody_may_read(
    guarded: DockerRegistry, tokens: TokenServer, door: FaultProxy
) -> None:
    tokens.policy = replace(tokens.policy, anonymous=frozenset())
    door.add(Rule(Answer(403), "GET", times=None))
    with (
        http_client(guarded.host, ROBOT, READING) as client,
        pytest.raises(AuthFailed, match="the token server answers 403"),
    ):
        client.blob_size("app", DIGEST)


def test_a_stranger_who_gets_no_right_hears_of_the_login(
    guarded: DockerRegistry, tokens: TokenServer, door: FaultProxy
) -> None:
    """The token server gives tokens to strangers, but for nothing."""
    tokens.policy = replace(tokens.policy, anonymous=frozenset())
    door.add(Rule(Answer(403), "GET"))
    door.add(Rule(Answer(403), "GET", first=3))
    with (
        http_client(guarded.host, ROBOT, READING) as client,
        pytest.raises(AuthFailed, match="the token server answers 403"),
    ):
        client.blob_size("app", DIGEST)


def test_who_writes_does_not_go_on_without_a_login(
    guarded: DockerRegistry, door: FaultProxy
) -> None:
    door.add(Rule(Answer(403), "GET"))
    with (
        http_client(guarded.host, ROBOT) as client,
        pytest.raises(AuthFailed, match="the token server answers 403"),
    ):
        client.blob_size("app", DIGEST)
    assert len(door.requests()) == 1


def test_a_wrong_password_is_an_error_even_where_anybody_may_read(
    guarded: DockerRegistry, tokens: TokenServer
) -> None:
    with (
        http_client(guarded.host, Credential("robot", "wrong"), READING) as client,
        pytest.raises(AuthFailed, match="the token server answers 401"),
    ):
        client.blob_size("app", DIGEST)
    assert [one.user for one in tokens.requests] == ["robot"]


def test_a_challenge_is_needed_once(guarded: DockerRegistry, make_proxy: MakeProxy) -> None:
    """gcr.io names none but at ``/v2/`` (containers/image, docker_client.go)."""
    silent = Rewrite(headers={"WWW-Authenticate": None})
    proxy = make_proxy(guarded.host, Rule(silent, "", "/v2/.+", times=None))
    with http_client(proxy.host, settings=READING) as client:
        assert client.blob_size("app", DIGEST) == len(CONTENT)
        with pytest.raises(AuthFailed, match="does not allow this without a login"):
            client.check_push("app")
    assert len(proxy.requests("GET", "/v2/$")) == 1
