from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airgap_shared.bundle.attachments import Attachment
from airgap_shared.bundle.graph import check_graph, unique_blobs
from airgap_shared.bundle.names import ATTACHED_DEPTH, NESTING_LIMIT
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
from support.bundles import Attached, Contents, make_contents
from support.images import BuiltImage, make_artifact, make_image, make_index, platform_index

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


SBOM = make_artifact(b"sbom", "application/spdx+json", INDEX)
OF_SBOM = make_artifact(b"signature", "application/x.signature", SBOM)
SIGNATURE = make_image([b"signature"])
OF_CHILD = make_artifact(b"of a child", "application/x.provenance", INDEX.children[0])
ATTACHED = make_contents(
    {"one:1": SHARED, "two:1": INDEX},
    attached={
        "two:1": [
            Attached(SBOM, INDEX),
            Attached(OF_SBOM, SBOM),
            Attached(SIGNATURE, INDEX, ".sig"),
            Attached(OF_CHILD, INDEX.children[0]),
            Attached(SIGNATURE, SBOM, ".sig"),
        ]
    },
)


def with_attached(*attached: Attachment, image: int = 1) -> Statement:
    """The statement with other attachments for one image."""
    images = list(ATTACHED.statement.images)
    images[image] = replace(images[image], attached=attached)
    return replace(ATTACHED.statement, images=tuple(images))


ENTRIES = ATTACHED.statement.images[1].attached


def check(statement: Statement) -> None:
    check_graph(statement, manifests_of(ATTACHED))


def test_what_is_attached_is_part_of_the_graph() -> None:
    graph = check_graph(ATTACHED.statement, manifests_of(ATTACHED))
    assert Digest.parse(OF_SBOM.digest) in graph.manifests


@pytest.mark.parametrize("missing", range(len(ENTRIES)))
def test_what_nothing_is_attached_to_is_a_stranger(missing: int) -> None:
    left = [one for one in ENTRIES if one.root != ENTRIES[missing].root]
    error: type[AirgapError] = StatementInvalid if missing == 0 else MemberUnexpected
    with pytest.raises((error, MemberUnexpected)):
        check(with_attached(*left))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"subject": Digest.of(b"nobody")}, "about nothing that stands before it"),
        ({"subject": Digest.parse(SHARED.digest)}, "about nothing that stands before it"),
        ({"subject": Digest.parse(SBOM.digest)}, "about nothing that stands before it"),
        ({"subject": CHILD}, "names another subject"),
        ({"subject": CHILD, "tag": f"sha256-{CHILD.hex}.sig"}, "names another subject"),
        ({"root": Digest.parse(SIGNATURE.digest)}, "names no subject"),
        ({"root": Digest.parse(OF_SBOM.digest)}, "names another subject"),
    ],
)
def test_an_attachment_is_about_its_image_and_says_so(change: dict[str, object], what: str) -> None:
    entries = (replace(ENTRIES[0], **change), *ENTRIES)  # type: ignore[arg-type]
    with pytest.raises(StatementInvalid, match=what) as caught:
        check(with_attached(*entries))
    assert caught.value.where.endswith(".images[1].attached[0]")


def test_an_attachment_comes_after_the_one_that_it_is_about() -> None:
    with pytest.raises(StatementInvalid) as caught:
        check(with_attached(ENTRIES[1], ENTRIES[0], *ENTRIES[2:]))
    assert caught.value.where.endswith(".images[1].attached[0]")


def test_an_attachment_belongs_to_one_image() -> None:
    """What another image has attached is no subject here."""
    wrong = with_attached(*ENTRIES)
    with pytest.raises(StatementInvalid) as caught:
        check(replace(wrong, images=(replace(wrong.images[0], attached=ENTRIES), wrong.images[1])))
    assert caught.value.where.endswith(".images[0].attached[0]")


def test_what_is_attached_may_be_about_an_index_that_was_left_upstream() -> None:
    images = ATTACHED.statement.images
    left = Digest.parse(SBOM.digest)
    about = replace(images[0], upstream=left, attached=(replace(ENTRIES[1], subject=left),))
    check(replace(ATTACHED.statement, images=(about, images[1])))


def test_what_is_attached_comes_after_the_images() -> None:
    members = list(ATTACHED.statement.members)
    kinds = [number for number, member in enumerate(members) if member.role is Role.MANIFEST]
    members.insert(kinds[0], members.pop(kinds[-1]))
    with pytest.raises(StatementInvalid, match="after what is attached") as caught:
        check(replace(ATTACHED.statement, members=tuple(members)))
    assert caught.value.where == f"blobs/{SHARED.digest.replace(':', '/')}"


def chain(links: int) -> Contents:
    """An image and a chain of attachments, each about the one before."""
    found: list[Attached] = []
    for number in range(links):
        subject = found[-1].image if found else SHARED
        kind = f"application/x.number{number}"
        found.append(Attached(make_artifact(b"x", kind, subject), subject))
    return make_contents({"one:1": SHARED}, attached={"one:1": found})


def test_chains_of_attachments_are_bounded() -> None:
    fitting = chain(ATTACHED_DEPTH)
    check_graph(fitting.statement, manifests_of(fitting))
    deeper = chain(ATTACHED_DEPTH + 1)
    with pytest.raises(LimitExceeded) as caught:
        check_graph(deeper.statement, manifests_of(deeper))
    assert caught.value.where.endswith(f".attached[{ATTACHED_DEPTH}]")


def test_an_attached_index_brings_all_below_it() -> None:
    inner = make_image([b"inner"])
    outer = make_index([inner])
    contents = make_contents(
        {"one:1": SHARED},
        attached={"one:1": [Attached(outer, SHARED, ".sbom"), Attached(SIGNATURE, inner, ".sig")]},
    )
    check_graph(contents.statement, manifests_of(contents))
    without = [m for m in contents.statement.members if str(m.digest) != inner.digest]
    with pytest.raises(DescriptorUnresolved):
        check_graph(replace(contents.statement, members=tuple(without)), manifests_of(contents))


def test_the_nesting_of_what_is_attached_is_bounded() -> None:
    deep = Attached(nested(NESTING_LIMIT + 1), SHARED, ".sbom")
    contents = make_contents({"one:1": SHARED}, attached={"one:1": [deep]})
    with pytest.raises(LimitExceeded):
        check_graph(contents.statement, manifests_of(contents))
