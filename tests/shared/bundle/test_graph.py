from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airgap_shared.bundle.graph import check_graph, unique_blobs
from airgap_shared.bundle.names import NESTING_LIMIT
from airgap_shared.bundle.statement import Member, Role, Statement
from airgap_shared.errors import (
    AirgapError,
    AmbiguousManifest,
    DescriptorUnresolved,
    LimitExceeded,
    MemberUnexpected,
    SizeMismatch,
    StatementInvalid,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from support.bundles import Contents, make_contents
from support.images import BuiltImage, make_image, make_index, platform_index

SHARED = make_image([b"base", b"own"])
INDEX = platform_index("app", "linux/amd64", "linux/arm64")
CONTENTS = make_contents({"one:1": SHARED, "two:1": INDEX, "three:1": make_image([b"base"])})


def manifests_of(contents: Contents) -> dict[Digest, Manifest | Index]:
    return {
        member.digest: parse_manifest(contents.content(member), member.media_type)
        for member in contents.statement.members
        if member.role is Role.MANIFEST
    }


def test_a_bundle_that_is_whole_is_a_graph() -> None:
    graph = check_graph(CONTENTS.statement, manifests_of(CONTENTS))
    root = Digest.parse(INDEX.digest)
    below = graph.below(root)
    assert [str(manifest.digest) for manifest in below] == [
        *(child.digest for child in INDEX.children),
        INDEX.digest,
    ]
    assert {str(blob.digest) for blob in unique_blobs(below)} == set(INDEX.all_blobs())
    everything = unique_blobs(graph.manifests.values())
    assert {blob.digest for blob in everything} == set(CONTENTS.blobs)
    assert len(everything) == len(CONTENTS.blobs)


def test_a_bundle_without_images() -> None:
    contents = make_contents({})
    assert check_graph(contents.statement, {}).manifests == {}


def with_members(change: Callable[[Member], Member | None]) -> Statement:
    members = [change(member) for member in CONTENTS.statement.members]
    return replace(CONTENTS.statement, members=tuple(m for m in members if m is not None))


CHILD = Digest.parse(INDEX.children[0].digest)
BLOB = Digest.parse(next(iter(SHARED.blobs)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: None if m.digest == BLOB else m, DescriptorUnresolved),
        (lambda m: None if m.digest == CHILD else m, DescriptorUnresolved),
        (lambda m: replace(m, size=m.size + 1) if m.digest == BLOB else m, SizeMismatch),
        (lambda m: replace(m, size=m.size + 1) if m.digest == CHILD else m, SizeMismatch),
        (
            lambda m: replace(m, media_type=mediatype.DOCKER_MANIFEST) if m.digest == CHILD else m,
            AmbiguousManifest,
        ),
        (
            lambda m: replace(m, role=Role.BLOB, media_type=None) if m.digest == CHILD else m,
            DescriptorUnresolved,
        ),
    ],
)
def test_every_descriptor_is_a_member_as_described(
    change: Callable[[Member], Member | None], error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        check_graph(with_members(change), manifests_of(CONTENTS))


def test_a_manifest_comes_after_what_it_refers_to() -> None:
    members = CONTENTS.statement.members
    kinds = [member for member in members if member.role is Role.MANIFEST]
    turned = iter(kinds[::-1])
    statement = replace(
        CONTENTS.statement,
        members=tuple(next(turned) if m.role is Role.MANIFEST else m for m in members),
    )
    with pytest.raises(StatementInvalid) as caught:
        check_graph(statement, manifests_of(CONTENTS))
    assert caught.value.where == f"blobs/{INDEX.digest.replace(':', '/')}"


@pytest.mark.parametrize("role", [Role.BLOB, Role.MANIFEST])
def test_what_no_image_needs_is_named(role: Role) -> None:
    digest = Digest.of(b"stranger")
    kind = mediatype.OCI_MANIFEST if role is Role.MANIFEST else None
    stranger = Member(f"blobs/sha256/{digest.hex}", 8, digest, role, kind)
    statement = replace(CONTENTS.statement, members=(*CONTENTS.statement.members, stranger))
    with pytest.raises(MemberUnexpected) as caught:
        check_graph(statement, manifests_of(CONTENTS))
    assert caught.value.where == stranger.path


def test_an_image_left_out_of_the_statement_leaves_strangers() -> None:
    statement = replace(CONTENTS.statement, images=CONTENTS.statement.images[1:])
    with pytest.raises(MemberUnexpected):
        check_graph(statement, manifests_of(CONTENTS))


def nested(levels: int) -> BuiltImage:
    image = make_image([b"deep"])
    for _ in range(levels - 1):
        image = make_index([image])
    return image


def test_nesting_is_bounded() -> None:
    fitting = make_contents({"deep:1": nested(NESTING_LIMIT)})
    check_graph(fitting.statement, manifests_of(fitting))
    deeper = make_contents({"deep:1": nested(NESTING_LIMIT + 1)})
    with pytest.raises(LimitExceeded):
        check_graph(deeper.statement, manifests_of(deeper))


@pytest.mark.parametrize("order", [1, -1])
def test_nesting_is_bounded_however_the_images_are_listed(order: int) -> None:
    levels = range(1, NESTING_LIMIT + 2)[::order]
    contents = make_contents({f"deep:{count}": nested(count) for count in levels})
    with pytest.raises(LimitExceeded):
        check_graph(contents.statement, manifests_of(contents))
