"""Targets of the OCI vocabulary: manifests, references, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from airgap_shared.errors import AirgapError
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import Index, compose_subset, parse_manifest
from airgap_shared.oci.platform import Platform, is_platform
from airgap_shared.oci.reference import parse_reference
from airgap_shared.oci.referrers import ReferrersList
from fuzz.target import Target, Turns
from support.garbling import Garbler
from support.images import ImageStyle, make_artifact, make_image, make_index, platform_index

_KINDS = (None, *sorted(mediatype.MANIFESTS | mediatype.INDEXES), "text/plain", "application/x")


def _feed_referrers(data: bytes) -> None:
    """A list stays what it was, with one more entry, and only once."""
    listed = ReferrersList.parse(data, mediatype.OCI_INDEX, "app:tag")
    image = make_artifact(b"signature", "application/x")
    manifest = parse_manifest(image.raw, image.media_type)
    extended = listed.extended([manifest])
    found, earlier = json.loads(extended), json.loads(data.decode())
    lacked = len(listed.lacking([manifest]))
    assert found["manifests"][: len(found["manifests"]) - lacked] == earlier["manifests"]
    assert {**found, "manifests": 0} == {
        "schemaVersion": 2,
        **earlier,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": 0,
    }
    again = ReferrersList.parse(extended, mediatype.OCI_INDEX, "app:tag")
    assert not again.lacking([manifest])
    assert again.extended([manifest]) == extended


def _lists() -> Iterator[bytes]:
    image = make_image([b"one"])
    for index in (platform_index("app", "linux/amd64"), make_index([image, image])):
        yield index.raw
    yield b'{"schemaVersion":2,"manifests":[{"digest":"sha256:x","artifactType":"a/b","n":1.50}]}'


def _feed_manifest(data: bytes) -> None:
    """The first byte says what it was announced as."""
    turns = Turns(data)
    announced = _KINDS[turns.below(len(_KINDS))]
    raw = turns.rest()
    manifest = parse_manifest(raw, announced)
    assert manifest.raw == raw and manifest.digest == Digest.of(raw)
    assert manifest.media_type in mediatype.MANIFESTS | mediatype.INDEXES
    for descriptor in (*manifest.blobs, *manifest.children):
        assert 0 <= descriptor.size < 2**63
        assert re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{128}", descriptor.digest.hex)
    if isinstance(manifest, Index):
        keep = {child.digest for child in manifest.children[::2]}
        subset = compose_subset(manifest, keep)
        assert {child.digest for child in subset.children} == keep


def _manifests() -> Iterator[bytes]:
    image = make_image([b"one", b"two"])
    docker = make_image([b"one"], style=ImageStyle(docker=True))
    plain = make_image([b"one"], style=ImageStyle(with_media_type=False))
    index = platform_index("app", "linux/amd64", "linux/arm64")
    artifact = make_artifact(b"signature", "application/x", image)
    for made in (image, docker, plain, index, artifact):
        yield bytes((0,)) + made.raw
        yield bytes((_KINDS.index(made.media_type),)) + made.raw


def _other_json(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    if random.random() < 0.4 or not data:
        return garble(data)
    try:
        value = Garbler(random).json_like(json.loads(data[1:]))
        return data[:1] + json.dumps(value).encode()
    except (ValueError, RecursionError):
        return garble(data)


def _feed_fields(data: bytes) -> None:
    document = parse_json(data, "document")
    # What is accepted means the same to other readers.
    assert json.dumps(json.loads(data)) == json.dumps(document)
    fields = Fields(document, "document")
    for key in [*fields.mapping, "absent"]:
        for read in (fields.count, fields.digest, fields.records, fields.texts, fields.text_map):
            with suppress(AirgapError):
                read(key)
        with suppress(AirgapError):
            assert fields.text(key).encode() is not None
        with suppress(AirgapError):
            assert fields.optional_record(key) is not None or key not in fields


def _documents() -> Iterator[bytes]:
    yield b"x" + b"{}"
    yield b'x{"a":[1,-0,1e5,"\\u00e9\\ud83d\\ude00",null,true],"b":{"c":{"d":[]}}}'
    yield b"x" + b"[" * 64 + b"]" * 64


def _feed_reference(data: bytes) -> None:
    """What is a reference means the same when it is written in full."""
    text = data.decode("utf-8", "surrogateescape")
    reference = parse_reference(text)
    again = parse_reference(reference.canonical)
    assert again.canonical == reference.canonical
    assert (again.registry, again.repository) == (reference.registry, reference.repository)
    assert re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", reference.registry), reference
    assert re.fullmatch(r"[a-z0-9._/-]{1,255}", reference.repository), reference
    assert ".." not in reference.repository.split("/")
    assert reference.literal_name in text


def _references() -> Iterator[bytes]:
    digest = "@sha256:" + "0" * 64
    for name in ("nginx", "docker.io/library/nginx", "localhost:5000/a/b", "[::1]:5000/a", "a.b/c"):
        for tag in ("", ":1.10", digest, f":v1{digest}"):
            yield f"{name}{tag}".encode()


def _feed_platform(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    platform = Platform.parse(text)
    assert Platform.parse(str(platform)) == platform
    assert is_platform(str(platform))


def _platforms() -> Iterator[bytes]:
    yield from (b"linux/amd64", b"linux/arm/v7", b"windows/amd64", b"all")


_WORDS = tuple(
    json.dumps(word).encode()
    for word in (
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "urls"),
        *("annotations", "subject", "artifactType", "platform", "os", "architecture", "data"),
        *sorted(mediatype.MANIFESTS | mediatype.INDEXES),
    )
)

TARGETS = {
    "image-manifest": Target(_feed_manifest, _manifests, _WORDS, _other_json),
    "referrers-list": Target(_feed_referrers, _lists, _WORDS, _other_json),
    "json-fields": Target(lambda data: _feed_fields(data[1:]), _documents, _WORDS, _other_json),
    "image-reference": Target(
        _feed_reference, _references, (b"docker.io", b"@sha256:", b"localhost", b"__", b"[::1]")
    ),
    "platform": Target(_feed_platform, _platforms, (b"linux", b"arm64", b"/v8")),
}
