from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from airgap_shared.errors import AuthFailed, CredentialsInvalid
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.credentials import CredentialSources, CredentialStore

#: The places of the search, in its order.
PLACES = ("named", "registry", "docker", "runtime", "config", "home")


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def entry(user: str) -> dict[str, str]:
    return {"auth": Credential(user, "pw").basic}


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_place_that_knows_wins(tmp_path: Path, first: int) -> None:
    files = {
        "named": tmp_path / "named.json",
        "registry": tmp_path / "registry.json",
        "docker": tmp_path / "docker" / "config.json",
        "runtime": tmp_path / "runtime" / "containers" / "auth.json",
        "config": tmp_path / "config" / "containers" / "auth.json",
        "home": tmp_path / "home" / ".docker" / "config.json",
    }
    for place in PLACES:
        known = PLACES.index(place) >= first
        write(files[place], {"auths": {"reg.example" if known else "other": entry(place)}})
    environment = {
        "REGISTRY_AUTH_FILE": str(files["registry"]),
        "DOCKER_CONFIG": str(files["docker"].parent),
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    sources = CredentialSources(environment, tmp_path / "home", auth_file=files["named"])
    assert CredentialStore(sources).lookup("reg.example", "app") == Credential(PLACES[first], "pw")


def test_what_is_given_comes_before_every_file(tmp_path: Path) -> None:
    given = Credential("given", "pw")
    sources = CredentialSources({}, tmp_path, given, tmp_path / "absent.json")
    assert CredentialStore(sources).lookup("reg.example") is given
    assert "pw" not in repr(sources)


def test_without_an_environment_the_home_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "containers" / "auth.json"
    write(path, {"auths": {"reg.example": entry("user")}})
    store = CredentialStore(CredentialSources({}, tmp_path))
    assert store.lookup("reg.example") == Credential("user", "pw")
    assert store.lookup("other.example") is None


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    sources = CredentialSources({}, tmp_path, auth_file=tmp_path / "absent.json")
    with pytest.raises(CredentialsInvalid, match="no such"):
        CredentialStore(sources).lookup("reg.example")


@pytest.mark.parametrize(
    ("host", "repository", "user"),
    [
        ("reg.example", "team/app", "app"),
        ("reg.example", "team/app/deep", "app"),
        ("reg.example", "team/other", "team"),
        ("reg.example", "teams/app", "host"),
        ("REG.example", "", "host"),
        ("reg.example:5000", "team/app", None),
        ("docker.io", "library/nginx", "hub"),
        ("index.docker.io", "any/thing", "hub"),
        ("legacy.example", "x", "legacy"),
    ],
)
def test_the_most_specific_key_wins(
    tmp_path: Path, host: str, repository: str, user: str | None
) -> None:
    auths = {
        "reg.example": entry("host"),
        "reg.example/team": entry("team"),
        "reg.example/team/app": entry("app"),
        "https://index.docker.io/v1/": entry("hub"),
        "https://legacy.example/v2/": entry("legacy"),
    }
    write(tmp_path / ".docker" / "config.json", {"auths": auths})
    found = CredentialStore(CredentialSources({}, tmp_path)).lookup(host, repository)
    assert found == (Credential(user, "pw") if user else None)


def install_helper(home: Path, name: str) -> dict[str, str]:
    """A helper that knows every server, as a user of that name, and logs what it was asked."""
    program = home / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nread server; echo "$server" >> {home}/asked\n'
        f'printf \'{{"Username":"%s","Secret":"{name}"}}\' "$server"\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


def test_a_helper_is_asked_once_a_server(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"credsStore": "all", "auths": {"reg.example": {}}})
    store = CredentialStore(CredentialSources(install_helper(tmp_path, "all"), tmp_path))
    for repository in ("one", "two"):
        assert store.lookup("reg.example", repository) == Credential("reg.example", "all")
    hub = "https://index.docker.io/v1/"
    assert store.lookup("docker.io", "library/nginx") == Credential(hub, "all")
    assert (tmp_path / "asked").read_text().splitlines() == ["reg.example", hub]


def test_a_helper_for_a_host_comes_before_the_files_identities(tmp_path: Path) -> None:
    document = {
        "credHelpers": {"https://reg.example": "one"},
        "auths": {"reg.example": entry("inline"), "other.example": entry("inline")},
    }
    write(tmp_path / ".docker" / "config.json", document)
    store = CredentialStore(CredentialSources(install_helper(tmp_path, "one"), tmp_path))
    assert store.lookup("reg.example", "x") == Credential("reg.example", "one")
    assert store.lookup("other.example", "x") == Credential("inline", "pw")


def test_a_named_helper_must_be_installed(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", {"credHelpers": {"reg.example": "absent"}})
    store = CredentialStore(CredentialSources({"PATH": "/nonexistent"}, tmp_path))
    with pytest.raises(AuthFailed, match="docker-credential-absent is not installed"):
        store.lookup("reg.example")
    assert store.lookup("other.example") is None


def test_a_general_helper_may_be_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / ".docker" / "config.json", {"credsStore": "desktop"})
    store = CredentialStore(CredentialSources({"PATH": "/nonexistent"}, tmp_path))
    with caplog.at_level(logging.WARNING):
        assert store.lookup("reg.example") is None
    assert "docker-credential-desktop" in caplog.text


@pytest.mark.parametrize(
    ("environment", "named", "expected"),
    [
        ({}, None, ".docker/config.json"),
        ({"DOCKER_CONFIG": "/docker"}, None, "/docker/config.json"),
        ({"DOCKER_CONFIG": "/docker", "REGISTRY_AUTH_FILE": "/reg.json"}, None, "/reg.json"),
        ({"REGISTRY_AUTH_FILE": "/reg.json"}, Path("/named.json"), "/named.json"),
    ],
)
def test_where_a_login_is_written(
    tmp_path: Path, environment: dict[str, str], named: Path | None, expected: str
) -> None:
    sources = CredentialSources(environment, tmp_path, auth_file=named)
    assert sources.login_path() == tmp_path / expected
