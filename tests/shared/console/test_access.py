"""Passwords from standard input: how much is read, and what else may come from there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from airgap_shared.console.access import given_credential
from airgap_shared.errors import CredentialsInvalid, UsageError
from airgap_shared.stores.credential import Credential
from support.commands import Shell
from support.docker_registry import DockerRegistry
from support.journey import refused, write_key_pair

LIMIT = 64 * 1024
APPLY = (
    *("--key", "vendor.pub", "--registry-endpoint", "127.0.0.1:1", "--image-namespace", "apps"),
    *("-o", "deploy", "--username", "me", "--password-stdin"),
)


def _credential(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Credential | None:
    with io.TextIOWrapper(io.BytesIO(content)) as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", stream)
        return given_credential("me", password_stdin=True, bundle="shop.tar.zst")


def test_a_password_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = "x" * LIMIT
    assert _credential(longest.encode(), monkeypatch) == Credential("me", longest)
    with pytest.raises(UsageError, match=f"larger than {LIMIT} bytes"):
        _credential(longest.encode() + b"x", monkeypatch)
    with pytest.raises(UsageError, match="no password"):
        _credential(b"\r\n", monkeypatch)


def test_a_password_that_is_no_text_is_told_by_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        _credential(b"canary\xff", monkeypatch)
    assert caught.value.where == "--password-stdin"
    monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", "canary\udcff")
    with pytest.raises(CredentialsInvalid) as caught:
        given_credential(None, password_stdin=False)
    assert caught.value.where == "AIRGAP_REGISTRY_PASSWORD"


@pytest.mark.parametrize("user", ["", "a:b", "a\nb", b"\xff".decode(errors="surrogateescape")])
def test_no_login_is_kept_for_a_user_that_cannot_be_sent(
    tmp_path: Path, user: str, htpasswd_registry: DockerRegistry
) -> None:
    login = ("airgap-import", "login", htpasswd_registry.host, "--plain-http", "--authfile", "a")
    done = Shell(tmp_path).run(*login, f"--username={user}", "--password-stdin", stdin=b"secret")
    assert done.code == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("bundle", ["-", "/dev/stdin"])
def test_the_bundle_cannot_come_from_where_the_password_does(tmp_path: Path, bundle: str) -> None:
    write_key_pair(tmp_path, "vendor")
    done = Shell(tmp_path).run("airgap-import", "apply", bundle, *APPLY, stdin=b"secret")
    assert "the bundle and the password" in refused(done, 2, "UsageError").err
    assert not (tmp_path / "deploy").exists()
