from __future__ import annotations

import json

from airgap_bundler.listing import plan_document, plan_text
from airgap_bundler.mirrors import Location
from airgap_bundler.pinning import PinnedImage
from airgap_shared.oci.manifest import parse_manifest
from airgap_shared.oci.reference import parse_reference
from support.images import BuiltImage, make_image, opaque_layer, size_of

BASE = opaque_layer(b"b" * 5000)
ONE, TWO = make_image([BASE]), make_image([BASE, opaque_layer(b"t" * 700)])


def pinned(text: str, image: BuiltImage) -> PinnedImage:
    root = parse_manifest(image.raw, image.media_type)
    reference = parse_reference(text)
    return PinnedImage(
        reference, Location("m.io", "x"), root, root.digest, (root,), {}, ("linux/amd64",)
    )


IMAGES = [pinned("one:1", ONE), pinned("q.io/two:2", TWO)]
BOTH = {**ONE.all_blobs(), **TWO.all_blobs()}


def test_a_plan_counts_shared_content_once() -> None:
    document = plan_document(IMAGES)
    assert document["bytes"] == sum(map(size_of, BOTH.values()))
    images = document["images"]
    assert isinstance(images, list)
    assert [image["bytes"] for image in images] == [
        sum(map(size_of, built.blobs.values())) for built in (ONE, TWO)
    ]
    assert images[0]["reference"] == "docker.io/library/one:1"
    assert images[0]["location"] == "m.io/x"
    assert images[0]["digest"] == images[0]["upstreamDigest"] == ONE.digest
    assert json.loads(json.dumps(document)) == document


def test_a_plan_for_people() -> None:
    lines = plan_text(IMAGES).splitlines()
    assert lines[0].startswith("would bundle 2 images, ")
    assert [line.split()[:2] for line in lines[1:]] == [
        ["docker.io/library/one:1", ONE.digest],
        ["q.io/two:2", TWO.digest],
    ]
    assert plan_text([]) == "would bundle 0 images, 0 B"
