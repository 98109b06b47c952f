from __future__ import annotations

import pytest

from airgap_importer.profiles import DISTRIBUTION, GCR, PROFILES
from airgap_importer.recognition import profile_of
from airgap_importer.registrykind import RegistryKind
from airgap_shared.stores.challenge import parse_challenges
from airgap_shared.stores.introduction import Introduction
from support.clients import http_client
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy

SILENT = Introduction()


def said(challenge: str, **headers: str) -> Introduction:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Introduction(401, named, parse_challenges([challenge]))


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("docker.io", RegistryKind.DOCKERHUB),
        ("registry-1.docker.io", RegistryKind.DOCKERHUB),
        ("quay.io", RegistryKind.QUAY),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", RegistryKind.ECR),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", RegistryKind.ECR),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", RegistryKind.ECR),
        ("123456789012.dkr-ecr.us-east-1.on.aws", RegistryKind.ECR),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", RegistryKind.ECR),
        ("europe-west3-docker.pkg.dev", RegistryKind.GAR),
        ("gcr.io", RegistryKind.GAR),
        ("eu.gcr.io", RegistryKind.GAR),
        ("ghcr.io", RegistryKind.GHCR),
        ("Shop.AzureCR.io", RegistryKind.ACR),
        ("shop.azurecr.cn:443", RegistryKind.ACR),
        ("shop.jfrog.io", RegistryKind.ARTIFACTORY),
        ("registry.bank.example", RegistryKind.DISTRIBUTION),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", RegistryKind.DISTRIBUTION),
        ("notquay.io", RegistryKind.DISTRIBUTION),
        ("quay.io.example", RegistryKind.DISTRIBUTION),
        ("my-docker.io", RegistryKind.DISTRIBUTION),
        ("[::1]:5000", RegistryKind.DISTRIBUTION),
    ],
)
def test_hosts_are_known(host: str, kind: RegistryKind) -> None:
    assert profile_of(host, SILENT).kind is kind


@pytest.mark.parametrize(
    ("introduction", "kind"),
    [
        (
            said('Bearer realm="https://harbor.corp/service/token",service="harbor-registry"'),
            RegistryKind.HARBOR,
        ),
        (said('Bearer realm="https://quay.corp/v2/auth",service="quay.corp"'), RegistryKind.QUAY),
        (said('BASIC realm="Sonatype Nexus Repository Manager"'), RegistryKind.NEXUS),
        (
            said('Bearer realm="https://n.corp/v2/token"', server="Nexus/3.83.0-08 (COMMUNITY)"),
            RegistryKind.NEXUS,
        ),
        (
            said('Bearer realm="https://art.corp/artifactory/api/docker/docker/v2/token"'),
            RegistryKind.ARTIFACTORY,
        ),
        (said('Basic realm="x"', x_jfrog_version="Artifactory/7.111"), RegistryKind.ARTIFACTORY),
        (said('Basic realm="Artifactory Realm"'), RegistryKind.ARTIFACTORY),
        (
            said(
                'Basic realm="Authorization Required"',
                access_control_allow_headers="Authorization,content-type,X-ZOT-API-CLIENT",
            ),
            RegistryKind.ZOT,
        ),
        (said('Basic realm="https://x/",service="ecr.amazonaws.com"'), RegistryKind.ECR),
        (
            said('Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'),
            RegistryKind.DOCKERHUB,
        ),
        (said('Bearer realm="https://ghcr.io/token",service="ghcr.io"'), RegistryKind.GHCR),
        (
            said('Bearer realm="https://a.azurecr.io/oauth2/token",service="a.azurecr.io"'),
            RegistryKind.ACR,
        ),
        (said('Basic realm="basic-realm"'), RegistryKind.DISTRIBUTION),
        (
            said('Bearer realm="https://gitlab.corp/jwt/auth",service="container_registry"'),
            RegistryKind.DISTRIBUTION,
        ),
        (said('Basic realm="the harbor company"'), RegistryKind.DISTRIBUTION),
        (Introduction(200, {"server": "nginx"}), RegistryKind.DISTRIBUTION),
    ],
)
def test_answers_tell(introduction: Introduction, kind: RegistryKind) -> None:
    assert profile_of("registry.corp", introduction).kind is kind


def test_what_the_user_says_counts_more_and_the_host_more_than_an_answer() -> None:
    harbor = said('Bearer realm="https://x/service/token",service="harbor-registry"')
    assert profile_of("quay.io", harbor).kind is RegistryKind.QUAY
    assert profile_of("quay.io", harbor, RegistryKind.ZOT).kind is RegistryKind.ZOT
    assert profile_of("quay.io", harbor, RegistryKind.DISTRIBUTION) is DISTRIBUTION


def test_the_older_hosts_of_google_have_no_repository_in_the_path() -> None:
    assert profile_of("us.gcr.io", SILENT) is GCR
    assert profile_of("us-docker.pkg.dev", SILENT) is PROFILES[RegistryKind.GAR]


def test_a_registry_is_asked_once(htpasswd_registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(htpasswd_registry.host)
    with http_client(proxy.host) as client:
        first = client.introduction()
        assert client.introduction() is first
    assert [one.path for one in proxy.requests()] == ["/v2/"]
    assert first.status == 401
    assert first.challenges[0].parameters["realm"] == "throwaway registry"
    assert first.headers["docker-distribution-api-version"] == "registry/2.0"


def test_an_open_registry_has_no_challenge(registry: DockerRegistry) -> None:
    with http_client(registry.host) as client:
        found = client.introduction()
    assert (found.status, found.challenges) == (200, ())
    assert profile_of(registry.host, found) is DISTRIBUTION
