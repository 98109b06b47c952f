"""The kinds of registries, with the ways of each and where they are known from.

What no source is given for was seen on the hosted service by many, and is in no document. Nothing
here was tried on a hosted service: the messages are theirs, as reports show them.
"""

from __future__ import annotations

from support.faults import Answer
from support.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from support.kinds import apis, quirks
from support.kinds.asked import refusal
from support.kinds.doors import BasicDoor, TokenDoor, quay_scope
from support.kinds.proxy import Kind
from support.kinds.quirks import MIB, about
from support.kinds.site import Account, Site

_DENIED = refusal(403, "DENIED", "requested access to the resource is denied")
_TOO_MANY = refusal(429, "TOOMANYREQUESTS", "Rate exceeded")

DISTRIBUTION = Kind("distribution")

#: Amazon ECR. Repositories: ECR user guide, repository-create; mounting: user guide,
#: blob-mounting (off unless the account turns it on); PATCH: regclient, scheme/reg/blob.go;
#: immutable tags: moby/buildkit#3776; mediaType: containers/image, docker_image_dest.go.
ECR = Kind(
    "ecr",
    door=BasicDoor(
        'Basic realm="https://{host}/",service="ecr.amazonaws.com"',
        denied=refusal(
            403,
            "DENIED",
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: "
            "ecr:InitiateLayerUpload because no identity-based policy allows the "
            "ecr:InitiateLayerUpload action",
        ),
        wrong=("UNAUTHORIZED", "Not Authorized"),
        expired=refusal(
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        ),
    ),
    quirks=(
        quirks.throttled(_TOO_MANY),
        quirks.must_exist(
            0,
            about(
                404,
                "NAME_UNKNOWN",
                "The repository with name '{name}' does not exist in the registry "
                "with id '123456789012'",
            ),
            reading=True,
        ),
        quirks.lists_referrers,
        quirks.no_mount,
        quirks.patch_is_a_trap(refusal(400, "BLOB_UPLOAD_INVALID", "upload was not a single part")),
        quirks.frozen_tags(
            lambda repository, tag: refusal(
                400,
                "TAG_INVALID",
                f"The image tag '{tag}' already exists in the '{repository}' repository and "
                "cannot be overwritten because the tag is immutable.",
            )
        ),
    ),
    manifests=(
        quirks.wants_media_type(
            refusal(405, "UNSUPPORTED", "Invalid parameter: 'Invalid JSON syntax'")
        ),
    ),
    referrers=True,
)


def _in_project(site: Site, account: Account, repository: str, action: str) -> bool:
    return repository.split("/")[0] in site.existing and account.may(repository, action)


#: Harbor 2. Challenges: harbor, src/server/middleware/v2auth/auth.go (check, getChallenge);
#: immutable tags: src/server/middleware/immutable/pushmf.go.
HARBOR = Kind(
    "harbor",
    door=TokenDoor(
        "/service/token",
        "harbor-registry",
        grant=_in_project,
        message="unauthorized to access repository",
        misleading='Basic realm="harbor"',
        basic_too=True,
    ),
    apis=(apis.harbor_projects,),
    before_rights=(
        quirks.must_exist(
            1,
            lambda name: refusal(
                401, "UNAUTHORIZED", f"project {name} not found", {"WWW-Authenticate": ""}
            ),
            reading=True,
        ),
    ),
    quirks=(
        quirks.lists_referrers,
        quirks.frozen_tags(
            lambda repository, tag: refusal(
                412,
                "PRECONDITION",
                f"Failed to process request due to '{repository.partition('/')[2]}:{tag}' "
                "configured as immutable.",
            )
        ),
    ),
    manifests=(quirks.manifest_at_most(4 * MIB, refusal(400, "MANIFEST_INVALID", "too large")),),
    referrers=True,
)

#: Quay 3. Scopes and namespaces: quay, endpoints/v2/v2auth.py; errors: endpoints/v2/errors.py;
#: a mount without a source fails on older ones: go-containerregistry, pkg/v1/remote/write.go;
#: content types: quay, endpoints/v2/manifest.py; artifacts: ALLOWED_OCI_ARTIFACT_TYPES.
QUAY = Kind(
    "quay",
    door=TokenDoor(
        "/v2/auth",
        "{host}",
        grant=_in_project,
        complain=quay_scope,
        wrong=(401, "UNAUTHORIZED", "Could not find robot with specified username"),
        message="access to the requested resource is not authorized",
    ),
    apis=(apis.quay_api,),
    quirks=(
        quirks.throttled(Answer(429, {"Content-Type": "text/html"}, b"Too Many Requests")),
        quirks.lists_referrers,
        quirks.mount_needs_from(refusal(400, "INVALID_REQUEST", "Invalid request")),
        quirks.refuses_all("DELETE", "blobs", refusal(405, "UNSUPPORTED", "unsupported")),
        quirks.content_types(
            (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST),
            refusal(415, "MANIFEST_INVALID", "manifest invalid"),
        ),
        quirks.frozen_tags(
            lambda _repository, tag: refusal(409, "TAG_IMMUTABLE", f"tag {tag} is immutable")
        ),
    ),
    manifests=(quirks.images_only(refusal(400, "MANIFEST_INVALID", "manifest invalid")),),
    referrers=True,
)


def _gar_missing(name: str) -> Answer:
    return refusal(404, "NAME_UNKNOWN", f'Repository "{name.rpartition("/")[2]}" not found')


#: Google Artifact Registry. Chunks: cloud.google.com/artifact-registry, "Pushing and pulling";
#: 401 without a challenge: containers/image, docker_client.go (gcr.io).
GAR = Kind(
    "gar",
    door=TokenDoor(
        "/v2/token",
        "{host}",
        denied=refusal(
            403,
            "DENIED",
            'Permission "artifactregistry.repositories.uploadArtifacts" denied on resource '
            '"projects/acme/locations/europe/repositories/apps" (or it may not exist)',
        ),
        message="Unauthenticated request.",
        silent=True,
    ),
    quirks=(
        quirks.depth(3, None, about(400, "NAME_INVALID", "Request contains an invalid argument.")),
        quirks.must_exist(2, _gar_missing),
        quirks.lists_referrers,
        quirks.one_chunk_only(refusal(400, "UNSUPPORTED", "chunked uploads are not supported")),
    ),
    referrers=True,
)

#: GitHub's. PATCH: oras-project/rust-oci-client#35, wasmCloud/wash#268; there is no referrers API.
GHCR = Kind(
    "ghcr",
    door=TokenDoor(
        "/token",
        "ghcr.io",
        denied=refusal(403, "DENIED", "permission_denied: write_package"),
        wrong=(403, "DENIED", "denied"),
    ),
    quirks=(
        quirks.depth(2, None, about(404, "NAME_UNKNOWN", "repository name not known to registry")),
        quirks.patch_at_most(4 * MIB, Answer(416)),
        quirks.mounts_within(1),
    ),
)

#: Azure's. Tokens: Azure/acr, docs/AAD-OAuth.md; limits: learn.microsoft.com, "Azure Container
#: Registry service tiers".
ACR = Kind(
    "acr",
    door=TokenDoor("/oauth2/token", "{host}"),
    quirks=(
        quirks.throttled(
            refusal(429, "TOOMANYREQUESTS", "too many requests", {"Retry-After": "1"})
        ),
        quirks.lists_referrers,
    ),
    manifests=(
        quirks.manifest_at_most(4 * MIB, refusal(413, "MANIFEST_INVALID", "manifest is too big")),
    ),
    referrers=True,
)


def _two_levels(_site: Site, account: Account, repository: str, action: str) -> bool:
    return repository.count("/") == 1 and account.may(repository, action)


#: Docker Hub. Levels: docker/hub-feedback#1404; limits: docs.docker.com, docker-hub/usage.
DOCKER_HUB = Kind(
    "dockerhub",
    door=TokenDoor("/token", "registry.docker.io", grant=_two_levels),
    quirks=(
        quirks.counted_pulls(200, 21600),
        quirks.no_catalog(refusal(401, "UNAUTHORIZED", "authentication required")),
    ),
)

#: Sonatype Nexus 3 with path-based routing: help.sonatype.com, "Docker Registry".
NEXUS = Kind(
    "nexus",
    door=BasicDoor(
        'BASIC realm="Sonatype Nexus Repository Manager"',
        denied=refusal(403, "DENIED", "access to the requested resource is not authorized"),
        wrong=("UNAUTHORIZED", "access to the requested resource is not authorized"),
    ),
    quirks=(
        quirks.must_exist(1, about(404, "NAME_UNKNOWN", "repository name not known to registry")),
        quirks.needs_length(Answer(411)),
        quirks.blobs_as("application/octet-stream", Answer(415)),
        quirks.mounts_within(1),
    ),
    headers=(("Server", "Nexus/3.83.0-08 (COMMUNITY)"),),
)

#: JFrog Artifactory with the repository in the path: jfrog.com/help, "Docker Registry".
ARTIFACTORY = Kind(
    "artifactory",
    door=TokenDoor("/v2/token", "{host}", denied=_DENIED, basic_too=True),
    quirks=(
        quirks.must_exist(1, about(404, "NAME_UNKNOWN", "Repository '{name}' not found")),
        quirks.mounts_within(1),
    ),
    headers=(("X-Artifactory-Id", "0123456789abcdef"), ("X-JFrog-Version", "Artifactory/7.111.9")),
)

#: zot 2: project-zot/zot, pkg/api/routes.go (CreateBlobUpload, UpdateManifest), pkg/compat.
ZOT = Kind(
    "zot",
    door=BasicDoor('Basic realm="Authorization Required"', denied=_DENIED),
    quirks=(
        quirks.lists_referrers,
        quirks.from_needs_mount(Answer(405)),
        quirks.mounts_anything,
    ),
    manifests=(
        quirks.manifest_at_most(4 * MIB, Answer(413)),
        quirks.no_docker(refusal(415, "MANIFEST_INVALID", "manifest invalid")),
    ),
    referrers=True,
)

#: nginx before plain distribution with its own limit (client_max_body_size).
NARROW_PROXY = Kind(
    "distribution",
    quirks=(
        quirks.body_at_most(
            MIB,
            Answer(
                413,
                {"Content-Type": "text/html", "Server": "nginx/1.22.1"},
                b"<html><head><title>413 Request Entity Too Large</title></head></html>",
            ),
        ),
    ),
)

KINDS = (
    DISTRIBUTION,
    ECR,
    HARBOR,
    QUAY,
    GAR,
    GHCR,
    ACR,
    DOCKER_HUB,
    NEXUS,
    ARTIFACTORY,
    ZOT,
)
