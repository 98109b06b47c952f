from __future__ import annotations

import functools

import botocore.endpoint_provider
import botocore.loaders
import pytest

from airgap_shared.stores.ecrname import EcrRegistry

#: Host name suffix of registries and of their dual-stack form, by a region of each partition.
SUFFIXES = {
    "us-east-1": ("amazonaws.com", "on.aws"),
    "us-gov-west-1": ("amazonaws.com", "on.aws"),
    "cn-north-1": ("amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    "eusc-de-east-1": ("amazonaws.eu", "on.amazonwebservices.eu"),
    "us-iso-east-1": ("c2s.ic.gov", "on.aws.ic.gov"),
    "us-isob-east-1": ("sc2s.sgov.gov", "on.aws.scloud"),
    "eu-isoe-west-1": ("cloud.adc-e.uk", "on.cloud-aws.adc-e.uk"),
    "us-isof-south-1": ("csp.hci.ic.gov", "on.aws.hci.ic.gov"),
}


@functools.cache
def botocore_rules() -> botocore.endpoint_provider.EndpointProvider:
    loader = botocore.loaders.create_loader()
    rules = loader.load_service_model("ecr", "endpoint-rule-set-1")
    return botocore.endpoint_provider.EndpointProvider(rules, loader.load_data("partitions"))


def botocore_host(region: str, fips: bool, dual: bool) -> str:
    """Where botocore sends calls of ECR."""
    found = botocore_rules().resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual)
    return str(found.url).removeprefix("https://")


@pytest.mark.parametrize("region", SUFFIXES)
@pytest.mark.parametrize("fips", ["", "-fips"])
@pytest.mark.parametrize("dual", [False, True], ids=["plain", "dual-stack"])
def test_the_api_is_where_botocore_finds_it(region: str, fips: str, dual: bool) -> None:
    form = f"dkr-ecr{fips}" if dual else f"dkr.ecr{fips}"
    found = EcrRegistry.of(f"123456789012.{form}.{region}.{SUFFIXES[region][dual]}")
    assert found == EcrRegistry("123456789012", region, botocore_host(region, bool(fips), dual))


def test_a_port_and_capitals_make_no_difference() -> None:
    name = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    assert EcrRegistry.of(f"{name.upper()}:443") == EcrRegistry.of(name)


@pytest.mark.parametrize(
    "host",
    [
        "registry.bank.example",
        "public.ecr.aws",
        "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com.cn",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.evil.example",
        "123456789012.dkr.ecr.eu-central-1.on.aws",
        "123456789012.dkr-ecr.eu-central-1.amazonaws.com",
        "evil.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com:5000",
        "123456789012.dkr.ecr.eu.amazonaws.com",
        "",
    ],
)
def test_other_hosts_are_none_of_ecr(host: str) -> None:
    assert EcrRegistry.of(host) is None


def test_a_region_alone_tells_the_api() -> None:
    found = EcrRegistry.in_region("cn-north-1")
    assert found == EcrRegistry("", "cn-north-1", botocore_host("cn-north-1", False, False))
    assert EcrRegistry.in_region("eu-central-1.evil.example/") is None
