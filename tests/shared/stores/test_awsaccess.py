from __future__ import annotations

import pytest

from airgap_shared.errors import AuthFailed, CredentialsInvalid, PlainHttpRefused, UsageError
from airgap_shared.stores.awsaccess import api_endpoint, aws_keys, ecr_registry
from airgap_shared.stores.awssignature import AwsKeys
from airgap_shared.stores.ecraccess import EcrAccess
from airgap_shared.stores.ecrname import EcrRegistry
from airgap_shared.stores.endpoint import Endpoint

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
REGISTRY = EcrRegistry("123456789012", "eu-central-1", "api.ecr.eu-central-1.amazonaws.com")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_keys_are_both_or_none() -> None:
    assert aws_keys(KEYS) == AwsKeys("AKIA", "secret")
    assert aws_keys({**KEYS, "AWS_SESSION_TOKEN": "t"}) == AwsKeys("AKIA", "secret", "t")
    for name in KEYS:
        assert aws_keys({**KEYS, name: ""}) is None


@pytest.mark.parametrize("name", [*KEYS, "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("end", ["\n", "\r", "\udcff", "ü", " "])
def test_keys_that_no_request_can_carry_are_told_by_their_variable(name: str, end: str) -> None:
    with pytest.raises(CredentialsInvalid) as caught:
        aws_keys({**KEYS, name: f"canary{end}"})
    assert caught.value.where == name
    assert "canary" not in str(caught.value)


def test_the_region_comes_from_the_host() -> None:
    assert ecr_registry(HOST, False, {"AWS_REGION": "us-east-1"}) == REGISTRY


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_name_of_ones_own_needs_a_region(name: str) -> None:
    found = ecr_registry("registry.corp", True, {name: "eu-central-1"})
    assert found == EcrRegistry("", "eu-central-1", REGISTRY.api_host)
    assert ecr_registry("registry.corp", False, {name: "eu-central-1"}) is None
    for value in ("", "nowhere", "eu-central-1.evil.example/"):
        with pytest.raises(UsageError, match="tells the region"):
            ecr_registry("registry.corp", True, {name: value})


def test_the_api_may_be_elsewhere() -> None:
    assert api_endpoint(REGISTRY, {}) == Endpoint(REGISTRY.api_host)
    both = {
        "AWS_ENDPOINT_URL": "https://all.corp",
        "AWS_ENDPOINT_URL_ECR": "https://ecr.corp:8443/",
    }
    assert api_endpoint(REGISTRY, both) == Endpoint("ecr.corp:8443")
    assert api_endpoint(REGISTRY, {"AWS_ENDPOINT_URL": both["AWS_ENDPOINT_URL"]}) == Endpoint(
        "all.corp"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:4566", "[::1]:4566"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    found = api_endpoint(REGISTRY, {"AWS_ENDPOINT_URL_ECR": f"http://{host}"})
    assert found == Endpoint(host, plain_http=True)


@pytest.mark.parametrize(
    "host", ["ecr.corp", "169.254.169.254", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_plain_http_is_for_nobody_else(host: str) -> None:
    with pytest.raises(PlainHttpRefused):
        api_endpoint(REGISTRY, {"AWS_ENDPOINT_URL_ECR": f"http://{host}"})


@pytest.mark.parametrize(
    "url", ["ecr.corp", "ftp://ecr.corp", "https://u:p@ecr.corp", "https://ecr.corp/x", "https://"]
)
def test_an_address_that_is_none_is_told_without_being_quoted(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        api_endpoint(REGISTRY, {"AWS_ENDPOINT_URL_ECR": url})
    assert caught.value.where == "AWS_ENDPOINT_URL_ECR"
    assert "u:p" not in str(caught.value)


def test_other_hosts_are_not_asked_about() -> None:
    def nowhere(endpoint: Endpoint) -> object:
        raise AssertionError(endpoint)

    access = EcrAccess(KEYS, nowhere)  # type: ignore[arg-type]
    assert access.issue("registry.bank.example") is None
    assert access.issue("public.ecr.aws") is None
    with pytest.raises(AuthFailed, match="no access key of AWS") as caught:
        EcrAccess({}, nowhere).issue(HOST)  # type: ignore[arg-type]
    assert "docker-credential-ecr-login" in caught.value.next_step
