from __future__ import annotations

import pytest

from airgap_shared.errors import UnsafeTokenRealm
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.origins import check_realm

SECURE = Endpoint("reg.example")


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("reg.example", "https://reg.example/token"),
        ("reg.example:5000", "https://REG.example./service/token?x=1"),
        ("docker.io", "https://auth.docker.io/token"),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("10.0.0.1:5000", "https://10.0.0.1:8443/token"),
        ("[fd00::1]:5000", "https://[fd00::1]/token"),
        ("reg.example", "https://auth.example/token"),
    ],
)
def test_realms_that_may_see_the_credentials(host: str, realm: str) -> None:
    check_realm(realm, Endpoint(host), {"auth.example"})


@pytest.mark.parametrize(
    "realm",
    [
        "http://reg.example/token",
        "https://other.example/token",
        "https://reg.example.evil.test/token",
        "https://evil-reg.example/token",
        "https://169.254.169.254/latest",
        "https://[::1]/token",
        "https://0x7f.1/token",
        "https://2130706433/token",
        "https://reg.example@evil.test/token",
        "https://auth.docker.io/token",
        "",
        "token",
    ],
)
def test_realms_that_may_not(realm: str) -> None:
    with pytest.raises(UnsafeTokenRealm):
        check_realm(realm, SECURE, ())


@pytest.mark.parametrize("host", ["169.254.169.254", "0x7f000001", "::1"])
def test_an_address_is_not_made_safe_by_a_list(host: str) -> None:
    text = f"[{host}]" if ":" in host else host
    with pytest.raises(UnsafeTokenRealm):
        check_realm(f"https://{text}/token", SECURE, {host})


def test_a_plain_registry_may_have_a_better_token_server() -> None:
    check_realm("https://reg.example/token", Endpoint("reg.example", plain_http=True), ())


def test_the_next_step_names_the_host() -> None:
    with pytest.raises(UnsafeTokenRealm) as caught:
        check_realm("https://auth.example/token", SECURE, ())
    assert "--token-host auth.example" in caught.value.next_step


def test_without_credentials_a_token_server_elsewhere_may_be_asked() -> None:
    check_realm("https://auth.example/token", SECURE, (), anonymous=True)


@pytest.mark.parametrize("realm", ["http://auth.example/token", "https://169.254.169.254/token"])
def test_even_without_credentials_some_token_servers_are_not_asked(realm: str) -> None:
    with pytest.raises(UnsafeTokenRealm):
        check_realm(realm, SECURE, (), anonymous=True)
