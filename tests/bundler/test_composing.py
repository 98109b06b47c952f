from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from airgap_bundler.composing import Contents, TimeWishes, compose_contents, same_but_time
from airgap_bundler.mirrors import Location
from airgap_bundler.pinning import PinnedImage
from airgap_shared.bundle.graph import check_graph
from airgap_shared.bundle.index import check_index
from airgap_shared.bundle.statement import Member, Role, Statement, parse_statement
from airgap_shared.errors import StatementInvalid
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from airgap_shared.oci.reference import parse_reference
from support.bundles import RELEASE
from support.images import (
    BuiltImage,
    chunks_of,
    make_image,
    make_index,
    platform_index,
    tar_layer,
)

FILES = (ManifestFile("b.yaml", b"kind: B\n"), ManifestFile("a/x.yaml", b"kind: A\n"))
INVENTORY = b'{"format": 1}'
PLAIN = make_image([tar_layer({"file": b"text"}), b"packed"])
INDEX = platform_index("app", "linux/amd64", "linux/arm64")
SHARING = make_index([make_image([b"packed"]), make_image([b"packed", b"more"])])


def pinned(text: str, image: BuiltImage, with_configs: bool = True) -> PinnedImage:
    manifests: dict[Digest, Manifest | Index] = {}

    def collect(built: BuiltImage) -> None:
        for child in built.children:
            collect(child)
        found = parse_manifest(built.raw, built.media_type)
        manifests.setdefault(found.digest, found)

    collect(image)
    blobs = image.all_blobs()
    configs = {
        manifest.config.digest: b"".join(chunks_of(blobs[str(manifest.config.digest)]))
        for manifest in manifests.values()
        if isinstance(manifest, Manifest) and with_configs
    }
    root = manifests[Digest.parse(image.digest)]
    reference = parse_reference(text)
    location = Location(f"mirror-of-{reference.registry}", reference.repository)
    platforms = ("linux/amd64",)
    return PinnedImage(
        reference, location, root, root.digest, tuple(manifests.values()), configs, platforms
    )


def compose(
    images: Sequence[PinnedImage], literals: Mapping[str, Sequence[str]] | None = None
) -> Contents:
    spellings = literals or {i.reference.canonical: [str(i.reference)] for i in images}
    return compose_contents(FILES, INVENTORY, images, spellings)


IMAGES = [pinned("plain:1", PLAIN), pinned("q.io/app:2", INDEX), pinned("q.io/more", SHARING)]


def test_members_come_in_the_order_of_their_roles_and_none_is_missing() -> None:
    contents = compose(IMAGES)
    order = list(Role)
    ranks = [order.index(member.role) for member in contents.members]
    assert ranks == sorted(ranks)
    assert [member.path for member in contents.members[:5]] == [
        "oci-layout",
        "index.json",
        "application/inventory.json",
        "application/upstream/b.yaml",
        "application/upstream/a/x.yaml",
    ]
    wanted = {digest for image in (PLAIN, INDEX, SHARING) for digest in image.all_blobs()}
    blobs = [str(m.digest) for m in contents.members if m.role is Role.BLOB]
    assert sorted(blobs) == sorted(wanted)
    manifests = [str(m.digest) for m in contents.members if m.role is Role.MANIFEST]
    wanted = {digest for image in (PLAIN, INDEX, SHARING) for digest in image.all_manifests()}
    assert sorted(manifests) == sorted(wanted)


def test_what_is_composed_is_a_statement_and_a_graph() -> None:
    contents = compose(IMAGES)
    statement = contents.statement(RELEASE, ("linux/amd64",))
    assert parse_statement(statement.to_json()).to_json() == statement.to_json()
    manifests = {
        member.digest: parse_manifest(contents.content[member.path], member.media_type)
        for member in contents.members
        if member.role is Role.MANIFEST
    }
    graph = check_graph(statement, manifests)
    seen: set[Digest] = set()
    for member in contents.members:
        if member.role is Role.MANIFEST:
            below = {child.digest for child in graph.manifests[member.digest].children}
            assert below <= seen
            seen.add(member.digest)
    sizes = {digest: len(manifest.raw) for digest, manifest in manifests.items()}
    check_index(contents.content["index.json"], statement.images, sizes)


def test_configs_are_at_hand_and_come_before_what_is_fetched() -> None:
    contents = compose(IMAGES)
    blobs = [member for member in contents.members if member.role is Role.BLOB]
    at_hand = [member.path in contents.content for member in blobs]
    assert at_hand == sorted(at_hand, reverse=True)
    assert sum(at_hand) == len({d for image in IMAGES for d in image.configs})
    for member in contents.members:
        content = contents.content.get(member.path)
        assert content is None or (Digest.of(content), len(content)) == (member.digest, member.size)


def test_what_is_worth_compressing_comes_last() -> None:
    contents = compose(IMAGES)
    (tar,) = contents.compressible
    assert contents.members[-1].digest == tar
    without = compose([pinned("plain:1", PLAIN, with_configs=False)])
    last = [member.digest for member in without.members[-2:]]
    assert without.compressible == set(last)


def test_every_blob_that_is_fetched_has_a_place_to_come_from() -> None:
    contents = compose(IMAGES)
    for member in contents.members:
        if member.path not in contents.content:
            location = contents.locations[member.digest]
            owners = [i for i in IMAGES if member.digest in {b.digest for b in i.blobs}]
            assert location in [image.location for image in owners]


def test_every_spelling_is_in_the_index() -> None:
    image = pinned("docker.io/library/plain:1", PLAIN)
    spellings = ["plain:1", "docker.io/plain:1"]
    contents = compose([image], {image.reference.canonical: spellings})
    (bundled,) = contents.images
    assert bundled.literals == tuple(spellings)
    found = json.loads(contents.content["index.json"])["manifests"]
    assert [e["annotations"]["org.opencontainers.image.ref.name"] for e in found] == spellings


def test_the_same_inputs_give_the_same_bytes() -> None:
    one = compose(IMAGES).statement(RELEASE, ("all",)).to_json()
    assert compose(list(IMAGES)).statement(RELEASE, ("all",)).to_json() == one


STATEMENT = compose(IMAGES).statement(RELEASE, ("all",))
LATER = replace(
    RELEASE,
    sequence=RELEASE.sequence + 60,
    created=RELEASE.created + timedelta(minutes=1),
    expires=RELEASE.expires + timedelta(minutes=1),
)


def test_a_later_run_with_the_same_contents_goes_on_with_the_earlier_times() -> None:
    assert same_but_time(replace(STATEMENT, release=LATER), STATEMENT, TimeWishes()) == STATEMENT


@pytest.mark.parametrize(
    ("wishes", "sequence"),
    [
        (TimeWishes(created=True), LATER.sequence),
        (TimeWishes(sequence=True), LATER.sequence),
        (TimeWishes(sequence=True), 7),
        (TimeWishes(created=True, sequence=True), RELEASE.sequence),
    ],
)
def test_a_run_that_asks_for_other_times_starts_over(wishes: TimeWishes, sequence: int) -> None:
    later = replace(STATEMENT, release=replace(LATER, sequence=sequence))
    assert same_but_time(later, STATEMENT, wishes) is None


def test_a_run_that_would_not_be_newer_than_the_bundle_before_starts_over() -> None:
    later = replace(STATEMENT, release=LATER)
    for before, resumed in ((RELEASE.sequence - 1, True), (RELEASE.sequence, False)):
        found = same_but_time(later, STATEMENT, TimeWishes(before=before))
        assert (found == STATEMENT) is resumed


def test_a_run_that_asks_for_the_same_times_goes_on() -> None:
    numbered = replace(STATEMENT, release=replace(RELEASE, sequence=7))
    later = replace(STATEMENT, release=replace(LATER, sequence=7))
    assert same_but_time(later, numbered, TimeWishes(sequence=True)) == numbered
    assert same_but_time(numbered, numbered, TimeWishes(True, True)) == numbered
    # Without the number, the time is the number.
    assert same_but_time(replace(STATEMENT, release=LATER), numbered, TimeWishes()) is None


@pytest.mark.parametrize(
    ("age", "resumed"),
    [
        (timedelta(days=30), True),
        (timedelta(days=30, seconds=1), False),
        (timedelta(days=181), False),
        (timedelta(minutes=-5), True),
        (timedelta(days=-1), False),
    ],
)
def test_an_old_run_is_not_gone_on_with(age: timedelta, resumed: bool) -> None:
    created = RELEASE.created + age
    number = int(created.timestamp())
    release = replace(LATER, created=created, sequence=number, expires=created + timedelta(180))
    found = same_but_time(replace(STATEMENT, release=release), STATEMENT, TimeWishes())
    assert found == (STATEMENT if resumed else None)


def test_a_run_whose_bundle_is_past_its_time_is_not_gone_on_with() -> None:
    short = replace(STATEMENT, release=replace(RELEASE, expires=LATER.created))
    assert same_but_time(replace(STATEMENT, release=LATER), short, TimeWishes()) is None


@pytest.mark.parametrize(
    "changed",
    [
        replace(STATEMENT, platforms=("linux/amd64",)),
        replace(STATEMENT, images=STATEMENT.images[:1]),
        replace(STATEMENT, members=STATEMENT.members[:-1]),
        replace(STATEMENT, release=replace(LATER, version="2")),
        replace(STATEMENT, release=replace(LATER, channel="beta")),
        replace(STATEMENT, release=replace(LATER, tool="airgap-bundle/9")),
    ],
)
def test_a_run_with_other_contents_starts_over(changed: Statement) -> None:
    assert same_but_time(changed, STATEMENT, TimeWishes()) is None


RULED = (ManifestFile("app.yaml", b"a: b\n"),)


def members_with(rules: bytes) -> list[tuple[Role, str]]:
    contents = compose_contents(RULED, b"{}", (), {}, rules)
    statement = contents.statement(RELEASE, ("linux/amd64",))
    assert parse_statement(statement.to_json()) == statement
    assert rules == contents.content.get("application/rules.yaml", b"")
    return [(member.role, member.path) for member in statement.members]


def test_rules_travel_behind_the_inventory() -> None:
    assert members_with(b"format: 1\n")[2:5] == [
        (Role.INVENTORY, "application/inventory.json"),
        (Role.RULES, "application/rules.yaml"),
        (Role.APPLICATION, "application/upstream/app.yaml"),
    ]


def test_a_bundle_without_rules_has_no_such_member() -> None:
    assert Role.RULES not in [role for role, _ in members_with(b"")]


@pytest.mark.parametrize("path", ["application/other.yaml", "application/rules.yaml"])
def test_there_are_rules_at_one_place_only(path: str) -> None:
    statement = compose_contents(RULED, b"{}", (), {}, b"x").statement(RELEASE, ())
    rules = next(member for member in statement.members if member.role is Role.RULES)
    other = Member(path, rules.size, rules.digest, Role.RULES)
    wrong = replace(statement, members=(*statement.members[:4], other, *statement.members[4:]))
    with pytest.raises(StatementInvalid):
        parse_statement(wrong.to_json())
