from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_importer.relocation import Relocation, Target, parse_target, relocate
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import PlainHttpRefused, TargetCollision, UsageError
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference

TARGET = Target("registry.example:5000", "shop")
D1, D2 = Digest.of(b"1"), Digest.of(b"2")


def bundled(text: str, root: Digest = D1) -> BundledImage:
    canonical = parse_reference(text).canonical
    source = parse_reference(canonical)
    return BundledImage(source, (text,), root, mediatype.OCI_MANIFEST, root, ())


def moved(
    *images: BundledImage, target: Target = TARGET, earlier: Mapping[str, str] | None = None
) -> Relocation:
    return relocate(images, target, earlier or {})


def target_of(relocation: Relocation, text: str) -> str:
    image = relocation.target_of(parse_reference(text))
    assert image is not None
    return image.reference


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("quay.io/org/app:1.2", "shop/app:1.2"),
        ("quay.io/org/team/app", "shop/app:latest"),
        ("redis:7", "shop/redis:7"),
        ("library/redis", "shop/redis:latest"),
        ("docker.io/redis", "shop/redis:latest"),
        ("docker.io/library/redis", "shop/redis:latest"),
        ("org/app:1", "shop/app:1"),
        ("docker.io/org/app:1", "shop/app:1"),
        ("index.docker.io/org/app", "shop/app:latest"),
        (f"q.io/o/app@{D1}", "shop/app"),
        (f"q.io/o/app:1@{D1}", "shop/app:1"),
        ("localhost:5000/a_b/c__d-e.f:1.10", "shop/c__d-e.f:1.10"),
        ("Registry.Example/app:1", "shop/app:1"),
        ("[::1]:5000/app:1", "shop/app:1"),
    ],
)
def test_one_image_gets_its_last_segment_below_the_namespace(text: str, target: str) -> None:
    relocation = moved(bundled(text))
    assert target_of(relocation, text) == f"registry.example:5000/{target}@{D1}"


def test_every_spelling_leads_to_the_same_place() -> None:
    relocation = moved(bundled("redis:7"))
    for text in ("redis:7", "docker.io/redis:7", "library/redis:7", "index.docker.io/redis:7"):
        assert target_of(relocation, text) == f"registry.example:5000/shop/redis:7@{D1}"
    assert relocation.target_of(parse_reference("redis:8")) is None
    assert relocation.target_of(parse_reference("quay.io/redis:7")) is None


def test_two_sources_with_one_last_segment_both_get_a_suffix() -> None:
    relocation = moved(bundled("a.io/x/app:1"), bundled("b.io/y/app:1", D2), bundled("c.io/web"))
    places = {i.source.name: i.repository for i in relocation.images.values()}
    assert (
        places
        == {
            "a.io/x/app": "shop/app-4ab6a48e",
            "b.io/y/app": "shop/app-2f4d0a21",
            "c.io/web": "shop/web",
        }
        or len(set(places.values())) == 3
    )
    assert places["c.io/web"] == "shop/web"
    for name in ("a.io/x/app", "b.io/y/app"):
        head, _, suffix = places[name].rpartition("-")
        assert head == "shop/app"
        assert len(suffix) == 8
        assert not set(suffix) - set("0123456789abcdef")


def test_a_suffix_depends_on_the_source_alone() -> None:
    one = moved(bundled("a.io/x/app:1"), bundled("b.io/y/app:1"))
    other = moved(bundled("c.io/z/app:9"), bundled("a.io/x/app:2"))
    found = {
        r.target_of(parse_reference(t)) for r, t in ((one, "a.io/x/app:1"), (other, "a.io/x/app:2"))
    }
    assert len({image.repository for image in found if image is not None}) == 1


def test_two_tags_of_one_image_share_a_repository() -> None:
    relocation = moved(bundled("q.io/o/app:1"), bundled("q.io/o/app:2", D2))
    assert target_of(relocation, "q.io/o/app:1") == f"registry.example:5000/shop/app:1@{D1}"
    assert target_of(relocation, "q.io/o/app:2") == f"registry.example:5000/shop/app:2@{D2}"


def test_a_suffixed_name_that_is_taken_is_a_collision() -> None:
    suffixed = moved(bundled("a.io/x/app"), bundled("b.io/y/app"))
    taken = next(i for i in suffixed.images.values() if i.source.registry == "a.io")
    squatter = bundled(f"c.io/{taken.repository.rpartition('/')[2]}")
    with pytest.raises(TargetCollision) as caught:
        moved(bundled("a.io/x/app"), bundled("b.io/y/app"), squatter)
    assert "a.io/x/app" in caught.value.what
    assert squatter.source.name in caught.value.what


def tags(*images: BundledImage) -> dict[str, str | None]:
    return {i.source.canonical: i.tag for i in moved(*images).images.values()}


def test_a_tag_that_could_mean_two_images_goes_to_neither() -> None:
    found = tags(bundled(f"q.io/app:1@{D1}", D1), bundled(f"q.io/app:1@{D2}", D2))
    assert set(found.values()) == {None}


def test_a_reference_without_digest_owns_its_tag() -> None:
    found = tags(bundled("q.io/app:1", D1), bundled(f"q.io/app:1@{D2}", D2))
    assert found == {"q.io/app:1": "1", f"q.io/app:1@{D2}": None}


def test_one_content_by_two_references_keeps_its_tag_on_both() -> None:
    found = tags(bundled("q.io/app:1", D1), bundled(f"q.io/app:1@{D1}", D1))
    assert set(found.values()) == {"1"}


def test_a_digest_alone_has_no_tag() -> None:
    assert tags(bundled(f"q.io/app@{D1}"), bundled(f"q.io/app@{D2}", D2)) == {
        f"q.io/app@{D1}": None,
        f"q.io/app@{D2}": None,
    }


def test_the_earlier_place_of_a_source_stays() -> None:
    earlier = {"a.io/x/app": "shop/app", "q.io/old": "shop/old-0badcafe"}
    relocation = moved(
        bundled("a.io/x/app:2"), bundled("b.io/y/app:1"), bundled("q.io/old:2"), earlier=earlier
    )
    places = {i.source.name: i.repository for i in relocation.images.values()}
    assert places["a.io/x/app"] == "shop/app"
    assert places["q.io/old"] == "shop/old-0badcafe"
    assert places["b.io/y/app"].startswith("shop/app-")


def test_a_place_that_a_source_of_an_earlier_release_had_is_not_given_away() -> None:
    relocation = moved(bundled("b.io/y/app:1"), earlier={"a.io/x/app": "shop/app"})
    (image,) = relocation.images.values()
    assert image.repository.startswith("shop/app-")


def test_a_name_that_grows_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        moved(bundled(f"q.io/{'a' * 200}"), target=Target("r.example", "n" * 60))


def test_without_images_there_is_nothing_to_do() -> None:
    assert moved().images == {}
    assert moved().to_csv() == "source,target,digest\n"


def test_the_map_is_kept_as_json_and_as_a_table() -> None:
    relocation = moved(bundled("redis:7"), bundled(f"q.io/app@{D2}", D2))
    document = relocation.to_document()
    assert json.loads(json.dumps(document)) == {
        "format": 1,
        "images": [
            {
                "source": "docker.io/library/redis:7",
                "registry": "registry.example:5000",
                "repository": "shop/redis",
                "tag": "7",
                "digest": str(D1),
                "reference": f"registry.example:5000/shop/redis:7@{D1}",
            },
            {
                "source": f"q.io/app@{D2}",
                "registry": "registry.example:5000",
                "repository": "shop/app",
                "tag": None,
                "digest": str(D2),
                "reference": f"registry.example:5000/shop/app@{D2}",
            },
        ],
    }
    assert list(csv.reader(relocation.to_csv().splitlines())) == [
        ["source", "target", "digest"],
        ["docker.io/library/redis:7", "registry.example:5000/shop/redis:7", str(D1)],
        [f"q.io/app@{D2}", "registry.example:5000/shop/app", str(D2)],
    ]


NAMES = st.builds(
    lambda host, path: "/".join((host, *path)),
    st.sampled_from(["a.io", "b.io:5000", "docker.io/org", "localhost"]),
    st.lists(st.sampled_from(["app", "web", "app-1", "x"]), min_size=1, max_size=3),
)
TEXTS = st.builds(
    lambda name, tag: name + tag, NAMES, st.sampled_from(["", ":1", ":2", f"@{D1}", f":1@{D1}"])
)
IMAGES = st.lists(st.builds(bundled, TEXTS, st.sampled_from([D1, D2])), max_size=10).map(
    lambda images: list({image.source.canonical: image for image in images}.values())
)
TARGETS = st.builds(
    Target, st.sampled_from(["r.example", "localhost:5000"]), st.sampled_from(["", "ns", "a/b"])
)


def places(relocation: Relocation) -> dict[str, str]:
    return {image.source.name: image.repository for image in relocation.images.values()}


@given(IMAGES, TARGETS)
def test_no_two_sources_share_a_repository(images: Sequence[BundledImage], target: Target) -> None:
    relocation = relocate(images, target, {})
    found = places(relocation)
    assert len(set(found.values())) == len(found)
    for canonical, image in relocation.images.items():
        assert image.digest == next(i.root for i in images if i.source.canonical == canonical)
        again = parse_reference(image.reference)
        assert (again.name, again.tag, again.digest) == (image.name, image.tag, image.digest)


@given(IMAGES, TARGETS)
def test_a_tag_in_the_target_means_one_content(
    images: Sequence[BundledImage], target: Target
) -> None:
    owners: dict[tuple[str, str], set[Digest]] = {}
    for image in relocate(images, target, {}).images.values():
        if image.tag is not None:
            owners.setdefault((image.repository, image.tag), set()).add(image.digest)
    assert all(len(digests) == 1 for digests in owners.values())


@given(IMAGES, st.randoms())
def test_the_order_of_images_does_not_matter(images: list[BundledImage], random: object) -> None:
    one = relocate(images, TARGET, {})
    assert relocate(images[::-1], TARGET, {}).to_csv() == one.to_csv()


@given(IMAGES, IMAGES)
def test_names_do_not_flip_from_release_to_release(
    first: Sequence[BundledImage], second: Sequence[BundledImage]
) -> None:
    before = places(relocate(first, TARGET, {}))
    after = places(relocate(second, TARGET, before))
    for name in before.keys() & after.keys():
        assert after[name] == before[name]
    given_away = {place for name, place in before.items() if name not in after}
    assert not given_away & {place for name, place in after.items() if name not in before}
    assert places(relocate(second, TARGET, {**before, **after})) == after


@pytest.mark.parametrize(
    ("endpoint", "namespace", "target"),
    [
        ("r.example", "shop", Target("r.example", "shop")),
        ("r.example:5000", "shop", Target("r.example:5000", "shop")),
        ("https://r.example", "shop", Target("r.example", "shop")),
        ("HTTPS://r.example/", "shop", Target("r.example", "shop")),
        ("r.example/prefix", "shop", Target("r.example", "prefix/shop")),
        ("https://r.example/a/b/", "/shop/", Target("r.example", "a/b/shop")),
        ("r.example", "", Target("r.example", "")),
        ("r.example/prefix", "", Target("r.example", "prefix")),
        ("localhost", "shop", Target("localhost", "shop")),
        ("registry:443", "shop", Target("registry:443", "shop")),
        ("127.0.0.1:5000", "a/b/c", Target("127.0.0.1:5000", "a/b/c")),
        ("[::1]:5000", "shop", Target("[::1]:5000", "shop")),
    ],
)
def test_targets_are_read(endpoint: str, namespace: str, target: Target) -> None:
    assert parse_target(endpoint, namespace, plain_http=False) == target


@pytest.mark.parametrize(
    "endpoint",
    [
        "user:s3cret@r.example:5000",
        "https://user:s3cret@r.example/prefix",
        "http://user:s3cret@r.example",
        "https://user:s3cret/x@r.example",
        "https://s3cret@x@r.example",
    ],
)
def test_a_password_in_an_endpoint_is_not_shown(endpoint: str) -> None:
    for option, endpoints in (
        ("--registry-endpoint", (endpoint, "")),
        ("--pull-endpoint", ("r.example", endpoint)),
    ):
        with pytest.raises(UsageError) as caught:
            parse_target(endpoints[0], "shop", False, endpoints[1])
        assert caught.value.where == option
        assert "s3cret" not in caught.value.what
        assert "r.example" in caught.value.what
        assert "--username and --password-stdin" in caught.value.next_step


def test_plain_http_has_to_be_allowed() -> None:
    with pytest.raises(PlainHttpRefused) as caught:
        parse_target("http://r.example", "shop", plain_http=False)
    assert "--plain-http" in caught.value.next_step
    assert parse_target("http://r.example", "shop", True) == Target("r.example", "shop")


@pytest.mark.parametrize(
    ("endpoint", "namespace", "where"),
    [
        ("", "shop", "--registry-endpoint"),
        ("/", "shop", "--registry-endpoint"),
        ("https://", "shop", "--registry-endpoint"),
        ("ftp://r.example", "shop", "--registry-endpoint"),
        ("https://[::1", "shop", "--registry-endpoint"),
        ("https://user@r.example", "shop", "--registry-endpoint"),
        ("user:secret@r.example", "shop", "--registry-endpoint"),
        ("r.example:99999", "shop", "--registry-endpoint"),
        ("r.example?x=1", "shop", "--registry-endpoint"),
        ("r.example\n", "shop", "--registry-endpoint"),
        ("registry", "shop", "--registry-endpoint"),
        ("index.docker.io", "shop", "--registry-endpoint"),
        ("x" * 5000, "shop", "--registry-endpoint"),
        ("r.example:" + "9" * 5000, "shop", "--registry-endpoint"),
        ("r.example", "Shop", "--image-namespace"),
        ("r.example", "a//b", "--image-namespace"),
        ("r.example", "..", "--image-namespace"),
        ("r.example", "shop:1", "--image-namespace"),
        ("r.example", "a b", "--image-namespace"),
        ("r.example", "n" * 256, "--image-namespace"),
        ("r.example/UPPER", "shop", "--image-namespace"),
    ],
)
def test_what_cannot_be_part_of_a_reference_is_refused(
    endpoint: str, namespace: str, where: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(endpoint, namespace, plain_http=False)
    assert caught.value.where == where
