from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_importer.names import Names
from airgap_importer.naming import Naming
from airgap_importer.profiles import DISTRIBUTION, PROFILES, RegistryProfile
from airgap_importer.registrykind import RegistryKind
from airgap_importer.relocation import Target, relocate
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import TargetCollision, UsageError
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import is_valid_repository, parse_reference

#: A namespace that each kind takes.
NAMESPACES = {
    kind: {1: "shop", 2: "shop", 3: "shop/apps"}[profile.least]
    for kind, profile in PROFILES.items()
}


def bundled(name: str) -> BundledImage:
    source = parse_reference(parse_reference(name).canonical)
    root = Digest.of(name.encode())
    return BundledImage(source, (name,), root, mediatype.OCI_MANIFEST, root, ())


def placed(
    names: Sequence[str],
    target: Target,
    scheme: Names,
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str]:
    relocation = relocate([bundled(name) for name in names], target, earlier or {}, scheme)
    return {image.source.name: image.destination for image in relocation.images.values()}


def one(name: str, naming: Naming, profile: RegistryProfile = DISTRIBUTION) -> str:
    (place,) = placed([name], Target("r.example", "shop"), Names(naming, profile)).values()
    return place


@pytest.mark.parametrize(
    ("name", "last", "path", "flat"),
    [
        (
            "nginx",
            "shop/nginx",
            "shop/docker.io/library/nginx",
            "shop/docker.io-library-nginx",
        ),
        (
            "quay.io/org/team/app",
            "shop/app",
            "shop/quay.io/org/team/app",
            "shop/quay.io-org-team-app",
        ),
        (
            "localhost:5000/a_b/c__d",
            "shop/c__d",
            "shop/localhost_5000/a_b/c__d",
            "shop/localhost_5000-a_b-c__d",
        ),
        ("[::1]:5000/app", "shop/app", "shop/1_5000/app", "shop/1_5000-app"),
        ("Reg.Example/app", "shop/app", "shop/reg.example/app", "shop/reg.example-app"),
    ],
)
def test_one_name_by_each_strategy(name: str, last: str, path: str, flat: str) -> None:
    found = [one(name, naming) for naming in (Naming.LAST, Naming.PATH, Naming.FLAT)]
    assert found == [last, path, flat]


def test_what_a_registry_does_not_take_is_replaced_and_marked() -> None:
    ecr = PROFILES[RegistryKind.ECR]
    place = one("q.io/c__d--e", Naming.LAST, ecr)
    assert place.startswith("shop/c_d-e-")
    assert len(place) == len("shop/c_d-e-") + 8
    assert place != one("q.io/c__d-e", Naming.LAST, ecr)


@pytest.mark.parametrize("naming", [Naming.PATH, Naming.FLAT])
def test_a_name_that_is_too_long_is_cut_and_marked(naming: Naming) -> None:
    long = "q.io/" + "/".join(["a" * 80] * 3)
    place = one(long, naming)
    assert len(f"r.example/{place}") <= 255
    assert place.startswith("shop/q.io-aaa")
    assert place != one(long[:-1] + "b", naming)


def test_a_pull_endpoint_counts_for_the_length() -> None:
    pull = Target("pull.example", "a-prefix-of-its-own/shop")
    target = Target("r.example", "shop", pull)
    long = "q.io/" + "/".join(["a" * 80] * 3)
    relocation = relocate([bundled(long)], target, {}, Names(Naming.FLAT))
    (image,) = relocation.images.values()
    assert image.destination.startswith("shop/q.io-aaa")
    assert image.name == f"pull.example/a-prefix-of-its-own/{image.destination}"
    assert len(image.name) <= 255


@pytest.mark.parametrize(
    ("kind", "namespace", "naming", "where", "advice"),
    [
        ("dockerhub", "", "last", "--image-namespace", "NAMESPACE"),
        ("dockerhub", "a/b", "last", "--image-namespace", "1 component"),
        ("dockerhub", "a", "path", "--naming", "--naming flat"),
        ("dockerhub", "", "path", "--image-namespace", "--image-namespace NAMESPACE, and use"),
        ("harbor", "", "flat", "--image-namespace", "PROJECT"),
        ("gar", "project", "last", "--image-namespace", "PROJECT/REPOSITORY"),
        ("quay", "", "last", "--image-namespace", "ORGANIZATION"),
    ],
)
def test_a_depth_that_the_registry_does_not_have(
    kind: str, namespace: str, naming: str, where: str, advice: str
) -> None:
    profile = PROFILES[RegistryKind(kind)]
    target = Target("r.example", namespace)
    with pytest.raises(UsageError) as caught:
        placed(["q.io/team/app"], target, Names(Naming(naming), profile))
    assert caught.value.where == where
    assert advice in caught.value.next_step
    assert "--registry-type" in caught.value.next_step
    assert profile.title in caught.value.what


def test_a_first_component_that_the_registry_does_not_take() -> None:
    target = Target("r.example", "pro__ject")
    with pytest.raises(UsageError, match="Harbor takes no repository of this name"):
        placed(["q.io/app"], target, Names(Naming.LAST, PROFILES[RegistryKind.HARBOR]))


COMPONENTS = st.sampled_from(
    ["app", "a", "web-1", "c__d", "e--f", "x.y", "library", "docker.io", "q_1", "n" * 70, "n" * 120]
)
HOSTS = st.sampled_from(
    ["q.io", "q.io:5000", "Q.io", "docker.io", "localhost:5000", "[::1]:5000", "xn--a.example"]
)
NAMES = st.builds(
    lambda host, path: "/".join((host, *path)),
    HOSTS,
    st.lists(COMPONENTS, min_size=1, max_size=4),
).filter(lambda name: len(name) < 250)
LISTS = st.lists(NAMES, max_size=8, unique=True)
KINDS = st.sampled_from(sorted(PROFILES))
NAMINGS = st.sampled_from(Naming)


def _tried(
    names: Sequence[str],
    kind: RegistryKind,
    naming: Naming,
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str] | None:
    """The places; None where the registry cannot take these names so, and that is said."""
    profile = PROFILES[kind]
    target = Target("r.example:5000", NAMESPACES[kind])
    try:
        return placed(names, target, Names(naming, profile), earlier)
    except UsageError as refusal:
        too_deep = naming is Naming.PATH and profile.most is not None
        too_long = naming is Naming.LAST and "too long" in refusal.what
        assert too_deep or too_long, refusal
        return None


@given(LISTS, KINDS, NAMINGS)
def test_names_are_injective_and_fit(
    names: Sequence[str], kind: RegistryKind, naming: Naming
) -> None:
    places = _tried(names, kind, naming)
    if places is None:
        return
    assert len(set(places.values())) == len(places)
    for place in places.values():
        assert is_valid_repository(place)
        assert PROFILES[kind].takes_path(place), place
        assert place.startswith(f"{NAMESPACES[kind]}/")


@given(LISTS, LISTS, KINDS, NAMINGS, NAMINGS)
def test_what_was_given_stays_whatever_comes(
    first: Sequence[str],
    second: Sequence[str],
    kind: RegistryKind,
    naming: Naming,
    other: Naming,
) -> None:
    before = _tried(first, kind, naming)
    if before is None:
        return
    try:
        after = _tried(second, kind, other, before)
    except TargetCollision:
        # A newcomer's own suffix is a name that was given away: said, never mixed up.
        return
    if after is not None:
        assert {name: after[name] for name in after.keys() & before.keys()} == {
            name: before[name] for name in after.keys() & before.keys()
        }
        new = {place for name, place in after.items() if name not in before}
        assert not new & set(before.values())


@given(LISTS, KINDS, NAMINGS)
def test_the_order_does_not_matter(
    names: Sequence[str], kind: RegistryKind, naming: Naming
) -> None:
    assert _tried(names, kind, naming) == _tried(names[::-1], kind, naming)
