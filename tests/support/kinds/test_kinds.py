"""Each kind's ways as a client without our code meets them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from support.docker_registry import DockerRegistry, RegistryOptions
from support.images import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageStyle,
    digest_of,
    make_artifact,
    make_image,
)
from support.kinds import table
from support.kinds.proxy import BehaviourProxy, Kind
from support.kinds.site import ANYWHERE, Account
from support.pushing import Access, push_image

PUSHER = Account("pusher", "s3cret", ANYWHERE, "refresh-me")
READER = Account("reader", "s3cret")
IMAGE = make_image([b"content"])
BLOB = b"some content of a blob"
DIGEST = digest_of(BLOB)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        code = json.loads(self.body)["errors"][0]["code"]
        assert isinstance(code, str)
        return code


@pytest.fixture(scope="module")
def registry_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path_factory.mktemp("kinds"), RegistryOptions(delete=True)) as one:
        yield one


class Client:
    """Asks one proxy, with what its kind wants of the pusher."""

    def __init__(self, proxy: BehaviourProxy) -> None:
        self.proxy = proxy
        self.headers: dict[str, str] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        connection = http.client.HTTPConnection(self.proxy.host, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            with connection.getresponse() as answer:
                told = {name.lower(): value for name, value in answer.getheaders()}
                return Said(answer.status, told, answer.read())
        finally:
            connection.close()

    def log_in(self, account: Account, *scopes: str) -> Said:
        """Basic from now on, or a token with these scopes, as the kind has it."""
        basic = Access.basic(account.user, account.password).headers
        self.headers = {}
        challenge = self.ask("GET", "/v2/").headers.get("www-authenticate", "")
        if not challenge.startswith("Bearer"):
            self.headers = dict(basic)
            return self.ask("GET", "/v2/")
        path = challenge.partition('realm="')[2].partition('"')[0].removeprefix(self.proxy.url)
        query = "&".join(f"scope={scope}" for scope in scopes)
        said = self.ask("GET", f"{path}?{query}", headers=basic)
        if said.status == 200:
            token = json.loads(said.body)["token"]
            self.headers = {"Authorization": f"Bearer {token}"}
        return said

    def begin(self, repository: str, query: str = "") -> Said:
        return self.ask("POST", f"/v2/{repository}/blobs/uploads/{query}")

    def session(self, repository: str) -> str:
        said = self.begin(repository)
        assert said.status == 202, said
        return said.headers["location"].removeprefix(self.proxy.url)

    def put_blob(self, repository: str, content: bytes = BLOB) -> Said:
        kind = {"Content-Type": "application/octet-stream"}
        path = f"{self.session(repository)}&digest={digest_of(content)}"
        return self.ask("PUT", path, content, kind)

    def put_manifest(self, repository: str, reference: str, raw: bytes, kind: str) -> Said:
        path = f"/v2/{repository}/manifests/{reference}"
        return self.ask("PUT", path, raw, {"Content-Type": kind})


Meet = Callable[..., Client]


@pytest.fixture
def meet(registry_behind: DockerRegistry) -> Iterator[Meet]:
    """Start a kind whose owner has made what is named."""
    with ExitStack() as stack:

        def start(kind: Kind, *existing: str) -> Client:
            made = BehaviourProxy(kind, registry_behind.host, registry_behind.storage)
            proxy = stack.enter_context(made)
            proxy.site.accounts = (PUSHER, READER)
            proxy.site.existing.update(existing)
            return Client(proxy)

        yield start


def scope(repository: str, actions: str = "pull,push") -> str:
    return f"repository:{repository}:{actions}"


def pushed(client: Client, repository: str, tag: str = "1") -> None:
    """A whole image arrives."""
    assert push_image(client.proxy.host, repository, tag, IMAGE, Access(client.headers))
    assert client.proxy.site.storage.tags(repository)[tag] == IMAGE.digest


@pytest.mark.parametrize(
    ("kind", "existing", "repository"),
    [
        (table.DISTRIBUTION, (), "whole-distribution"),
        (table.ECR, ("team/ecr",), "team/ecr"),
        (table.HARBOR, ("project",), "project/deep/harbor"),
        (table.QUAY, ("org",), "org/quay"),
        (table.GAR, ("acme/apps",), "acme/apps/gar"),
        (table.GHCR, (), "owner/ghcr"),
        (table.ACR, (), "acr"),
        (table.DOCKER_HUB, (), "name/hub"),
        (table.NEXUS, ("hosted",), "hosted/nexus"),
        (table.ARTIFACTORY, ("key",), "key/artifactory"),
        (table.ZOT, (), "zot"),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_what_is_right_goes_through(
    meet: Meet, kind: Kind, existing: tuple[str, ...], repository: str
) -> None:
    client = meet(kind, *existing)
    assert client.log_in(PUSHER, scope(repository)).status == 200
    pushed(client, repository)

    if kind is not table.DISTRIBUTION:
        assert client.log_in(READER, scope(repository)).status == 200
        assert client.ask("GET", f"/v2/{repository}/tags/list").status == 200
        assert client.begin(repository).status in (401, 403)
        stranger = meet(kind, *existing)
        assert stranger.ask("GET", f"/v2/{repository}/tags/list").status == 401
        assert stranger.log_in(Account("pusher", "wrong")).status in (401, 403)


def test_ecr_wants_repositories_made_and_mounts_nothing(meet: Meet) -> None:
    client = meet(table.ECR, "made")
    client.log_in(PUSHER)
    assert (client.begin("other").status, client.begin("other").code) == (404, "NAME_UNKNOWN")
    client.put_blob("made")
    client.proxy.site.existing.add("second")
    assert client.begin("second", f"?mount={DIGEST}&from=made").status == 202


def test_ecr_takes_no_chunks(meet: Meet) -> None:
    client = meet(table.ECR, "made")
    client.log_in(PUSHER)
    chunk = client.ask("PATCH", client.session("made"), BLOB)
    assert chunk.status == 201
    end = chunk.headers["location"].removeprefix(client.proxy.url)
    assert client.ask("PUT", f"{end}&digest={DIGEST}").status == 400


def test_ecr_wants_to_read_what_a_manifest_is(meet: Meet) -> None:
    client = meet(table.ECR, "made")
    client.log_in(PUSHER)
    plain = make_image([b"no type"], style=ImageStyle(with_media_type=False))
    for content in plain.all_blobs().values():
        assert isinstance(content, bytes)
        client.put_blob("made", content)
    said = client.put_manifest("made", "1", plain.raw, OCI_MANIFEST)
    assert (said.status, said.code) == (405, "UNSUPPORTED")


def test_ecr_forgets_a_password(meet: Meet) -> None:
    client = meet(table.ECR, "made")
    assert client.log_in(PUSHER).status == 200
    client.proxy.site.expire()
    assert (client.begin("made").status, client.begin("made").code) == (403, "DENIED")


@pytest.mark.parametrize(
    ("kind", "namespace", "status", "code"),
    [
        (table.ECR, "team/fixed-ecr", 400, "TAG_INVALID"),
        (table.HARBOR, "team", 412, "PRECONDITION"),
        (table.QUAY, "team", 409, "TAG_IMMUTABLE"),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_immutable_tags_are_not_even_written_anew(
    meet: Meet, kind: Kind, namespace: str, status: int, code: str
) -> None:
    client = meet(kind, namespace)
    repository = f"team/fixed-{kind.name}"
    client.proxy.site.immutable = "v.*"
    client.log_in(PUSHER, scope(repository))
    pushed(client, repository, "v1")
    pushed(client, repository, "latest")

    said = client.put_manifest(repository, "v1", IMAGE.raw, OCI_MANIFEST)
    assert (said.status, said.code) == (status, code)
    assert client.put_manifest(repository, "latest", IMAGE.raw, OCI_MANIFEST).status == 201
    assert client.put_manifest(repository, IMAGE.digest, IMAGE.raw, OCI_MANIFEST).status == 201


def test_harbor_misleads_those_who_showed_something(meet: Meet) -> None:
    client = meet(table.HARBOR, "project")
    first = client.ask("GET", "/v2/")
    assert first.headers["www-authenticate"].startswith("Bearer realm=")
    client.log_in(PUSHER, scope("project/a"), scope("missing/a"))
    said = client.begin("missing/a")
    assert (said.status, said.headers["www-authenticate"]) == (401, "")
    assert client.begin("project/b").headers["www-authenticate"] == 'Basic realm="harbor"'


def test_quay_refuses_a_token_for_deleting(meet: Meet) -> None:
    client = meet(table.QUAY, "org")
    assert client.log_in(PUSHER, scope("org/a", "pull,push,delete")).status == 400
    assert client.log_in(PUSHER, scope("org/a"), scope("nobody/a")).status == 200
    assert client.begin("org/a").status == 202
    said = client.begin("nobody/a")
    assert (said.status, "insufficient_scope" in said.headers["www-authenticate"]) == (401, True)


def test_quay_is_particular(meet: Meet) -> None:
    client = meet(table.QUAY, "org")
    client.log_in(PUSHER, scope("org/a"))
    assert client.begin("org/a", f"?mount={DIGEST}").status == 400
    client.put_blob("org/a")
    assert client.ask("DELETE", f"/v2/org/a/blobs/{DIGEST}").status == 405
    said = client.put_manifest("org/a", "1", b"{}", "application/vnd.cncf.helm.chart+json")
    assert said.status == 415
    artifact = make_artifact(b"signature", "application/vnd.example.signature")
    client.proxy.site.artifacts = False
    assert client.put_manifest("org/a", "1", artifact.raw, OCI_MANIFEST).status == 400


def test_google_takes_a_blob_in_one_piece(meet: Meet) -> None:
    client = meet(table.GAR, "acme/apps")
    client.log_in(PUSHER, scope("acme/apps/web"), scope("acme/other/web"), scope("acme/web"))
    chunk = client.ask("PATCH", client.session("acme/apps/web"), BLOB[:5])
    again = chunk.headers["location"].removeprefix(client.proxy.url)
    assert client.ask("PATCH", again, BLOB[5:]).status == 400
    assert client.begin("acme/other/web").status == 404
    assert client.begin("acme/web").status == 400
    client.headers = {}
    assert "www-authenticate" not in client.begin("acme/apps/web").headers
    assert "www-authenticate" in client.ask("GET", "/v2/").headers


def test_github_takes_small_chunks(meet: Meet) -> None:
    client = meet(table.GHCR)
    client.log_in(PUSHER, scope("owner/a"), scope("a"))
    assert client.ask("PATCH", client.session("owner/a"), bytes(4 * _MIB + 1)).status == 416
    assert client.ask("PATCH", client.session("owner/a"), bytes(4 * _MIB)).status == 202
    assert client.begin("a").status == 404
    assert client.ask("GET", f"/v2/owner/a/referrers/{DIGEST}").status == 404


def test_azure_gives_tokens_for_refresh_tokens_and_slows_down(meet: Meet) -> None:
    client = meet(table.ACR)
    form = f"grant_type=refresh_token&refresh_token=refresh-me&scope={scope('a')}"
    said = client.ask("POST", "/oauth2/token", form.encode())
    client.headers = {"Authorization": f"Bearer {json.loads(said.body)['access_token']}"}
    assert client.begin("a").status == 202
    assert client.ask("POST", "/oauth2/token", b"refresh_token=other").status == 401
    client.proxy.site.throttle = 2
    slow = client.begin("a")
    assert (slow.status, slow.headers["retry-after"]) == (429, "1")
    client.proxy.site.throttle = 0
    large = b'{"x": "%b"}' % (b"x" * 4 * _MIB)
    assert client.put_manifest("a", "1", large, OCI_MANIFEST).status == 413


def test_docker_hub_has_two_levels_and_counts_pulls(meet: Meet) -> None:
    client = meet(table.DOCKER_HUB)
    client.log_in(PUSHER, scope("name/a"), scope("name/a/b"))
    assert client.begin("name/a/b").status == 401
    pushed(client, "name/a", "counted")
    path = "/v2/name/a/manifests/counted"
    left = [client.ask(m, path).headers["ratelimit-remaining"] for m in ("HEAD", "GET", "HEAD")]
    assert left == ["200;w=21600", "199;w=21600", "199;w=21600"]
    client.proxy.site.counts["pulls"] = 200
    assert (client.ask("GET", path).status, client.ask("HEAD", path).status) == (429, 429)
    assert client.ask("GET", "/v2/_catalog").status == 401


def test_nexus_wants_lengths_and_types(meet: Meet) -> None:
    client = meet(table.NEXUS, "hosted")
    assert "Nexus" in client.ask("GET", "/v2/").headers["www-authenticate"]
    client.log_in(PUSHER)
    path = client.session("hosted/a")
    chunked = {"Transfer-Encoding": "chunked"}
    assert client.ask("PUT", path, b"0\r\n\r\n", chunked).status == 411
    assert client.ask("PUT", f"{path}&digest={DIGEST}", BLOB).status == 415
    assert client.put_blob("hosted/a").status == 201
    assert client.begin("unhosted/a").status == 404


def test_artifactory_has_repository_keys(meet: Meet) -> None:
    client = meet(table.ARTIFACTORY, "key")
    client.headers = dict(Access.basic(PUSHER.user, PUSHER.password).headers)
    assert client.begin("key/a").status == 202
    assert client.begin("other/a").status == 404
    assert client.begin("key/b", f"?mount={DIGEST}&from=other/a").status == 202


def test_zot_knows_oci_alone(meet: Meet) -> None:
    client = meet(table.ZOT)
    client.log_in(PUSHER)
    client.put_blob("zot/a")
    assert client.begin("zot/b", f"?mount={DIGEST}").status == 201
    assert client.begin("zot/b", "?from=zot/a").status == 405
    docker = make_image([b"docker"], style=ImageStyle(docker=True))
    said = client.put_manifest("zot/a", "1", docker.raw, DOCKER_MANIFEST)
    assert (said.status, said.code) == (415, "MANIFEST_INVALID")
    large = b'{"x": "%b"}' % (b"x" * 4 * _MIB)
    assert client.put_manifest("zot/a", "1", large, OCI_MANIFEST).status == 413


@pytest.mark.parametrize("kind", [table.ZOT, table.GHCR], ids=lambda kind: kind.name)
def test_referrers_are_listed_by_those_that_list_them(meet: Meet, kind: Kind) -> None:
    client = meet(kind)
    repository = f"signed/{kind.name}"
    client.log_in(PUSHER, scope(repository))
    pushed(client, repository)
    signature = make_artifact(b"signed", "application/vnd.example.signature", IMAGE)
    for content in signature.all_blobs().values():
        assert isinstance(content, bytes)
        client.put_blob(repository, content)
    said = client.put_manifest(repository, signature.digest, signature.raw, OCI_MANIFEST)

    listed = client.ask("GET", f"/v2/{repository}/referrers/{IMAGE.digest}")

    assert said.status == 201
    if kind.referrers:
        assert said.headers["oci-subject"] == IMAGE.digest
        (entry,) = json.loads(listed.body)["manifests"]
        assert (entry["digest"], listed.headers["content-type"]) == (signature.digest, OCI_INDEX)
    else:
        assert (listed.status, "oci-subject" in said.headers) == (404, False)


def test_a_narrow_proxy_takes_no_large_bodies(meet: Meet) -> None:
    client = meet(table.NARROW_PROXY)
    assert client.put_blob("narrow", bytes(_MIB)).status == 201
    assert client.put_blob("narrow", bytes(_MIB + 1)).status == 413


def test_every_token_ends_when_the_site_says_so(meet: Meet) -> None:
    client = meet(table.GHCR)
    client.log_in(PUSHER, scope("owner/ends"))
    assert client.begin("owner/ends").status == 202
    client.proxy.site.expire()
    assert client.begin("owner/ends").status == 401
    client.log_in(PUSHER, scope("owner/ends"))
    assert client.begin("owner/ends").status == 202
