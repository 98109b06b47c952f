from __future__ import annotations

from pathlib import Path

import pytest

from airgap_bundler.imagekeys import ImageKeys, parse_image_keys
from airgap_shared.errors import UsageError
from airgap_shared.oci.reference import parse_reference
from airgap_shared.trust.imagekeys import ImageKey, parse_image_key
from support.cosigning import make_signers

_PEMS = {Path(f"{name}.pub"): signer.pem for name, signer in make_signers().items()}
NGINX = parse_reference("nginx:1")
ACME = parse_reference("ghcr.io/acme/team/app:1")


def keys(*texts: str) -> ImageKeys:
    return parse_image_keys(texts, lambda path: _PEMS[path])


def key(name: str) -> ImageKey:
    return parse_image_key(_PEMS[Path(f"{name}.pub")])


def test_a_key_alone_is_for_every_image() -> None:
    assert keys("rsa.pub").of(NGINX) == keys("rsa.pub").of(ACME) == (key("rsa"),)


def test_a_key_with_a_pattern_is_for_what_is_named_so() -> None:
    found = keys("ghcr.io/acme/*=rsa.pub")
    assert found.of(ACME) == (key("rsa"),)
    assert found.of(NGINX) == ()


def test_a_pattern_stands_before_a_key_for_all() -> None:
    found = keys("ecdsa.pub", "ghcr.io/acme/*=rsa.pub", "ghcr.io/*=ed25519.pub")
    assert found.of(ACME) == (key("rsa"), key("ed25519"))
    assert found.of(NGINX) == (key("ecdsa"),)


def test_names_are_compared_in_full() -> None:
    assert keys("nginx=rsa.pub").of(NGINX) == ()
    assert keys("docker.io/library/nginx=rsa.pub").of(NGINX)
    assert keys("*=rsa.pub").of(NGINX)
    assert keys("ghcr.io/acme=rsa.pub").of(ACME) == ()


def test_a_pattern_that_matches_nothing_is_a_mistake() -> None:
    keys("ghcr.io/*=rsa.pub", "rsa.pub").refuse_idle([NGINX, ACME])
    with pytest.raises(UsageError, match="nginx"):
        keys("nginx=rsa.pub").refuse_idle([NGINX, ACME])


@pytest.mark.parametrize("text", ["=rsa.pub", "*=", "", "a b=rsa.pub", "[a]=rsa.pub"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        keys(text)
