from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from support.docker_registry import MakeRegistry, RegistryOptions
from support.images import make_image
from support.pushing import Access, RegistryRefused, fetch_manifest, push_image
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer

IMAGE = make_image([b"content"])
SCOPE = "repository:shop/cart:pull,push"
USERS = {"robot": "s3cret"}


def ask(server: TokenServer, access: Access, body: str | None = None, **query: str) -> str:
    """The token in the answer to a GET, or to a POST with a body."""
    request = urllib.request.Request(  # noqa: S310 - a loopback server of ours
        f"{server.url}/token?{urllib.parse.urlencode(query)}",
        body.encode() if body is not None else None,
        dict(access.headers),
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        token = json.load(answer)["access_token"]
    assert isinstance(token, str)
    return token


def test_a_token_opens_the_registry(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer
) -> None:
    server = make_token_server(TokenPolicy(USERS))
    registry = make_registry(RegistryOptions(token=server.realm))
    token = ask(server, Access.basic("robot", "s3cret"), scope=SCOPE)
    push_image(registry.host, "shop/cart", "1", IMAGE, Access.bearer(token))
    with pytest.raises(RegistryRefused, match="401"):
        push_image(registry.host, "shop/other", "1", IMAGE, Access.bearer(token))
    with pytest.raises(RegistryRefused, match="401"):
        fetch_manifest(registry.host, "shop/cart", "1")
    assert [(one.user, one.scopes, one.status) for one in server.requests] == [
        ("robot", (SCOPE,), 200)
    ]


def test_an_ended_token_is_refused(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer
) -> None:
    server = make_token_server(TokenPolicy(USERS, lifetime=0))
    registry = make_registry(RegistryOptions(token=server.realm))
    with pytest.raises(RegistryRefused, match="401"):
        push_image(registry.host, "shop/cart", "1", IMAGE, Access.bearer(server.token(SCOPE)))


def test_nobody_in_particular_may_pull(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer
) -> None:
    server = make_token_server(TokenPolicy(USERS))
    registry = make_registry(RegistryOptions(token=server.realm))
    push_image(registry.host, "shop/cart", "1", IMAGE, Access.bearer(server.token(SCOPE)))
    token = Access.bearer(ask(server, Access(), scope=SCOPE))
    assert fetch_manifest(registry.host, "shop/cart", "1", token).digest == IMAGE.digest
    with pytest.raises(RegistryRefused, match="401"):
        push_image(registry.host, "shop/cart", "2", IMAGE, token)


@pytest.mark.parametrize(
    ("policy", "access"),
    [
        (TokenPolicy(USERS), Access.basic("robot", "wrong")),
        (TokenPolicy(USERS), Access.basic("nobody", "s3cret")),
        (TokenPolicy(USERS, anonymous=None), Access()),
    ],
)
def test_others_get_no_token(
    make_token_server: MakeTokenServer, policy: TokenPolicy, access: Access
) -> None:
    server = make_token_server(policy)
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        ask(server, access, scope=SCOPE)
    caught.value.close()
    assert server.requests[0].status == 401


def test_an_identity_token_is_taken_by_post(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer
) -> None:
    server = make_token_server(TokenPolicy(USERS))
    registry = make_registry(RegistryOptions(token=server.realm))
    form = urllib.parse.urlencode(
        {
            "grant_type": "refresh_token",
            "refresh_token": server.refresh_token("robot"),
            "scope": f"{SCOPE} repository:shop/other:pull",
        }
    )
    token = ask(server, Access(), form)
    push_image(registry.host, "shop/cart", "1", IMAGE, Access.bearer(token))
    assert server.requests[0].grant_type == "refresh_token"
    assert server.requests[0].scopes == (SCOPE, "repository:shop/other:pull")
