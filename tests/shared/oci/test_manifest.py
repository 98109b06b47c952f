from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping

import pytest

from airgap_shared.errors import (
    AirgapError,
    AmbiguousManifest,
    DigestUnsupported,
    DocumentInvalid,
    DuplicateJSONKey,
    LimitExceeded,
    MediaTypeUnsupported,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import (
    DESCRIPTOR_LIMIT,
    MANIFEST_LIMIT,
    MANIFEST_VALUE_LIMIT,
    Index,
    Manifest,
    compose_subset,
    parse_manifest,
)
from airgap_shared.oci.platform import Platform
from support.images import (
    BuiltImage,
    ImageStyle,
    make_artifact,
    make_image,
    make_index,
    platform_index,
)

IMAGE = make_image([b"one", b"two"])
INDEX = platform_index("app", "linux/amd64", "linux/arm64", "linux/arm/v7")
DOCKER = ImageStyle(docker=True)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(number: int = 0) -> dict[str, object]:
    digest = str(Digest.of(str(number).encode()))
    return {"mediaType": LAYER, "digest": digest, "size": number}


def encoded(document: Mapping[str, object]) -> bytes:
    return json.dumps(document).encode()


BARE = {"schemaVersion": 2, "config": descriptor(1), "layers": [descriptor(2)]}
BARE_INDEX = {"schemaVersion": 2, "manifests": [descriptor(1)]}


@pytest.mark.parametrize(
    "image",
    [
        IMAGE,
        make_image([b"one"], style=DOCKER),
        make_image([b"one"], style=ImageStyle(with_media_type=False)),
        make_image([]),
        make_artifact(b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_image_manifests_are_read_and_their_bytes_kept(image: BuiltImage, announced: bool) -> None:
    found = parse_manifest(image.raw, image.media_type if announced else None)
    assert isinstance(found, Manifest)
    assert found.raw is image.raw
    assert found.media_type == image.media_type
    assert str(found.digest) == image.digest
    assert {str(blob.digest) for blob in found.blobs} == set(image.blobs)
    assert found.children == ()


@pytest.mark.parametrize(
    "index",
    [
        INDEX,
        platform_index("app", "linux/amd64", "linux/arm64", style=DOCKER),
        platform_index("app", "linux/amd64", style=ImageStyle(with_media_type=False)),
        make_index([]),
    ],
)
def test_indexes_are_read_and_their_bytes_kept(index: BuiltImage) -> None:
    found = parse_manifest(index.raw, index.media_type)
    assert isinstance(found, Index)
    assert found.raw is index.raw
    assert str(found.digest) == index.digest
    assert [str(child.digest) for child in found.children] == [c.digest for c in index.children]
    assert [str(child.platform) for child in found.children] == [c.platform for c in index.children]
    assert found.blobs == ()


def test_equal_blobs_and_children_count_once() -> None:
    image = parse_manifest(encoded({**BARE, "layers": [descriptor(2)] * 3}), None)
    assert len(image.blobs) == 2
    index = parse_manifest(encoded({**BARE_INDEX, "manifests": [descriptor(1)] * 3}), None)
    assert len(index.children) == 1


@pytest.mark.parametrize(
    ("bare", "key", "number", "change"),
    [
        (BARE, "layers", 2, {"size": 5}),
        (BARE, "layers", 1, {"size": 5}),
        (BARE_INDEX, "manifests", 1, {"size": 5}),
        (BARE_INDEX, "manifests", 1, {"mediaType": mediatype.OCI_INDEX}),
    ],
)
def test_what_stands_twice_has_to_say_the_same_twice(
    bare: Mapping[str, object], key: str, number: int, change: dict[str, object]
) -> None:
    right = descriptor(number)
    parse_manifest(encoded({**bare, key: [right, right]}), None)
    for entries in ([right, {**right, **change}], [{**right, **change}, right]):
        with pytest.raises(AmbiguousManifest, match="in two ways"):
            parse_manifest(encoded({**bare, key: entries}), None)


def test_a_layer_may_have_two_types_and_a_child_two_platforms() -> None:
    layers = [descriptor(2), {**descriptor(2), "mediaType": "application/x"}]
    assert len(parse_manifest(encoded({**BARE, "layers": layers}), None).blobs) == 2
    platform = {"os": "linux", "architecture": "amd64"}
    children = [descriptor(1), {**descriptor(1), "platform": platform}]
    assert len(parse_manifest(encoded({**BARE_INDEX, "manifests": children}), None).children) == 1


@pytest.mark.parametrize("version", [None, 0, 1, 3, "2", 2.0, True, [2]])
@pytest.mark.parametrize("bare", [BARE, BARE_INDEX])
def test_the_version_of_the_schema_is_two(bare: Mapping[str, object], version: object) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_manifest(encoded({**bare, "schemaVersion": version}), None, "m")
    assert caught.value.where == "m.schemaVersion"


def test_the_version_of_the_schema_has_to_be_there() -> None:
    for bare in (BARE, BARE_INDEX):
        without = {key: value for key, value in bare.items() if key != "schemaVersion"}
        with pytest.raises(DocumentInvalid):
            parse_manifest(encoded(without), None)


@pytest.mark.parametrize(
    ("bare", "kind"), [(BARE, mediatype.DOCKER_MANIFEST), (BARE_INDEX, mediatype.DOCKER_LIST)]
)
def test_manifests_of_docker_say_their_type(bare: Mapping[str, object], kind: str) -> None:
    assert parse_manifest(encoded({**bare, "mediaType": kind}), None).media_type == kind
    with pytest.raises(AmbiguousManifest, match="does not say its type"):
        parse_manifest(encoded(bare), kind)


def test_a_type_that_is_empty_is_none() -> None:
    with pytest.raises(MediaTypeUnsupported):
        parse_manifest(encoded({**BARE, "mediaType": ""}), None)


def test_manifests_are_named_by_their_sha256() -> None:
    child = {**descriptor(1), "digest": f"sha512:{'0' * 128}"}
    with pytest.raises(DigestUnsupported) as caught:
        parse_manifest(encoded({**BARE_INDEX, "manifests": [descriptor(2), child]}), None, "m")
    assert caught.value.where == "m.manifests[1]"
    parse_manifest(encoded({**BARE, "layers": [child]}), None)


SPELLINGS: Mapping[str, tuple[dict[str, object], str]] = {
    "layers": ({**BARE, "Layers": []}, "m"),
    "manifests": ({**BARE, "MANIFESTS": None}, "m"),
    "type": ({**BARE_INDEX, "MediaType": mediatype.OCI_MANIFEST}, "m"),
    "long s": ({**BARE, "layer\u017f": []}, "m"),
    "unknown": ({**BARE, "x": 1, "X": 2}, "m"),
    "layer": ({**BARE, "layers": [{**descriptor(2), "Digest": "x"}]}, "m.layers[0]"),
    "config": ({**BARE, "config": {**descriptor(2), "Size": 1}}, "m.config"),
    "child": ({**BARE_INDEX, "manifests": [{**descriptor(2), "URLs": []}]}, "m.manifests[0]"),
    "subject": ({**BARE, "subject": {**descriptor(2), "\u017fize": 1}}, "m.subject"),
    "platform": (
        {
            **BARE_INDEX,
            "manifests": [
                {
                    **descriptor(2),
                    "platform": {"os": "linux", "architecture": "amd64", "OS": "windows"},
                }
            ],
        },
        "m.manifests[0].platform",
    ),
}


@pytest.mark.parametrize("what", SPELLINGS)
def test_keys_that_other_readers_take_for_others_are_refused(what: str) -> None:
    document, where = SPELLINGS[what]
    with pytest.raises(AmbiguousManifest, match="some readers take the key") as caught:
        parse_manifest(encoded(document), None, "m")
    assert caught.value.where == where


def test_annotations_have_any_keys() -> None:
    free = {"layers": "a", "Layers": "b", "LAYERS": "c"}
    layers = [{**descriptor(2), "annotations": free}]
    found = parse_manifest(encoded({**BARE, "annotations": free, "layers": layers}), None)
    assert found.annotations == free


@pytest.mark.parametrize("announced", [None, "", "text/plain", "text/plain; charset=utf-8"])
def test_an_announcement_that_says_nothing_is_no_contradiction(announced: str | None) -> None:
    assert parse_manifest(IMAGE.raw, announced).media_type == mediatype.OCI_MANIFEST


@pytest.mark.parametrize(
    ("document", "announced", "error"),
    [
        ({**BARE, "manifests": []}, None, AmbiguousManifest),
        ({**BARE, "manifests": []}, mediatype.OCI_MANIFEST, AmbiguousManifest),
        ({**BARE_INDEX, "layers": []}, mediatype.OCI_INDEX, AmbiguousManifest),
        ({**BARE_INDEX, "config": descriptor()}, None, AmbiguousManifest),
        ({**BARE, "mediaType": mediatype.OCI_MANIFEST}, mediatype.OCI_INDEX, AmbiguousManifest),
        (
            {**BARE, "mediaType": mediatype.OCI_MANIFEST},
            mediatype.DOCKER_MANIFEST,
            AmbiguousManifest,
        ),
        ({**BARE, "mediaType": mediatype.OCI_MANIFEST}, "application/json", AmbiguousManifest),
        (BARE, mediatype.OCI_INDEX, AmbiguousManifest),
        (BARE_INDEX, mediatype.OCI_MANIFEST, AmbiguousManifest),
        ({"schemaVersion": 1, "fsLayers": [], "history": []}, None, MediaTypeUnsupported),
        ({**BARE, "mediaType": "application/x"}, None, MediaTypeUnsupported),
        (BARE, "application/vnd.docker.distribution.manifest.v1+prettyjws", MediaTypeUnsupported),
        ({"layers": []}, None, MediaTypeUnsupported),
        ({}, None, MediaTypeUnsupported),
        ({**BARE, "config": None}, mediatype.OCI_MANIFEST, DocumentInvalid),
        ({**BARE, "layers": None}, mediatype.OCI_MANIFEST, DocumentInvalid),
        ({**BARE, "layers": [None]}, None, DocumentInvalid),
        ({**BARE, "layers": {}}, None, DocumentInvalid),
        ({**BARE, "annotations": {"a": 1}}, None, DocumentInvalid),
        ({**BARE, "mediaType": 1}, None, DocumentInvalid),
        ({"schemaVersion": 2}, mediatype.OCI_INDEX, DocumentInvalid),
    ],
)
def test_what_could_be_read_in_two_ways_or_none_is_refused(
    document: dict[str, object], announced: str | None, error: type[AirgapError]
) -> None:
    with pytest.raises(error) as caught:
        parse_manifest(encoded(document), announced, "the manifest")
    assert caught.value.where.startswith("the manifest")


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'"x"', b"\xff", b"{"])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        parse_manifest(raw, mediatype.OCI_MANIFEST)


def test_a_key_that_stands_twice_is_refused() -> None:
    raw = encoded(BARE)[:-1] + b', "config": {}}'
    with pytest.raises(DuplicateJSONKey):
        parse_manifest(raw, None)


def test_size_is_limited() -> None:
    padding = " " * (MANIFEST_LIMIT - len(IMAGE.raw))
    parse_manifest(IMAGE.raw + padding.encode(), None)
    with pytest.raises(LimitExceeded):
        parse_manifest(IMAGE.raw + padding.encode() + b" ", None)


@pytest.mark.parametrize("key", ["layers", "manifests"])
def test_the_number_of_descriptors_is_limited(key: str) -> None:
    base = BARE if key == "layers" else BARE_INDEX
    parse_manifest(encoded({**base, key: [descriptor()] * DESCRIPTOR_LIMIT}), None)
    with pytest.raises(LimitExceeded) as caught:
        parse_manifest(encoded({**base, key: [descriptor()] * (DESCRIPTOR_LIMIT + 1)}), None, "m")
    assert caught.value.where == f"m.{key}"


@pytest.mark.parametrize("style", [ImageStyle(), DOCKER, ImageStyle(with_media_type=False)])
def test_a_subset_of_an_index_leaves_everything_else_as_it_was(style: ImageStyle) -> None:
    built = platform_index("app", "linux/amd64", "linux/arm64", "linux/s390x", style=style)
    index = parse_manifest(built.raw, built.media_type)
    assert isinstance(index, Index)
    keep = [
        entry.digest for entry in index.manifests if entry.platform != Platform("linux", "arm64")
    ]
    subset = compose_subset(index, keep)
    assert subset.media_type == index.media_type
    assert subset.manifests == tuple(e for e in index.manifests if e.digest in keep)
    assert (
        subset.raw
        == json.dumps(json.loads(subset.raw), sort_keys=True, separators=(",", ":")).encode()
    )
    assert {**json.loads(subset.raw), "manifests": 0} == {**json.loads(built.raw), "manifests": 0}
    assert compose_subset(subset, keep) == subset
    assert compose_subset(index, []).manifests == ()


def test_unknown_fields_of_an_index_survive_a_subset() -> None:
    document = {
        **BARE_INDEX,
        "annotations": {"org.example": "ü"},
        "subject": descriptor(9),
        "manifests": [{**descriptor(1), "x-extra": {"a": [1]}}, descriptor(2)],
    }
    index = parse_manifest(encoded(document), None)
    assert isinstance(index, Index)
    kept = json.loads(compose_subset(index, [index.manifests[0].digest]).raw)
    assert kept == {**document, "manifests": document["manifests"][:1]}  # type: ignore[index]


@pytest.mark.parametrize("bare", [BARE, BARE_INDEX])
def test_what_a_manifest_refers_to_is_no_part_of_it(bare: Mapping[str, object]) -> None:
    found = parse_manifest(encoded({**bare, "subject": descriptor(9)}), None)
    assert found.subject is not None
    assert str(found.subject.digest) == descriptor(9)["digest"]
    assert found.subject.digest not in {one.digest for one in (*found.blobs, *found.children)}
    assert parse_manifest(encoded({**bare, "subject": None}), None).subject is None


@pytest.mark.parametrize("kind", [mediatype.DOCKER_MANIFEST, mediatype.DOCKER_LIST])
def test_manifests_of_docker_refer_to_nothing(kind: str) -> None:
    bare = BARE if kind == mediatype.DOCKER_MANIFEST else BARE_INDEX
    raw = encoded({**bare, "mediaType": kind, "subject": descriptor(9)})
    assert parse_manifest(raw, kind).subject is None


@pytest.mark.parametrize("bare", [BARE, BARE_INDEX])
@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ({}, DocumentInvalid),
        ("text", DocumentInvalid),
        ({**descriptor(9), "digest": "md5:" + "a" * 32}, DigestUnsupported),
        ({**descriptor(9), "size": -1}, DocumentInvalid),
    ],
)
def test_a_subject_must_be_a_descriptor(
    bare: Mapping[str, object], subject: object, error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        parse_manifest(encoded({**bare, "subject": subject}), None)


@pytest.mark.parametrize("said", [None, "", "application/x"])
def test_the_type_of_an_artifact_is_that_of_its_config_unless_told(said: str | None) -> None:
    image = parse_manifest(encoded({**BARE, "artifactType": said}), None)
    index = parse_manifest(encoded({**BARE_INDEX, "artifactType": said}), None)
    assert image.artifact_type == (said or LAYER)
    assert index.artifact_type == (said or "")


@pytest.mark.parametrize(
    ("kind", "compressible"),
    [
        ("application/vnd.oci.image.layer.v1.tar", True),
        ("application/vnd.docker.image.rootfs.diff.tar", True),
        (mediatype.OCI_CONFIG, True),
        ("application/json", True),
        ("application/vnd.oci.image.layer.v1.tar+gzip", False),
        ("application/vnd.oci.image.layer.v1.tar+zstd", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", False),
        ("application/octet-stream", False),
    ],
)
def test_only_what_is_not_compressed_is_worth_compressing(kind: str, compressible: bool) -> None:
    assert mediatype.is_compressible(kind) is compressible


def test_as_many_descriptors_as_allowed_may_say_much() -> None:
    """The control: what is not said of them is not what the limit on values is for."""
    digest = "sha256:" + "0" * 64
    platform = {"architecture": "arm", "os": "linux", "variant": "v7"}
    full = {"mediaType": mediatype.OCI_MANIFEST, "digest": digest, "size": 1, "platform": platform}
    full["annotations"] = {"org.opencontainers.image.revision": "1", "a/b": "c"}
    document = {"schemaVersion": 2, "manifests": [full] * DESCRIPTOR_LIMIT}
    raw = json.dumps(document, separators=(",", ":")).encode()
    assert len(raw) > MANIFEST_LIMIT // 2
    found = parse_manifest(raw, mediatype.OCI_INDEX)
    assert isinstance(found, Index)
    assert len(found.manifests) == DESCRIPTOR_LIMIT


@pytest.mark.parametrize("document", [BARE, BARE_INDEX])
def test_the_number_of_values_is_limited(document: Mapping[str, object]) -> None:
    kind = mediatype.OCI_INDEX if "manifests" in document else mediatype.OCI_MANIFEST
    parse_manifest(encoded({**document, "x": [0] * (MANIFEST_VALUE_LIMIT - 100)}), kind)
    with pytest.raises(LimitExceeded, match="over 250,000 values"):
        parse_manifest(encoded({**document, "x": [0] * MANIFEST_VALUE_LIMIT}), kind)


def test_an_index_takes_little_more_than_its_bytes() -> None:
    raw = encoded({**BARE_INDEX, "x": [{"a": []}] * 40_000})
    tracemalloc.start()
    try:
        kept = [parse_manifest(raw, mediatype.OCI_INDEX) for _ in range(3)]
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    assert all(isinstance(one, Index) for one in kept)
