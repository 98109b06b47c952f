"""Profiles of registries: what each kind allows, wants and refuses, as data. Pure.

Where the facts come from: distribution (reference.go, manifests.go), zot (routes.go, compat.go),
Harbor (project/manager.go, the API's swagger.yaml), Quay (names.py, config.py), the API reference
of ECR (CreateRepository: a double hyphen or underscore is not taken), the documentation of
Artifact Registry, ACR (container-registry-skus), Docker Hub, Artifactory and Nexus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Template

from airgap_importer.registrykind import RegistryKind
from airgap_shared.oci import mediatype
from airgap_shared.oci.manifest import MANIFEST_LIMIT, Index, Manifest
from airgap_shared.oci.reference import REPOSITORY_LIMIT
from airgap_shared.stores.ecrname import EcrRegistry

_ANY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_SINGLE = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """What an administrator has to make before a repository can be pushed to.

    ``components`` leading components of a repository path name it; None where all do.
    ``request`` is what makes it, with ``$host``, ``$prefix``, ``$first`` and ``$last`` (components
    of the prefix) and what the host tells (``$region``, ``$account``, ``$location``) left open.
    """

    noun: str
    components: int | None
    request: str

    def prefix(self, repository: str) -> str:
        """The part of a repository's path that has to be there."""
        return "/".join(repository.split("/")[: self.components])


@dataclass(frozen=True, slots=True)
class RegistryProfile:
    """What is known of one kind of registry.

    A repository path below the host has ``least`` to ``most`` components (None: any number), in
    the form ``shape``, and at most ``length`` characters. ``owner`` is the grammar of the first
    component, ``component`` that of all others. Manifests of ``refused_types`` are not taken, nor
    OCI ones that do not name their type themselves where ``wants_media_type``. Blobs are taken
    over from repositories with the same ``mounts_within`` leading components: 0 is from any in the
    registry, None from none. Reading a manifest is a pull, of which
    there are so many in an hour, where ``counts_pulls``; asking for it is none. ``immutability``
    says what becomes of a tag that may not be moved, ``remedy`` what helps where a manifest is not
    taken.
    """

    kind: RegistryKind
    title: str
    shape: str
    least: int = 1
    most: int | None = None
    length: int = REPOSITORY_LIMIT
    owner: re.Pattern[str] = _ANY
    component: re.Pattern[str] = _ANY
    must_exist: Prerequisite | None = None
    mounts_within: int | None = 0
    manifest_limit: int = MANIFEST_LIMIT
    refused_types: frozenset[str] = frozenset()
    wants_media_type: bool = False
    counts_pulls: bool = False
    immutability: str = "tags can be moved, unless the registry is set otherwise"
    remedy: str = ""

    def takes_path(self, path: str) -> bool:
        """Whether a repository may have this path."""
        first, *others = path.split("/")
        return (
            self.least <= 1 + len(others) <= (self.most or len(path))
            and len(path) <= self.length
            and self.owner.fullmatch(first) is not None
            and all(self.component.fullmatch(other) for other in others)
        )

    def objection(self, manifest: Manifest | Index) -> str:
        """Why a manifest would not be taken; empty if nothing is known against it."""
        if len(manifest.raw) > self.manifest_limit:
            return f"{len(manifest.raw)} bytes, over the limit of {self.manifest_limit}"
        if manifest.media_type in self.refused_types:
            return f"of the type {manifest.media_type}"
        if self.wants_media_type and not _names_its_type(manifest):
            return "an OCI manifest that does not name its mediaType itself"
        return ""

    def request(self, host: str, repository: str) -> str:
        """What to ask an administrator for, so that ``repository`` can be pushed to, word by word.

        Empty where nothing has to be there.
        """
        if self.must_exist is None:
            return ""
        prefix = self.must_exist.prefix(repository)
        first, _, rest = prefix.partition("/")
        known = {"prefix": prefix, "first": first, "last": rest or first, "host": host}
        return Template(self.must_exist.request).substitute(_told_by(host), **known)


def _names_its_type(manifest: Manifest | Index) -> bool:
    """Whether it does; indexes count as if they did, for nothing else is known of them."""
    return isinstance(manifest, Index) or bool(json.loads(manifest.raw).get("mediaType"))


GAR_HOST = re.compile(r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev")
_GCR_LOCATIONS = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}


def _told_by(host: str) -> Mapping[str, str]:
    """What the names of hosted registries tell; words in capitals where they do not."""
    host = host.partition(":")[0].lower()
    found = {"region": "REGION", "account": "ACCOUNT", "location": "LOCATION"}
    if ecr := EcrRegistry.of(host):
        found |= {"region": ecr.region, "account": ecr.account}
    if match := GAR_HOST.fullmatch(host):
        found.update(match.groupdict())
    if location := _GCR_LOCATIONS.get(host):
        found["location"] = location
    return found


_JSON = "-H 'Content-Type: application/json'"
_DOCKER_TYPES = frozenset({mediatype.DOCKER_MANIFEST, mediatype.DOCKER_LIST})

DISTRIBUTION = RegistryProfile(RegistryKind.DISTRIBUTION, "a plain registry", "PATH/NAME")

_ALL = (
    DISTRIBUTION,
    RegistryProfile(
        RegistryKind.DOCKERHUB,
        "Docker Hub",
        "NAMESPACE/NAME",
        least=2,
        most=2,
        must_exist=Prerequisite(
            "user or organization", 1, "create the organization $first on https://hub.docker.com"
        ),
        counts_pulls=True,
        immutability="a repository may be set so that its tags are never moved",
    ),
    RegistryProfile(
        RegistryKind.QUAY,
        "Quay",
        "ORGANIZATION/NAME",
        least=2,
        owner=_SINGLE,
        must_exist=Prerequisite(
            "organization",
            1,
            "curl -X POST https://$host/api/v1/organization/ -H 'Authorization: Bearer TOKEN' "
            f"""{_JSON} -d '{{"name":"$first","email":"ADDRESS"}}'""",
        ),
        immutability="a tag that is immutable answers 409 TAG_IMMUTABLE",
    ),
    RegistryProfile(
        RegistryKind.ECR,
        "Amazon ECR",
        "REPOSITORY, every one made beforehand",
        owner=_SINGLE,
        component=_SINGLE,
        must_exist=Prerequisite(
            "repository",
            None,
            "aws ecr create-repository --registry-id $account --region $region "
            "--repository-name $prefix",
        ),
        mounts_within=None,
        wants_media_type=True,
        immutability="a tag of an immutable repository is refused even for the same digest",
        remedy="have the image made again with a mediaType in its manifest: its bytes, and so "
        "its digest, cannot be changed here",
    ),
    RegistryProfile(
        RegistryKind.GAR,
        "Google Artifact Registry",
        "PROJECT/REPOSITORY/NAME",
        least=3,
        must_exist=Prerequisite(
            "repository",
            2,
            "gcloud artifacts repositories create $last --repository-format=docker "
            "--project=$first --location=$location",
        ),
        immutability="a repository may be made with --immutable-tags",
    ),
    RegistryProfile(
        RegistryKind.GHCR,
        "GitHub's registry",
        "OWNER/NAME",
        least=2,
        must_exist=Prerequisite(
            "user or organization",
            1,
            "create $first on https://github.com, and let the token write packages there",
        ),
        mounts_within=1,
    ),
    RegistryProfile(
        RegistryKind.ACR,
        "Azure Container Registry",
        "PATH/NAME",
        immutability="a repository or tag may be locked: az acr repository update "
        "--write-enabled false",
    ),
    RegistryProfile(
        RegistryKind.HARBOR,
        "Harbor",
        "PROJECT/NAME",
        least=2,
        owner=_SINGLE,
        must_exist=Prerequisite(
            "project",
            1,
            f"curl -u ADMIN -X POST https://$host/api/v2.0/projects {_JSON} "
            """-d '{"project_name":"$first","metadata":{"public":"false"}}'""",
        ),
        immutability="a project's immutability rules answer 412",
    ),
    RegistryProfile(
        RegistryKind.ARTIFACTORY,
        "Artifactory",
        "REPOSITORY_KEY/NAME",
        least=2,
        must_exist=Prerequisite(
            "local Docker repository",
            1,
            f"curl -u ADMIN -X PUT https://$host/artifactory/api/repositories/$first {_JSON} "
            """-d '{"rclass":"local","packageType":"docker"}'""",
        ),
        mounts_within=1,
        immutability="overwriting a tag needs the permission to delete",
    ),
    RegistryProfile(
        RegistryKind.NEXUS,
        "Nexus Repository",
        "REPOSITORY/NAME",
        least=2,
        must_exist=Prerequisite(
            "hosted Docker repository",
            1,
            "curl -u ADMIN -X POST "
            f"https://$host/service/rest/v1/repositories/docker/hosted {_JSON} "
            """-d '{"name":"$first","online":true,"storage":{"blobStoreName":"default","""
            """"strictContentTypeValidation":true,"writePolicy":"ALLOW"},"""
            """"docker":{"v1Enabled":false,"forceBasicAuth":true}}'""",
        ),
        mounts_within=1,
        immutability="the deployment policy 'disable redeploy' answers 400",
    ),
    RegistryProfile(
        RegistryKind.ZOT,
        "zot",
        "PATH/NAME",
        refused_types=_DOCKER_TYPES,
        remedy="""have "http": {"compat": ["docker2s2"]} set in zot's configuration, then add """
        "--registry-type distribution",
    ),
)
PROFILES: Mapping[RegistryKind, RegistryProfile] = {one.kind: one for one in _ALL}

#: The older hosts of Google's registry have no repository in the path: it has the host's name.
GCR = replace(
    PROFILES[RegistryKind.GAR],
    shape="PROJECT/NAME",
    least=2,
    must_exist=Prerequisite(
        "project with a repository for the host",
        1,
        "gcloud artifacts repositories create $host --repository-format=docker "
        "--project=$first --location=$location",
    ),
)
