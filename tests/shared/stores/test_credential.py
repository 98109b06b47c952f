"""What of a user, a password and a token is refused before it gets near a request."""

from __future__ import annotations

import pytest

from airgap_shared.errors import CredentialsInvalid
from airgap_shared.stores.credential import Credential, check_text, check_token, check_user


@pytest.mark.parametrize("user", ["a:canary", "canary\n", "canary\x00", "\udcffcanary"])
def test_a_user_that_basic_cannot_carry_is_refused_and_not_shown(user: str) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        check_user(user, "HERE")
    assert caught.value.where == "HERE"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", ["canary\n", "a\rcanary", "canary canary", "ü-canary", "\udcff"])
def test_a_token_that_no_header_carries_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        check_token(token, "the token", "HERE")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("user", ["", "robot$team+push", "bjørn", "a b"])
def test_other_users_are_taken(user: str) -> None:
    assert check_user(user, "HERE") == user


def test_a_password_may_be_a_whole_file() -> None:
    """As the keys of Google's service accounts are."""
    text = '{\n "type": "service_account"\n}'
    assert Credential("_json_key", check_text(text, "the password", "HERE")).basic
