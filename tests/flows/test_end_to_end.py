"""An application's whole way, with every shape that images have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest

from airgap_shared.oci.reference import parse_reference
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.images import (
    OCI_INDEX,
    BuiltImage,
    ImageStyle,
    gzip_layer,
    make_artifact,
    make_image,
    make_index,
    opaque_layer,
    platform_index,
    tar_layer,
)
from support.journey import Journey, images_in, succeeded
from support.pushing import fetch_blob, fetch_manifest

_SHARED = gzip_layer({"base": b"a layer that several images have"})
_DOCKER = ImageStyle(docker=True)
_ATTESTATION = "application/vnd.in-toto+json"

_IMAGES = {
    "docker.io/library/nginx:1.27": make_image([_SHARED, b"nginx"], style=_DOCKER),
    "quay.io/team/oci:2": make_image([_SHARED, b"oci"]),
    "quay.io/team/untyped:1": make_image(
        [b"no media type"], style=ImageStyle(with_media_type=False)
    ),
    "quay.io/team/plain:1": make_image([tar_layer({"big": b"z" * 300_000})]),
    "quay.io/team/empty-layer:1": make_image([opaque_layer(b""), _SHARED]),
    "quay.io/team/no-layers:1": make_image([]),
    "registry.example.com:5000/team/ported": make_image([b"ported"]),
    "ghcr.io/team/artifact:1": make_artifact(b"some chart", "application/vnd.example.chart"),
}


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Journey, DockerRegistry]]:
    """All of these images, carried once; to be looked at only."""
    folder = tmp_path_factory.mktemp("carried")
    for name in ("source", "target"):
        (folder / name).mkdir()
    with DockerRegistry(folder / "source") as source, DockerRegistry(folder / "target") as target:
        journey = Journey.begin(folder / "work", source.host, target.host)
        for reference, image in _IMAGES.items():
            journey.push(reference, image)
        journey.deploy(*_IMAGES)
        _send(journey)
        yield journey, target


@pytest.fixture
def target_proxy(registry: DockerRegistry, make_proxy: MakeProxy) -> FaultProxy:
    """Records what reaches the target."""
    return make_proxy(registry.host)


@pytest.fixture
def watched(journey: Journey, target_proxy: FaultProxy) -> Journey:
    """The journey with the target behind the proxy."""
    return replace(journey, target=target_proxy.host)


def _send(journey: Journey, *options: str) -> None:
    succeeded(journey.create(*options))
    succeeded(journey.verify())
    succeeded(journey.apply())


def _assert_complete(registry: DockerRegistry, repository: str, image: BuiltImage) -> None:
    """The registry serves the image and all below it, byte for byte."""
    for digest, raw in image.all_manifests().items():
        assert fetch_manifest(registry.host, repository, digest).raw == raw
    for digest in image.all_blobs():
        fetch_blob(registry.host, repository, digest)


def test_images_of_every_shape_arrive_with_their_digests(
    carried: tuple[Journey, DockerRegistry],
) -> None:
    journey, registry = carried
    relocation = journey.relocation()
    assert {parse_reference(name).canonical for name in _IMAGES} == set(relocation)
    for reference, image in _IMAGES.items():
        entry = relocation[parse_reference(reference).canonical]
        assert entry["digest"] == image.digest
        tag = parse_reference(reference).effective_tag
        assert tag is not None
        found = fetch_manifest(registry.host, entry["repository"], tag)
        assert (found.raw, found.media_type) == (image.raw, image.media_type)
        _assert_complete(registry, entry["repository"], image)


def test_the_registry_ends_whole_and_fully_tagged(carried: tuple[Journey, DockerRegistry]) -> None:
    storage = carried[1].storage
    state = storage.snapshot()
    assert all(stored == real for stored, real in state.blobs.items())
    assert storage.untagged() == set()
    assert storage.open_uploads() == 0
    expected: dict[tuple[str, str | None], str] = {}
    for name, image in _IMAGES.items():
        reference = parse_reference(name)
        repository = f"apps/shop/{reference.last_segment}"
        expected[repository, reference.effective_tag] = image.digest
        expected[repository, image.digest.replace("sha256:", "airgap-")] = image.digest
    receipts = {at: digest for at, digest in state.tags.items() if "airgap-receipts" in at[0]}
    assert {at[0] for at in receipts} == {"apps/shop/airgap-receipts"}
    assert {at[1][:12] for at in receipts} == {
        "shop_stable",
        f"airgap-{next(iter(receipts.values()))[7:12]}",
    }
    assert {**state.tags} == expected | {**receipts}


def test_the_overlay_names_the_target_only(carried: tuple[Journey, DockerRegistry]) -> None:
    journey, registry = carried
    rendered = images_in(journey.rendered())
    assert rendered == sorted(entry["reference"] for entry in journey.relocation().values())
    assert len(rendered) == len(_IMAGES)
    assert all(image.startswith(f"{registry.host}/apps/shop/") for image in rendered)
    assert all("@sha256:" in image for image in rendered)


def test_a_blob_that_several_images_share_is_sent_once_and_mounted(
    watched: Journey, registry: DockerRegistry, target_proxy: FaultProxy
) -> None:
    sharing = [name for name, image in _IMAGES.items() if _SHARED.digest in image.blobs]
    for name in sharing:
        watched.push(name, _IMAGES[name])
    watched.deploy(*sharing)
    _send(watched)

    holders = {name for name, digest in registry.storage.layer_links() if digest == _SHARED.digest}
    assert len(holders) == len(sharing) == 3
    hexadecimal = _SHARED.digest.removeprefix("sha256:")
    assert len(target_proxy.requests("PUT", f"uploads.*{hexadecimal}")) == 1
    mounts = target_proxy.requests("POST", f"mount=.*{hexadecimal}")
    assert [mount.status for mount in mounts] == [201, 201]


def test_blobs_arrive_before_manifests_and_those_before_tags(
    watched: Journey, target_proxy: FaultProxy
) -> None:
    watched.push("team/app:1", platform_index("app", "linux/amd64", "linux/arm64"))
    watched.deploy("team/app:1")
    _send(watched, "--platform", "all")

    kinds = [_kind(one.path) for one in target_proxy.requests("PUT")]
    assert kinds == sorted(kinds)
    assert kinds.count("3 tag") == 1


def _kind(path: str) -> str:
    last = path.rpartition("/")[2]
    if "/airgap-receipts/" in path:
        return "4 receipt"
    if "/manifests/" not in path:
        return "0 blob"
    if last.startswith("sha256:"):
        return "1 manifest"
    return "2 keep-tag" if last.startswith("airgap-") else "3 tag"


class TestIndexes:
    """Images for several platforms, in both families."""

    platforms = ("linux/amd64", "linux/arm64", "linux/arm/v7")
    images = MappingProxyType(
        {
            "team/oci:1": platform_index("oci", *platforms),
            "team/docker:1": platform_index("docker", *platforms, style=_DOCKER),
        }
    )

    def _carry(self, journey: Journey, *platforms: str) -> list[tuple[BuiltImage, str, str]]:
        """Each image with its repository and digest in the target."""
        for name, image in self.images.items():
            journey.push(name, image)
        journey.deploy(*self.images)
        _send(journey, *(part for one in platforms for part in ("--platform", one)))
        found = journey.relocation()
        entries = [(image, found[f"docker.io/{name}"]) for name, image in self.images.items()]
        return [(image, entry["repository"], entry["digest"]) for image, entry in entries]

    def test_one_platform_is_that_image(self, journey: Journey, registry: DockerRegistry) -> None:
        for image, repository, digest in self._carry(journey, "linux/arm64"):
            assert digest == image.children[1].digest
            _assert_complete(registry, repository, image.children[1])
            assert registry.storage.manifests(repository) == {image.children[1].digest}

    def test_two_platforms_are_an_index_of_two(
        self, journey: Journey, registry: DockerRegistry
    ) -> None:
        for image, repository, digest in self._carry(journey, "linux/amd64", "linux/arm64"):
            found = fetch_manifest(registry.host, repository, digest)
            assert found.media_type == image.media_type
            whole, subset = image.document, BuiltImage(found.raw, found.media_type).document
            kept = whole["manifests"]
            assert isinstance(kept, list)
            assert subset == {**whole, "manifests": kept[:2]}
            assert registry.storage.manifests(repository) == {
                found.digest,
                *(child.digest for child in image.children[:2]),
            }

    def test_all_platforms_are_the_same_index(
        self, journey: Journey, registry: DockerRegistry
    ) -> None:
        for image, repository, digest in self._carry(journey, "all"):
            assert digest == image.digest
            _assert_complete(registry, repository, image)


def test_an_index_keeps_its_attestations_when_all_is_kept(
    journey: Journey, registry: DockerRegistry
) -> None:
    amd64, arm64 = (make_image([name.encode()], f"linux/{name}") for name in ("amd64", "arm64"))
    attestation = replace(
        make_artifact(b'{"_type":"statement"}', _ATTESTATION), platform="unknown/unknown"
    )
    image = make_index([amd64, arm64, attestation])
    assert image.media_type == OCI_INDEX
    journey.push("team/attested:1", image)
    journey.deploy("team/attested:1")

    _send(journey, "--platform", "linux/amd64", "--platform", "linux/arm64")

    entry = journey.relocation()["docker.io/team/attested:1"]
    assert entry["digest"] == image.digest
    _assert_complete(registry, entry["repository"], image)


def test_an_index_loses_its_attestations_with_its_platforms(
    journey: Journey, registry: DockerRegistry
) -> None:
    amd64, arm64 = (make_image([name.encode()], f"linux/{name}") for name in ("amd64", "arm64"))
    attestation = replace(
        make_artifact(b'{"_type":"statement"}', _ATTESTATION), platform="unknown/unknown"
    )
    journey.push("team/attested:1", make_index([amd64, arm64, attestation]))
    journey.deploy("team/attested:1")

    _send(journey, "--platform", "linux/amd64")

    assert registry.storage.manifests("apps/shop/attested") == {amd64.digest}
