"""Registries that want to know who comes, and those one must know."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import MakeProxy
from support.faults import Delay, Rule
from support.images import make_image
from support.journey import Journey, refused, succeeded
from support.pushing import Access, push_image
from support.token_server import MakeTokenServer, TokenPolicy

_USER, _PASSWORD = "robot", "s3cret:word"
_REPOSITORIES = ["apps/shop/airgap-receipts", "apps/shop/one", "apps/shop/two"]


@pytest.fixture
def made(journey: Journey) -> Journey:
    """A bundle of two images, ready to be applied."""
    for name in ("one", "two"):
        journey.push(f"team/{name}:1", make_image([name.encode(), b"second"]))
    journey.deploy("team/one:1", "team/two:1")
    succeeded(journey.create())
    return journey


def _authfile(folder: Path, host: str, password: str = _PASSWORD) -> Path:
    encoded = base64.b64encode(f"{_USER}:{password}".encode()).decode()
    path = folder / "auth.json"
    path.write_text(json.dumps({"auths": {host: {"auth": encoded}}}))
    path.chmod(0o600)
    return path


def _assert_no_secret(journey: Journey) -> None:
    for path in journey.overlay.rglob("*"):
        assert not path.is_file() or _PASSWORD.encode() not in path.read_bytes()


class TestPasswords:
    """A registry with users."""

    @pytest.fixture
    def closed(self, made: Journey, htpasswd_registry: DockerRegistry) -> Journey:
        return replace(made, target=htpasswd_registry.host)

    def test_from_standard_input(self, closed: Journey, htpasswd_registry: DockerRegistry) -> None:
        options = ("--username", _USER, "--password-stdin")
        done = succeeded(closed.apply(*options, stdin=f"{_PASSWORD}\n".encode()))
        assert _PASSWORD not in done.out + done.err
        assert htpasswd_registry.storage.repositories() == _REPOSITORIES
        _assert_no_secret(closed)

    def test_from_a_file(self, closed: Journey, htpasswd_registry: DockerRegistry) -> None:
        path = _authfile(closed.folder, closed.target)
        succeeded(closed.apply("--authfile", path))
        assert htpasswd_registry.storage.repositories() == _REPOSITORIES

    def test_from_login_until_logout(self, closed: Journey) -> None:
        login = ("airgap-import", "login", closed.target, "-u", _USER, "--password-stdin")
        shell = closed.shell
        refused(shell.run(*login, "--plain-http", stdin=b"wrong"), 21, "AuthFailed")
        refused(closed.apply(), 21, "AuthFailed", "Denied")
        succeeded(shell.run(*login, "--plain-http", stdin=_PASSWORD.encode()))
        succeeded(closed.apply())
        succeeded(shell.run("airgap-import", "logout", closed.target))
        refused(closed.apply(), 21, "AuthFailed", "Denied")

    @pytest.mark.parametrize("password", ["wrong", None])
    def test_that_are_wrong_or_missing(
        self, closed: Journey, htpasswd_registry: DockerRegistry, password: str | None
    ) -> None:
        given = ("--authfile", _authfile(closed.folder, closed.target, password or ""))
        refused(closed.apply(*(given if password else ())), 21, "AuthFailed", "Denied")
        assert htpasswd_registry.storage.blobs() == {}
        assert htpasswd_registry.storage.open_uploads() == 0
        assert not closed.midstream.exists()

    def test_of_the_source(self, journey: Journey, htpasswd_registry: DockerRegistry) -> None:
        host = htpasswd_registry.host
        access = Access.basic(_USER, _PASSWORD)
        push_image(host, "docker.io/team/app", "1", make_image([b"app"]), access)
        journey = replace(journey, source=host)
        journey.deploy("team/app:1")
        refused(journey.create(), 21, "AuthFailed", "Denied")
        assert not journey.bundle.exists()
        succeeded(journey.create("--authfile", _authfile(journey.folder, host)))
        assert _PASSWORD.encode() not in journey.bundle.read_bytes()


def test_tokens_that_end_while_blobs_are_sent(
    made: Journey,
    make_registry: MakeRegistry,
    make_token_server: MakeTokenServer,
    make_proxy: MakeProxy,
) -> None:
    tokens = make_token_server(TokenPolicy(users={_USER: _PASSWORD}, anonymous=None, lifetime=3))
    registry = make_registry(RegistryOptions(token=tokens.realm))
    slow = Rule(Delay(1.2), "PUT", "/blobs/uploads/", times=None)
    journey = replace(made, target=make_proxy(registry.host, slow).host)
    path = _authfile(journey.folder, journey.target)

    succeeded(journey.apply("--authfile", path, "--jobs", "1"))

    assert registry.storage.repositories() == _REPOSITORIES
    assert len(tokens.requests) > 4
    assert {request.user for request in tokens.requests} == {_USER}


class TestTLS:
    """A registry whose certificate only a private authority vouches for."""

    @pytest.fixture
    def private(self, made: Journey, tls_registry: DockerRegistry) -> Journey:
        return replace(made, target=tls_registry.host)

    def _apply(self, journey: Journey) -> tuple[str | Path, ...]:
        return tuple(part for part in journey.apply_command() if part != "--plain-http")

    def test_is_trusted_by_a_file(self, private: Journey, tls_registry: DockerRegistry) -> None:
        assert tls_registry.ca_file is not None
        command = (*self._apply(private), "--ca-file", tls_registry.ca_file)
        succeeded(private.shell.run(*command))
        assert tls_registry.storage.repositories() == _REPOSITORIES

    def test_is_trusted_by_the_environment(
        self, private: Journey, tls_registry: DockerRegistry
    ) -> None:
        trusting = replace(private, variables={"SSL_CERT_FILE": str(tls_registry.ca_file)})
        succeeded(trusting.shell.run(*self._apply(trusting)))

    def test_is_not_trusted_otherwise(self, private: Journey, tls_registry: DockerRegistry) -> None:
        refused(private.shell.run(*self._apply(private)), 25, "TLSVerifyFailed")
        assert tls_registry.storage.blobs() == {}
        assert not private.midstream.exists()
