from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from airgap_bundler.mirrors import Mirrors, parse_mirrors
from airgap_bundler.pinning import PinnedImage, Pinning
from airgap_shared.errors import (
    AirgapError,
    AmbiguousManifest,
    AuthFailed,
    DigestMismatch,
    ForeignLayer,
    ImagesUnresolved,
    LimitExceeded,
    MediaTypeUnsupported,
    RegistryUnavailable,
    SizeMismatch,
    UpstreamDigestMismatch,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index
from airgap_shared.oci.platform import Platform
from airgap_shared.oci.reference import parse_reference
from airgap_shared.stores.allowance import Allowance
from airgap_shared.stores.ports import FetchedManifest, ImageSource
from airgap_shared.stores.progress import NoProgress
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    ImageStyle,
    chunks_of,
    make_artifact,
    make_image,
    make_index,
    platform_index,
    size_of,
)


class Notes(NoProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = 0
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self.done += amount

    def note(self, text: str) -> None:
        self.texts.append(text)


@dataclass
class MemoryRegistry:
    """A registry that holds images in memory; an error in the place of a manifest is raised."""

    manifests: dict[tuple[str, str], FetchedManifest | AirgapError] = field(default_factory=dict)
    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    allowance: Allowance | None = None

    def add(self, repository: str, tag: str, image: BuiltImage, media_type: str = "") -> None:
        """Hold an image and everything below it."""
        digest = Digest.parse(image.digest)
        fetched = FetchedManifest(image.raw, media_type or image.media_type, digest)
        self.manifests[repository, tag] = self.manifests[repository, str(digest)] = fetched
        for text, content in image.blobs.items():
            self.blobs[repository, Digest.parse(text)] = b"".join(chunks_of(content))
        for child in image.children:
            self.add(repository, child.digest, child)

    def announced_manifest(self, repository: str, reference: str) -> Descriptor | None:
        self.heard.append((repository, reference))
        found = self.manifests.get((repository, reference))
        return found.descriptor if isinstance(found, FetchedManifest) else None

    def get_manifest(self, repository: str, reference: str) -> FetchedManifest | None:
        self.asked.append((repository, reference))
        found = self.manifests.get((repository, reference))
        if isinstance(found, AirgapError):
            raise found
        return found

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        blob = self.blobs.get((repository, digest))
        return None if blob is None else len(blob)

    def blob_chunks(
        self, repository: str, digest: Digest, size: int, offset: int = 0
    ) -> Iterator[bytes]:
        yield self.blobs[repository, digest][offset:]


@dataclass
class World:
    """Registries by host and what pinning said about them."""

    hosts: dict[str, MemoryRegistry] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    def push(self, text: str, image: BuiltImage, media_type: str = "") -> BuiltImage:
        reference = parse_reference(text)
        host = self.hosts.setdefault(reference.registry, MemoryRegistry())
        host.add(reference.repository, reference.effective_tag or image.digest, image, media_type)
        return image

    def open(self, host: str) -> ImageSource:
        return self.hosts.setdefault(host, MemoryRegistry())

    def pin(
        self, *texts: str, platforms: Sequence[str] = (), mirrors: Mirrors | None = None
    ) -> tuple[PinnedImage, ...]:
        wanted = tuple(map(Platform.parse, platforms))
        locate = (mirrors or Mirrors()).locate
        pinning = Pinning(locate, self.open, wanted, self.notes)
        return pinning.pin([parse_reference(text) for text in texts], 4)


@pytest.fixture
def world() -> World:
    return World()


MULTI = platform_index("app", "linux/amd64", "linux/arm64", "linux/arm/v7")


def test_an_image_is_pinned_to_what_its_tag_names(world: World) -> None:
    image = world.push("q.io/org/app:1", make_image([b"one", b"two"]))
    (pinned,) = world.pin("q.io/org/app:1")
    assert pinned.root.raw == image.raw
    assert str(pinned.upstream) == str(pinned.root.digest) == image.digest
    assert [manifest.raw for manifest in pinned.manifests] == [image.raw]
    assert {str(blob.digest): blob.size for blob in pinned.blobs} == {
        digest: size_of(content) for digest, content in image.blobs.items()
    }
    config = image.document["config"]
    assert isinstance(config, dict)
    assert {str(digest) for digest in pinned.configs} == {config["digest"]}
    assert pinned.platforms == ("linux/amd64",)
    assert str(pinned.location) == "q.io/org/app"


def test_what_is_named_by_sha512_is_known_by_that_name_upstream(world: World) -> None:
    image = make_image([b"one"])
    name = Digest("sha512", hashlib.sha512(image.raw).hexdigest())
    world.push("q.io/app:1", image)
    host = world.hosts["q.io"]
    host.manifests["app", str(name)] = host.manifests["app", "1"]
    (pinned,) = world.pin(f"q.io/app@{name}")
    assert (pinned.upstream, str(pinned.root.digest)) == (name, image.digest)


def test_references_are_resolved_in_their_order_and_counted(world: World) -> None:
    texts = [f"q.io/app:{number}" for number in range(20)]
    images = [world.push(text, make_image([text.encode()])) for text in texts]
    pinned = world.pin(*texts)
    assert [str(image.root.digest) for image in pinned] == [image.digest for image in images]
    assert world.notes.done == 20


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("nginx", ("library/nginx", "latest")),
        ("nginx:1", ("library/nginx", "1")),
        (f"nginx@{MULTI.digest}", ("library/nginx", MULTI.digest)),
        (f"nginx:gone@{MULTI.digest}", ("library/nginx", MULTI.digest)),
    ],
)
def test_what_is_asked_for(world: World, text: str, asked: tuple[str, str]) -> None:
    for name in ("nginx:1", "nginx:latest"):
        world.push(name, MULTI)
    world.pin(text)
    assert world.hosts["docker.io"].asked[0] == asked


def test_a_mirror_is_asked_instead(world: World) -> None:
    world.push("mirror:5000/hub/library/nginx:1", make_image([b"x"]))
    (pinned,) = world.pin("nginx:1", mirrors=parse_mirrors(["docker.io=mirror:5000/hub"]))
    assert str(pinned.location) == "mirror:5000/hub/library/nginx"
    assert pinned.reference.canonical == "docker.io/library/nginx:1"
    assert set(world.hosts) == {"mirror:5000"}


def test_without_a_choice_an_index_is_kept_whole(world: World) -> None:
    world.push("app:1", MULTI)
    (pinned,) = world.pin("app:1")
    assert pinned.root.raw == MULTI.raw
    assert pinned.platforms == ("linux/amd64", "linux/arm/v7", "linux/arm64")
    assert [str(manifest.digest) for manifest in pinned.manifests] == [
        *(child.digest for child in MULTI.children),
        MULTI.digest,
    ]


def test_one_platform_of_an_index_is_one_manifest(world: World) -> None:
    world.push("app:1", MULTI)
    (pinned,) = world.pin("app:1", platforms=["linux/arm64"])
    assert str(pinned.root.digest) == MULTI.children[1].digest
    assert str(pinned.upstream) == MULTI.digest
    assert pinned.platforms == ("linux/arm64",)
    assert world.notes.texts == []


def test_some_platforms_of_an_index_are_a_smaller_index(world: World) -> None:
    world.push("app:1", MULTI)
    (pinned,) = world.pin("app:1", platforms=["linux/amd64", "linux/arm"])
    assert isinstance(pinned.root, Index)
    kept = [child.digest for child in (MULTI.children[0], MULTI.children[2])]
    assert [str(entry.digest) for entry in pinned.root.manifests] == kept
    assert [str(m.digest) for m in pinned.manifests] == [*kept, str(pinned.root.digest)]
    assert str(pinned.upstream) == MULTI.digest != str(pinned.root.digest)
    assert pinned.platforms == ("linux/amd64", "linux/arm/v7")


def test_all_platforms_of_an_index_leave_it_as_it_is(world: World) -> None:
    attestation = make_image([b"provenance"], "unknown/unknown")
    index = world.push("app:1", make_index([*MULTI.children, attestation]))
    (pinned,) = world.pin("app:1", platforms=["linux/amd64", "linux/arm64", "linux/arm"])
    assert pinned.root.raw == index.raw
    assert pinned.platforms == ("linux/amd64", "linux/arm/v7", "linux/arm64")
    assert len(pinned.manifests) == 5


def test_attestations_are_left_out_with_the_other_platforms(world: World) -> None:
    attestation = make_image([b"provenance"], "unknown/unknown")
    world.push("app:1", make_index([*MULTI.children, attestation]))
    (pinned,) = world.pin("app:1", platforms=["linux/amd64", "linux/arm64"])
    assert len(pinned.manifests) == 3


def test_a_platform_that_is_not_offered_fails_and_says_what_is(world: World) -> None:
    world.push("app:1", MULTI)
    with pytest.raises(UpstreamNotFound) as caught:
        world.pin("app:1", platforms=["linux/s390x"])
    assert "linux/amd64, linux/arm/v7, linux/arm64" in caught.value.details[0]


def test_a_single_image_for_another_platform_is_kept_with_a_warning(world: World) -> None:
    image = world.push("app:1", make_image([b"x"], "linux/arm64"))
    (pinned,) = world.pin("app:1", platforms=["linux/amd64"])
    assert str(pinned.root.digest) == image.digest
    (note,) = world.notes.texts
    assert "app:1 is for linux/arm64 only, not linux/amd64" in note


def test_a_platform_that_is_missing_from_some_is_warned_of(world: World) -> None:
    world.push("app:1", MULTI)
    world.pin("app:1", platforms=["linux/amd64", "linux/s390x"])
    (note,) = world.notes.texts
    assert "not linux/s390x" in note


def test_an_artifact_runs_on_no_platform_and_is_no_reason_to_warn(world: World) -> None:
    world.push("chart:1", make_artifact(b"chart", "application/vnd.cncf.helm.chart"))
    (pinned,) = world.pin("chart:1", platforms=["linux/amd64"])
    assert pinned.platforms == ()
    assert world.notes.texts == []


def odd_index(platform: object) -> BuiltImage:
    """An index one of whose entries has a platform that only some tools write."""
    entries: list[dict[str, object]] = []
    images = [make_image([b"one"]), make_image([b"two"])]
    for image, where in zip(
        images, ({"os": "linux", "architecture": "amd64"}, platform), strict=True
    ):
        size = len(image.raw)
        entry: dict[str, object] = {"mediaType": OCI_MANIFEST, "digest": image.digest, "size": size}
        if where is not None:
            entry["platform"] = where
        entries.append(entry)
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return BuiltImage(raw, OCI_INDEX, children=tuple(images))


@pytest.mark.parametrize(
    ("platform", "platforms"),
    [
        (None, ("linux/amd64",)),
        ({"os": "", "architecture": ""}, ("linux/amd64",)),
        ({"os": "unknown", "architecture": "unknown"}, ("linux/amd64",)),
        ({"os": "Linux", "architecture": "AMD 64"}, ("linux/amd64",)),
        (
            {"os": "linux", "architecture": "arm", "variant": "v7.1"},
            ("linux/amd64", "linux/arm/v7.1"),
        ),
    ],
)
def test_odd_platforms_are_carried_along(
    world: World, platform: object, platforms: tuple[str, ...]
) -> None:
    world.push("app:1", odd_index(platform))
    assert world.pin("app:1")[0].platforms == platforms
    (pinned,) = world.pin("app:1", platforms=["linux/amd64"])
    assert pinned.platforms in (("linux/amd64",), platforms)


def test_indexes_in_indexes_are_carried_whole(world: World) -> None:
    inner = platform_index("inner", "linux/amd64", "linux/arm64")
    outer = world.push("app:1", make_index([inner, make_image([b"x"], "linux/s390x"), inner]))
    (pinned,) = world.pin("app:1")
    order = [str(manifest.digest) for manifest in pinned.manifests]
    assert sorted(order) == sorted(outer.all_manifests())
    assert order.index(inner.digest) > max(order.index(child.digest) for child in inner.children)
    assert order[-1] == outer.digest
    assert {str(blob.digest) for blob in pinned.blobs} == set(outer.all_blobs())


def nested(levels: int, fan: int, platform: str | None) -> BuiltImage:
    """Indexes in indexes, each listing the level below several times over by other bytes."""
    level: list[BuiltImage] = [make_image([b"x"], platform or "linux/amd64")]
    for _ in range(levels):
        made = []
        for number in range(fan):
            index = make_index(level, ImageStyle(annotations={"number": str(number)}))
            made.append(
                BuiltImage(index.raw, index.media_type, children=index.children, platform=platform)
            )
        level = made
    return level[0]


def test_a_web_of_indexes_is_fetched_once_each(world: World) -> None:
    image = world.push("app:1", nested(7, 3, None))
    (pinned,) = world.pin("app:1")
    asked = world.hosts["docker.io"].asked
    assert len(asked) == len(set(asked)) == len(image.all_manifests()) == len(pinned.manifests)


@pytest.mark.parametrize("platforms", [[], ["linux/amd64"]])
def test_nesting_is_bounded(world: World, platforms: list[str]) -> None:
    image = nested(12, 1, "linux/amd64")
    spare = make_image([b"y"], "linux/arm64")
    for _ in range(12):
        made = make_index([image, spare])
        image = BuiltImage(
            made.raw, made.media_type, children=made.children, platform="linux/amd64"
        )
    world.push("app:1", image)
    with pytest.raises(LimitExceeded):
        world.pin("app:1", platforms=platforms)


@pytest.mark.parametrize("announced", [f"{OCI_MANIFEST}; charset=utf-8", "text/plain", " "])
def test_what_the_header_adds_to_the_type_does_not_matter(world: World, announced: str) -> None:
    image = world.push("app:1", make_image([b"x"]), announced)
    assert str(world.pin("app:1")[0].root.digest) == image.digest


def test_a_large_config_is_left_to_be_fetched_later(world: World) -> None:
    style = ImageStyle(labels={"large": "x" * 200_000})
    image = world.push("app:1", make_image([b"x"], style=style))
    (pinned,) = world.pin("app:1")
    assert pinned.configs == {}
    assert {str(blob.digest) for blob in pinned.blobs} == set(image.blobs)


def foreign(present: bool, world: World) -> None:
    image = make_image([b"x"])
    document = image.document
    layers = document["layers"]
    assert isinstance(layers, list)
    layers[0]["urls"] = ["https://elsewhere.example/layer"]
    raw = json.dumps(document).encode()
    digest = layers[0]["digest"]
    blobs = {key: blob for key, blob in image.blobs.items() if present or key != digest}
    world.push("app:1", BuiltImage(raw, image.media_type, blobs))


def test_a_foreign_layer_is_taken_from_the_registry_if_it_is_there(world: World) -> None:
    foreign(True, world)
    assert len(world.pin("app:1")[0].blobs) == 2


def test_a_foreign_layer_is_not_followed(world: World) -> None:
    foreign(False, world)
    with pytest.raises(ForeignLayer) as caught:
        world.pin("app:1")
    assert "--mirror" in caught.value.next_step


def place(world: World, text: str, problem: AirgapError) -> None:
    reference = parse_reference(text)
    registry = world.hosts.setdefault(reference.registry, MemoryRegistry())
    registry.manifests[reference.repository, reference.effective_tag or ""] = problem


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (RegistryUnavailable("down", where="q.io"), UpstreamUnavailable),
        (DigestMismatch("other bytes"), UpstreamDigestMismatch),
        (SizeMismatch("other bytes"), UpstreamDigestMismatch),
        (AuthFailed("no"), AuthFailed),
    ],
)
def test_a_failure_is_seen_from_create(
    world: World, problem: AirgapError, expected: type[AirgapError]
) -> None:
    place(world, "q.io/app:1", problem)
    with pytest.raises(expected) as caught:
        world.pin("q.io/app:1")
    assert type(caught.value) is expected
    assert caught.value.changed == "no bundle was written"
    assert "1 of 1 images" in caught.value.what
    assert caught.value.details[0].startswith("q.io/app:1: ")


def test_all_failures_are_reported_together(world: World) -> None:
    world.push("q.io/good:1", make_image([b"x"]))
    place(world, "q.io/down:1", RegistryUnavailable("down", next_step="wait"))
    with pytest.raises(ImagesUnresolved) as caught:
        world.pin("q.io/a:1", "q.io/good:1", "q.io/down:1", "q.io/b:1")
    problem = caught.value
    assert problem.exit_code == 40
    assert "3 of 4 images" in problem.what
    assert [line.partition(": ")[0] for line in problem.details] == [
        "q.io/a:1",
        "q.io/down:1",
        "q.io/b:1",
    ]
    assert "UpstreamUnavailable: down" in problem.details[1]
    assert problem.next_step == "wait"
    assert world.notes.done == 4


def test_failures_of_one_kind_keep_their_kind(world: World) -> None:
    with pytest.raises(UpstreamNotFound) as caught:
        world.pin("q.io/a:1", "q.io/b:1")
    assert len(caught.value.details) == 2


CHANGES: Mapping[str, tuple[Callable[[BuiltImage], FetchedManifest], type[AirgapError]]] = {
    "other bytes for a digest": (
        lambda image: FetchedManifest(image.raw + b" ", OCI_MANIFEST, Digest.of(image.raw)),
        UpstreamDigestMismatch,
    ),
    "another type than its parent says": (
        lambda image: FetchedManifest(MULTI.raw, OCI_INDEX, Digest.of(MULTI.raw)),
        UpstreamDigestMismatch,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_child_is_what_its_parent_says(world: World, name: str) -> None:
    change, error = CHANGES[name]
    world.push("app:1", MULTI)
    child = MULTI.children[0]
    world.hosts["docker.io"].manifests["library/app", child.digest] = change(child)
    with pytest.raises(error):
        world.pin("app:1")


def test_manifests_that_cannot_be_carried_are_refused(world: World) -> None:
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    world.push("q.io/old:1", BuiltImage(b'{"schemaVersion": 1, "fsLayers": []}', kind))
    with pytest.raises(MediaTypeUnsupported):
        world.pin("q.io/old:1")
    world.push("q.io/two:1", make_image([b"x"]), OCI_INDEX)
    with pytest.raises(AmbiguousManifest):
        world.pin("q.io/two:1")


def test_a_config_is_proven(world: World) -> None:
    image = world.push("app:1", make_image([b"x"]))
    registry = world.hosts["docker.io"]
    for key, content in list(registry.blobs.items()):
        registry.blobs[key] = content.upper()
    with pytest.raises(UpstreamDigestMismatch):
        world.pin("app:1")
    for key, content in list(registry.blobs.items()):
        registry.blobs[key] = content + b" "
    with pytest.raises(UpstreamDigestMismatch):
        world.pin("app:1")
    assert image.platform == "linux/amd64"
