from __future__ import annotations

from collections.abc import Mapping

import pytest

from airgap_importer.attachmentplan import place_attachments
from airgap_importer.keeptags import check_keep_tags, keep_tag
from airgap_importer.relocation import Target, relocate
from airgap_shared.bundle.graph import check_graph
from airgap_shared.bundle.statement import Role
from airgap_shared.errors import TargetCollision
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import parse_manifest
from support.bundles import Attached, make_contents
from support.images import BuiltImage, make_artifact, make_image, make_index

IMAGE = make_image([b"image"])
INDEX = make_index([IMAGE])
OTHER = make_image([b"other"])
SBOM = make_artifact(b"sbom", "application/spdx+json", IMAGE)


def check(images: Mapping[str, BuiltImage], *, attached: bool = False) -> None:
    """Check the tags of a bundle; with ``attached``, the first image has an SBOM."""
    entries = {next(iter(images)): [Attached(SBOM, IMAGE)]} if attached else {}
    contents = make_contents(images, attached=entries)
    manifests = {
        member.digest: parse_manifest(contents.content(member), member.media_type)
        for member in contents.statement.members
        if member.role is Role.MANIFEST
    }
    graph = check_graph(contents.statement, manifests)
    relocation = relocate(contents.statement.images, Target("r.example", "shop"), {})
    placed = place_attachments(contents.statement.images, relocation, graph)
    check_keep_tags(relocation.images.values(), placed, graph)


def kept(image: BuiltImage) -> str:
    return keep_tag(Digest.parse(image.digest))


@pytest.mark.parametrize(
    ("holder", "reference"),
    [
        (IMAGE, "q.io/app:1"),
        (IMAGE, f"q.io/app@{IMAGE.digest}"),
        (INDEX, "q.io/app:1"),
    ],
)
def test_a_tag_that_has_to_keep_another_image_is_refused(
    holder: BuiltImage, reference: str
) -> None:
    with pytest.raises(TargetCollision) as caught:
        check({reference: holder, f"q.io/app:{kept(IMAGE)}": OTHER})
    assert caught.value.details == (
        f"q.io/app:{kept(IMAGE)} has the tag that has to keep what is in {reference}",
    )


def test_a_tag_that_has_to_keep_what_is_attached_is_refused() -> None:
    with pytest.raises(TargetCollision) as caught:
        check({"q.io/app:1": IMAGE, f"q.io/app:{kept(SBOM)}": OTHER}, attached=True)
    assert f"attached shop/app@{SBOM.digest}" in caught.value.details[0]


@pytest.mark.parametrize(
    "images",
    [
        {"q.io/app:1": IMAGE, f"q.io/app:{kept(IMAGE)}": IMAGE},
        {"q.io/app:1": IMAGE, f"q.io/else:{kept(IMAGE)}": OTHER},
        {"q.io/app:1": IMAGE, f"q.io/app:{kept(INDEX)}": OTHER},
    ],
)
def test_other_tags_of_that_form_are_tags(images: Mapping[str, BuiltImage]) -> None:
    check(images)
