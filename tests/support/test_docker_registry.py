from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import (
    DockerRegistry,
    MakeRegistry,
    RegistryNotStarted,
    RegistryOptions,
)
from support.images import make_image, platform_index
from support.pushing import (
    Access,
    RegistryRefused,
    fetch_blob,
    fetch_manifest,
    list_tags,
    push_blob,
    push_image,
)
from support.tls import Certificate

IMAGE = make_image([b"content"])


def test_storage_tells_what_was_pushed(registry: DockerRegistry) -> None:
    index = platform_index("app", "linux/amd64", "linux/arm64/v8")
    push_image(registry.host, "shop/cart", "1", index)
    storage = registry.storage
    assert storage.repositories() == ["shop/cart"]
    assert storage.tags("shop/cart") == {"1": index.digest}
    assert storage.manifests("shop/cart") == set(index.all_manifests())
    assert set(storage.blobs()) == set(index.all_manifests()) | set(index.all_blobs())
    assert storage.untagged() == {("shop/cart", child.digest) for child in index.children}
    assert storage.read_blob(index.digest) == index.raw
    assert storage.open_uploads() == 0


def test_what_was_pushed_is_served(registry: DockerRegistry) -> None:
    push_image(registry.host, "shop/cart", "1", IMAGE)
    assert fetch_manifest(registry.host, "shop/cart", "1").raw == IMAGE.raw
    assert list_tags(registry.host, "shop/cart") == ["1"]
    for digest, content in IMAGE.blobs.items():
        assert fetch_blob(registry.host, "shop/cart", digest) == content


def test_a_snapshot_tells_changed_bytes(registry: DockerRegistry) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    before = registry.storage.snapshot()
    assert before == registry.storage.snapshot()
    path = registry.storage.blob_path(IMAGE.digest)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    assert registry.storage.snapshot() != before


def test_a_snapshot_tells_a_moved_tag(registry: DockerRegistry) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    push_image(registry.host, "app", "2", make_image([b"other"]))
    before = registry.storage.snapshot()
    push_image(registry.host, "app", "2", IMAGE)
    after = registry.storage.snapshot()
    assert after.blobs == before.blobs
    assert after != before


def test_a_killed_registry_comes_back_as_it_was(registry: DockerRegistry) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    host, before, pid = registry.host, registry.storage.snapshot(), registry.pid
    registry.kill()
    registry.start()
    assert (registry.host, registry.storage.snapshot()) == (host, before)
    assert registry.pid != pid
    assert fetch_manifest(host, "app", "1").digest == IMAGE.digest


def test_only_the_user_is_let_in(htpasswd_registry: DockerRegistry) -> None:
    host = htpasswd_registry.host
    push_image(host, "app", "1", IMAGE, Access.basic("robot", "s3cret:word"))
    for wrong in (Access(), Access.basic("robot", "other"), Access.basic("someone", "s3cret:word")):
        with pytest.raises(RegistryRefused, match="401"):
            fetch_manifest(host, "app", "1", wrong)


def test_tls_is_trusted_by_its_authority_only(tls_registry: DockerRegistry) -> None:
    push_image(tls_registry.host, "app", "1", IMAGE, Access(ca_file=tls_registry.ca_file))
    assert tls_registry.url.startswith("https://127.0.0.1:")
    with pytest.raises(RegistryRefused, match="400"):
        push_image(tls_registry.host, "app", "1", IMAGE)


def test_a_read_only_registry_takes_nothing(make_registry: MakeRegistry) -> None:
    closed = make_registry(RegistryOptions(read_only=True))
    with pytest.raises(RegistryRefused, match="405"):
        push_blob(closed.host, "app", IMAGE.digest, IMAGE.raw)


def test_a_registry_that_cannot_start_says_why(tmp_path: Path, certificate: Certificate) -> None:
    no_key = replace(certificate, key=tmp_path / "absent.key")
    broken = DockerRegistry(tmp_path, RegistryOptions(tls=no_key))
    with pytest.raises(RegistryNotStarted, match=r"absent\.key"):
        broken.start()
    assert broken.pid is None
