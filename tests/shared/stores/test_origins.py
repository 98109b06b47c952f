from __future__ import annotations

import io

import pytest

from airgap_shared.errors import UnsafeRedirect, UnsafeTokenRealm, UnsafeUploadLocation
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.origins import (
    check_realm,
    next_page,
    redirect_target,
    upload_location,
)

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
    with pytest.raises(UnsafeTokenRealm) as caught:
        check_realm(realm, SECURE, ())
    assert not caught.value.changed


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
    assert caught.value.what.endswith("; none were sent")


def test_what_a_run_has_changed_is_left_to_say() -> None:
    request = Request("PUT", "https://reg.example/v2/", "reg.example", ())
    away = {"location": "https://evil.test/"}
    answer = Answer(307, away, (), request.url, io.BytesIO())
    with pytest.raises(UnsafeRedirect, match="; nothing was sent there") as redirected:
        redirect_target(request, answer, 0)
    with pytest.raises(UnsafeUploadLocation, match="; nothing was sent there") as uploaded:
        upload_location(answer, SECURE, "reg.example", ())
    with pytest.raises(UnsafeRedirect, match="; nothing was asked there") as listed:
        next_page(request.url, away["location"], "reg.example")
    assert {one.value.changed for one in (redirected, uploaded, listed)} == {""}


def test_without_credentials_a_token_server_elsewhere_may_be_asked() -> None:
    check_realm("https://auth.example/token", SECURE, (), anonymous=True)


@pytest.mark.parametrize("realm", ["http://auth.example/token", "https://169.254.169.254/token"])
def test_even_without_credentials_some_token_servers_are_not_asked(realm: str) -> None:
    with pytest.raises(UnsafeTokenRealm):
        check_realm(realm, SECURE, (), anonymous=True)
