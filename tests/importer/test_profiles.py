from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airgap_importer.profiles import DISTRIBUTION, GCR, PROFILES
from airgap_importer.registrykind import RegistryKind
from airgap_shared.oci import mediatype
from airgap_shared.oci.manifest import parse_manifest
from support.images import make_image, make_index

_ECR_HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
_IMAGE = make_image([b"x"])


def test_there_is_a_profile_for_every_kind() -> None:
    assert PROFILES.keys() == set(RegistryKind) - {RegistryKind.AUTO}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (RegistryKind.DISTRIBUTION, "app"),
        (RegistryKind.DISTRIBUTION, "a/b/c__d/e--f"),
        (RegistryKind.DOCKERHUB, "acme/app"),
        (RegistryKind.QUAY, "acme/team/app"),
        (RegistryKind.ECR, "app"),
        (RegistryKind.ECR, "shop/app.x_y-z"),
        (RegistryKind.GAR, "project/repository/team/app"),
        (RegistryKind.HARBOR, "project/a__b"),
        (RegistryKind.NEXUS, "hosted/app"),
        (RegistryKind.ACR, "app"),
    ],
)
def test_paths_that_are_taken(kind: RegistryKind, path: str) -> None:
    assert PROFILES[kind].takes_path(path)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (RegistryKind.DISTRIBUTION, "App"),
        (RegistryKind.DISTRIBUTION, "a//b"),
        (RegistryKind.DISTRIBUTION, "a" * 256),
        (RegistryKind.DOCKERHUB, "app"),
        (RegistryKind.DOCKERHUB, "acme/team/app"),
        (RegistryKind.QUAY, "app"),
        (RegistryKind.ECR, "shop/a__b"),
        (RegistryKind.ECR, "shop/a--b"),
        (RegistryKind.GAR, "project/app"),
        (RegistryKind.GHCR, "app"),
        (RegistryKind.HARBOR, "app"),
        (RegistryKind.HARBOR, "pro__ject/app"),
        (RegistryKind.ARTIFACTORY, "app"),
    ],
)
def test_paths_that_are_not(kind: RegistryKind, path: str) -> None:
    assert not PROFILES[kind].takes_path(path)


@pytest.mark.parametrize(
    ("kind", "host", "prefix", "request_"),
    [
        (
            RegistryKind.ECR,
            _ECR_HOST,
            "shop/team/app",
            "aws ecr create-repository --registry-id 123456789012 --region eu-central-1 "
            "--repository-name shop/team/app",
        ),
        (
            RegistryKind.ECR,
            "ecr.corp:5000",
            "shop/team/app",
            "aws ecr create-repository --registry-id ACCOUNT --region REGION "
            "--repository-name shop/team/app",
        ),
        (
            RegistryKind.GAR,
            "europe-west3-docker.pkg.dev",
            "shop/team",
            "gcloud artifacts repositories create team --repository-format=docker "
            "--project=shop --location=europe-west3",
        ),
        (
            RegistryKind.HARBOR,
            "harbor.corp:8443",
            "shop",
            "curl -u ADMIN -X POST https://harbor.corp:8443/api/v2.0/projects "
            "-H 'Content-Type: application/json' "
            """-d '{"project_name":"shop","metadata":{"public":"false"}}'""",
        ),
        (
            RegistryKind.ARTIFACTORY,
            "art.corp",
            "shop",
            "curl -u ADMIN -X PUT https://art.corp/artifactory/api/repositories/shop "
            "-H 'Content-Type: application/json' "
            """-d '{"rclass":"local","packageType":"docker"}'""",
        ),
    ],
)
def test_what_to_ask_an_administrator_for(
    kind: RegistryKind, host: str, prefix: str, request_: str
) -> None:
    profile = PROFILES[kind]
    assert profile.must_exist is not None
    assert profile.must_exist.prefix("shop/team/app") == prefix
    assert profile.request(host, "shop/team/app") == request_


@pytest.mark.parametrize("host", ["r.example", "gcr.io", _ECR_HOST])
def test_every_request_is_complete(host: str) -> None:
    for one in (*PROFILES.values(), GCR):
        text = one.request(host, "a/b/c")
        assert "$" not in text
        assert bool(text) is (one.must_exist is not None)


def test_the_location_of_the_older_hosts_is_known() -> None:
    assert GCR.request("eu.gcr.io", "project/app") == (
        "gcloud artifacts repositories create eu.gcr.io --repository-format=docker "
        "--project=project --location=europe"
    )


class TestManifests:
    """What is known to be refused, without asking."""

    image = parse_manifest(_IMAGE.raw, _IMAGE.media_type)

    def test_an_image_is_taken_everywhere(self) -> None:
        assert self.image.media_type == mediatype.OCI_MANIFEST
        assert {one.objection(self.image) for one in PROFILES.values()} == {""}

    def test_one_that_is_too_large(self) -> None:
        small = replace(DISTRIBUTION, manifest_limit=len(self.image.raw) - 1)
        assert "over the limit" in small.objection(self.image)
        assert not replace(small, manifest_limit=len(self.image.raw)).objection(self.image)

    def test_one_without_its_type(self) -> None:
        document = json.loads(self.image.raw)
        del document["mediaType"]
        document["annotations"] = {"mediaType": "elsewhere"}
        bare = parse_manifest(json.dumps(document).encode(), mediatype.OCI_MANIFEST)
        assert "mediaType" in PROFILES[RegistryKind.ECR].objection(bare)
        assert not PROFILES[RegistryKind.ACR].objection(bare)

    def test_an_index_without_its_type(self) -> None:
        built = make_index([_IMAGE])
        document = {**json.loads(built.raw)}
        document.pop("mediaType", None)
        index = parse_manifest(json.dumps(document).encode(), mediatype.OCI_INDEX)
        assert not PROFILES[RegistryKind.ECR].objection(index)

    @pytest.mark.parametrize("kind", PROFILES)
    def test_docker_s_are_refused_by_zot_alone(self, kind: RegistryKind) -> None:
        document = {**json.loads(self.image.raw), "mediaType": mediatype.DOCKER_MANIFEST}
        docker = parse_manifest(json.dumps(document).encode(), mediatype.DOCKER_MANIFEST)
        assert bool(PROFILES[kind].objection(docker)) is (kind is RegistryKind.ZOT)
