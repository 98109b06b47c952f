from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from airgap_shared.errors import (
    DigestMismatch,
    ImageReferenceInvalid,
    LimitExceeded,
    RegistryIntegrity,
    RegistryRejected,
    SizeMismatch,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.registry import Registry
from support.clients import IMPATIENT, body_of, http_client
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import MakeProxy
from support.faults import Answer, FlipByte, Rewrite, Rule
from support.images import (
    DOCKER_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    GeneratedContent,
    ImageStyle,
    chunks_of,
    make_artifact,
    make_image,
    platform_index,
    size_of,
)
from support.pushing import push_image

CONTENT = b"".join(chunks_of(GeneratedContent(3 << 20)))
DIGEST = Digest.of(CONTENT)
INDEX = platform_index("app", "linux/amd64", "linux/arm64/v8", style=ImageStyle(docker=True))


@pytest.fixture
def client(registry: DockerRegistry) -> Iterator[Registry]:
    with http_client(registry.host) as made:
        yield made


def push(client: Registry, repository: str, tag: str, image: BuiltImage) -> None:
    for digest, content in image.all_blobs().items():
        assert isinstance(content, bytes)
        client.push_blob(repository, Digest.parse(digest), len(content), body_of(content))
    for child in image.children:
        client.put_manifest(repository, child.digest, child.raw, child.media_type)
    client.put_manifest(repository, tag, image.raw, image.media_type)


def test_what_is_pushed_is_stored_byte_for_byte(client: Registry, registry: DockerRegistry) -> None:
    client.ping()
    push(client, "shop/cart", "1", INDEX)
    storage = registry.storage
    assert storage.tags("shop/cart") == {"1": INDEX.digest}
    assert set(storage.blobs()) == set(INDEX.all_blobs()) | set(INDEX.all_manifests())
    assert storage.read_blob(INDEX.digest) == INDEX.raw
    assert storage.open_uploads() == 0


@pytest.mark.parametrize("reference", ["1", INDEX.digest])
def test_what_is_stored_is_found(
    client: Registry, registry: DockerRegistry, reference: str
) -> None:
    push_image(registry.host, "shop/cart", "1", INDEX)
    digest = Digest.parse(INDEX.digest)
    expected = Descriptor(DOCKER_LIST, digest, len(INDEX.raw))
    assert client.head_manifest("shop/cart", reference) == expected
    fetched = client.get_manifest("shop/cart", reference)
    assert fetched is not None
    assert (fetched.raw, fetched.descriptor) == (INDEX.raw, expected)
    for text, content in INDEX.all_blobs().items():
        blob = Digest.parse(text)
        assert client.blob_size("shop/cart", blob) == size_of(content)
        assert b"".join(client.fetch_blob("shop/cart", blob, size_of(content))) == content


def test_what_is_not_there_is_nothing(client: Registry) -> None:
    assert client.head_manifest("shop/cart", "1") is None
    assert client.get_manifest("shop/cart", str(DIGEST)) is None
    assert client.blob_size("shop/cart", DIGEST) is None
    with pytest.raises(RegistryRejected, match="no such blob"):
        list(client.fetch_blob("shop/cart", DIGEST, len(CONTENT)))


def test_other_bytes_than_the_digest_asks_for_are_not_taken(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    proxy = make_proxy(registry.host, Rule(FlipByte(10), "GET", "manifests"))
    with http_client(proxy.host) as client:
        with pytest.raises(DigestMismatch) as caught:
            client.get_manifest("app", INDEX.digest)
        assert caught.value.where == f"{proxy.host}/app@{INDEX.digest}"
        assert client.get_manifest("app", INDEX.digest) is not None


def test_a_manifest_over_the_limit_is_not_read(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    huge = Rewrite(body=b" " * ((4 << 20) + 1))
    proxy = make_proxy(registry.host, Rule(huge, "GET", "manifests", times=None))
    reading = replace(IMPATIENT, writes=False)
    with http_client(proxy.host, settings=reading) as source, pytest.raises(LimitExceeded):
        source.get_manifest("app", "1")
    with http_client(proxy.host) as target, pytest.raises(RegistryIntegrity):
        target.get_manifest("app", "1")


@pytest.mark.parametrize("missing", ["Docker-Content-Digest", "Content-Length", "Content-Type"])
def test_what_the_headers_do_not_say_is_found_out(
    registry: DockerRegistry, make_proxy: MakeProxy, missing: str
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    proxy = make_proxy(registry.host, Rule(Rewrite(headers={missing: None}), "HEAD", "manifests"))
    with http_client(proxy.host) as client:
        found = client.head_manifest("app", "1")
    assert found == Descriptor(DOCKER_LIST, Digest.parse(INDEX.digest), len(INDEX.raw))
    assert len(proxy.requests("GET", "manifests")) == 1


def test_another_digest_than_asked_for_is_noticed(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    other = Rewrite(headers={"Docker-Content-Digest": str(DIGEST)})
    proxy = make_proxy(registry.host, Rule(other, "HEAD", "manifests"))
    with http_client(proxy.host) as client, pytest.raises(RegistryIntegrity):
        client.head_manifest("app", INDEX.digest)


def test_the_right_bytes_under_another_digest_are_not_taken(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    other = Rewrite(headers={"Docker-Content-Digest": str(DIGEST)})
    proxy = make_proxy(registry.host, Rule(other, "GET", "manifests"))
    with http_client(proxy.host) as client, pytest.raises(DigestMismatch, match=str(DIGEST)):
        client.get_manifest("app", INDEX.digest)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (5 << 20) + 3])
def test_blobs_of_any_size_make_the_round_trip(client: Registry, size: int) -> None:
    content = b"".join(chunks_of(GeneratedContent(size)))
    digest = Digest.of(content)
    client.push_blob("app", digest, size, body_of(content, 300_000))
    assert client.blob_size("app", digest) == size
    chunks = list(client.fetch_blob("app", digest, size))
    assert b"".join(chunks) == content
    assert all(len(chunk) <= 1 << 20 for chunk in chunks)


def test_a_blob_is_pushed_by_sha512(client: Registry) -> None:
    digest = Digest("sha512", hashlib.sha512(CONTENT).hexdigest())
    client.push_blob("app", digest, len(CONTENT), body_of(CONTENT))
    assert b"".join(client.fetch_blob("app", digest, len(CONTENT))) == CONTENT


@pytest.mark.parametrize("offset", [1, 1 << 20, len(CONTENT) - 1, len(CONTENT)])
def test_a_blob_is_read_from_the_middle(client: Registry, offset: int) -> None:
    client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    chunks = client.blob_chunks("app", DIGEST, len(CONTENT), offset)
    assert b"".join(chunks) == CONTENT[offset:]


@pytest.mark.parametrize("error", [1, -1])
def test_a_blob_of_another_size_is_not_passed_on(client: Registry, error: int) -> None:
    client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    with pytest.raises(SizeMismatch, match=f"has {len(CONTENT)} bytes"):
        list(client.blob_chunks("app", DIGEST, len(CONTENT) + error))


def test_a_blob_is_mounted_without_being_sent(client: Registry, registry: DockerRegistry) -> None:
    client.push_blob("one", DIGEST, len(CONTENT), body_of(CONTENT))
    assert client.mount_blob("two", DIGEST, "one")
    assert client.blob_size("two", DIGEST) == len(CONTENT)
    assert registry.storage.open_uploads() == 0


def test_a_mount_of_nothing_leaves_nothing(client: Registry, registry: DockerRegistry) -> None:
    assert not client.mount_blob("two", DIGEST, "one")
    client.close()
    assert registry.storage.open_uploads() == 0
    assert registry.storage.blobs() == {}


class Broken(Exception):
    pass


def wrong_byte() -> Iterator[bytes]:
    yield CONTENT[: 1 << 20]
    yield CONTENT[1 << 20 : -1] + b"\0"


def too_short() -> Iterator[bytes]:
    yield CONTENT[:-1]


def too_long() -> Iterator[bytes]:
    yield CONTENT
    yield b"more"


def broken() -> Iterator[bytes]:
    yield CONTENT[: 2 << 20]
    yield CONTENT[2 << 20 : -1]
    raise Broken


def unreadable() -> Iterator[bytes]:
    yield CONTENT[: 1 << 20]
    yield CONTENT[1 << 20 : 2 << 20]
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (wrong_byte, DigestMismatch),
        (too_short, SizeMismatch),
        (too_long, SizeMismatch),
        (broken, Broken),
        (unreadable, OSError),
    ],
)
def test_nothing_is_stored_of_a_body_that_is_wrong(
    client: Registry,
    registry: DockerRegistry,
    body: Callable[[], Iterator[bytes]],
    error: type[Exception],
) -> None:
    opened = []

    def open_body() -> Iterator[bytes]:
        opened.append(body)
        return body()

    with pytest.raises(error):
        client.push_blob("app", DIGEST, len(CONTENT), open_body)
    assert len(opened) == 1
    assert client.blob_size("app", DIGEST) is None
    assert registry.storage.blobs() == {}
    # The client still works after the broken connection.
    client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
    assert client.blob_size("app", DIGEST) == len(CONTENT)


def test_a_manifest_over_the_limit_is_not_sent(client: Registry) -> None:
    with pytest.raises(LimitExceeded):
        client.put_manifest("app", "1", b" " * ((4 << 20) + 1), DOCKER_LIST)


def test_a_manifest_must_have_the_digest_it_is_put_under(client: Registry) -> None:
    with pytest.raises(DigestMismatch):
        client.put_manifest("app", str(DIGEST), INDEX.raw, INDEX.media_type)


def test_a_manifest_whose_content_is_missing_is_refused(client: Registry) -> None:
    image = make_image([b"layer"])
    with pytest.raises(RegistryRejected) as caught:
        client.put_manifest("app", "1", image.raw, image.media_type)
    assert caught.value.details[0].startswith("MANIFEST_BLOB_UNKNOWN")


def test_a_registry_without_a_list_of_referrers_is_known_as_such(
    client: Registry, registry: DockerRegistry
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    artifact = make_artifact(b"about it", "application/x", INDEX)
    for digest, content in artifact.blobs.items():
        assert isinstance(content, bytes)
        client.push_blob("app", Digest.parse(digest), len(content), body_of(content))
    assert client.put_manifest("app", artifact.digest, artifact.raw, OCI_MANIFEST) is None
    assert not client.lists_referrers("app", Digest.parse(INDEX.digest))
    assert not client.lists_referrers("no/such", Digest.parse(INDEX.digest))


@pytest.mark.parametrize(("said", "known"), [(str(DIGEST), True), ("sha256:", False)])
def test_the_subject_that_a_registry_names_is_given(
    registry: DockerRegistry, make_proxy: MakeProxy, said: str, known: bool
) -> None:
    push_image(registry.host, "app", "1", INDEX)
    proxy = make_proxy(registry.host, Rule(Rewrite(headers={"OCI-Subject": said}), "PUT"))
    with http_client(proxy.host) as client:
        found = client.put_manifest("app", "2", INDEX.raw, INDEX.media_type)
    assert found == (DIGEST if known else None)


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (Answer(200, {"Content-Type": OCI_INDEX}, b"{}"), True),
        (Answer(200, {"Content-Type": f"{OCI_INDEX}; charset=utf-8"}, b"{}"), True),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>welcome</html>"), False),
        (Answer(400), False),
        (Answer(403), False),
        (Answer(404), False),
        (Answer(405), False),
    ],
)
def test_a_registry_lists_referrers_where_it_answers_with_a_list(
    registry: DockerRegistry, make_proxy: MakeProxy, answer: Answer, known: bool
) -> None:
    proxy = make_proxy(registry.host, Rule(answer, "GET", f"^/v2/app/referrers/{DIGEST}$"))
    with http_client(proxy.host) as client:
        assert client.lists_referrers("app", DIGEST) is known
    assert len(proxy.requests("GET", "referrers")) == 1


@pytest.mark.parametrize(
    ("repository", "reference"),
    [
        ("../app", "1"),
        ("app?x=", "1"),
        ("app#", "1"),
        ("App", "1"),
        ("a//b", "1"),
        ("app", "../1"),
        ("app", "sha256:../../x"),
        ("app", "1?x"),
        ("app", ""),
    ],
)
def test_names_outside_the_grammar_are_not_asked_for(repository: str, reference: str) -> None:
    with http_client("127.0.0.1:1") as client:
        with pytest.raises(ImageReferenceInvalid):
            client.head_manifest(repository, reference)
        with pytest.raises(ImageReferenceInvalid):
            client.put_manifest(repository, reference, b"{}", DOCKER_LIST)


def test_referrers_are_not_asked_for_by_names_outside_the_grammar() -> None:
    with http_client("127.0.0.1:1") as client, pytest.raises(ImageReferenceInvalid):
        client.lists_referrers("../app", DIGEST)


def test_pushing_is_checked_beforehand(client: Registry, registry: DockerRegistry) -> None:
    client.check_push("app")
    assert registry.storage.open_uploads() == 0
    assert registry.storage.blobs() == {}


def test_a_read_only_registry_is_named_as_such(make_registry: MakeRegistry) -> None:
    closed = make_registry(RegistryOptions(read_only=True))
    with http_client(closed.host) as client:
        with pytest.raises(RegistryRejected) as caught:
            client.check_push("app")
        assert "read-only" in caught.value.next_step
        assert caught.value.where == f"{closed.host}/app"
