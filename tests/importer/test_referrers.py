from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airgap_importer.lookups import LenientLookup
from airgap_importer.referrers import DueList, ReferrersKeeper, due_lists, lists_in
from airgap_shared.errors import RegistryIntegrity, TagImmutable
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest, parse_manifest
from airgap_shared.stores.registry import Registry
from support.clients import http_client
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rewrite, Rule
from support.images import OCI_INDEX, BuiltImage, make_artifact, make_image, make_index
from support.pushing import fetch_manifest, push_image

SUBJECT = make_image([b"subject"])
TAG = SUBJECT.digest.replace(":", "-")
TYPE = "application/x"
BUILT = [make_artifact(content, TYPE, SUBJECT) for content in (b"one", b"two")]
NOBODY: frozenset[tuple[str, Digest]] = frozenset()
EMPTY_LIST = Answer(200, {"Content-Type": OCI_INDEX}, b'{"schemaVersion":2,"manifests":[]}')


def parsed(image: BuiltImage) -> Manifest | Index:
    return parse_manifest(image.raw, image.media_type)


ONE, TWO = map(parsed, BUILT)
LIST = DueList("app", Digest.parse(SUBJECT.digest), (ONE, TWO))
MISSING = frozenset({("app", ONE.digest), ("app", TWO.digest)})


@pytest.fixture
def proxy(registry: DockerRegistry, make_proxy: MakeProxy) -> FaultProxy:
    """In front of a registry that has all the manifests and no list."""
    for image in (SUBJECT, *BUILT):
        push_image(registry.host, "app", None, image)
    return make_proxy(registry.host)


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[Registry]:
    with http_client(proxy.host) as made:
        yield made


def listed(proxy: FaultProxy) -> list[str]:
    raw = fetch_manifest(proxy.upstream, "app", TAG).raw
    return [entry["digest"] for entry in json.loads(raw)["manifests"]]


def put_list(proxy: FaultProxy, *images: BuiltImage) -> None:
    push_image(proxy.upstream, "app", TAG, make_index(images))


def test_each_subject_has_one_list() -> None:
    other = parsed(make_artifact(b"three", TYPE, BUILT[0]))
    found = lists_in("app", [parsed(SUBJECT), ONE, other, TWO])
    assert found == (LIST, DueList("app", ONE.digest, (other,)))
    assert found[0].where == f"app:{TAG}"
    assert lists_in("app", [parsed(SUBJECT), parsed(make_index([SUBJECT]))]) == ()


def test_what_a_list_lacks_is_due(client: Registry, proxy: FaultProxy) -> None:
    assert due_lists([LIST], NOBODY, client, 2) == (LIST,)
    put_list(proxy, BUILT[0])
    assert due_lists([LIST], NOBODY, client, 2) == (replace(LIST, referrers=(TWO,)),)
    put_list(proxy, *BUILT)
    assert due_lists([LIST], NOBODY, client, 2) == ()
    assert proxy.mutations() == []


def test_a_registry_that_lists_itself_is_owed_nothing(client: Registry, proxy: FaultProxy) -> None:
    proxy.add(Rule(EMPTY_LIST, "GET", "/referrers/", times=None))
    assert due_lists([LIST], NOBODY, client, 2) == ()


def test_what_is_still_to_be_pushed_is_judged_by_the_answer(
    client: Registry, proxy: FaultProxy
) -> None:
    """Not by asking before: there may be no repository yet that could answer."""
    assert due_lists([LIST], MISSING, client, 2) == (LIST,)
    assert proxy.requests("GET", "/referrers/") == []
    proxy.add(Rule(EMPTY_LIST, "GET", "/referrers/", times=None))
    only_two = frozenset({("app", TWO.digest)})
    assert due_lists([LIST], only_two, client, 2) == (replace(LIST, referrers=(TWO,)),)


def test_nobody_is_asked_when_everything_is_listed(client: Registry, proxy: FaultProxy) -> None:
    put_list(proxy, *BUILT)
    due_lists([LIST], NOBODY, client, 2)
    assert proxy.requests("GET", "/referrers/") == []


def test_only_what_the_registry_has_not_entered_is_written(
    client: Registry, proxy: FaultProxy
) -> None:
    keeper = ReferrersKeeper(client, (LIST,))
    keeper.pushed("app", ONE, LIST.subject)
    keeper.pushed("app", TWO, ONE.digest)
    keeper.pushed("app", parsed(SUBJECT), LIST.subject)
    keeper.write("app")
    assert listed(proxy) == [str(TWO.digest)]


def test_lists_of_other_repositories_are_not_written(client: Registry, proxy: FaultProxy) -> None:
    ReferrersKeeper(client, (LIST,)).write("other")
    assert proxy.requests() == []


def test_a_list_that_a_crash_left_empty_is_written_anew(
    client: Registry, proxy: FaultProxy, registry: DockerRegistry
) -> None:
    put_list(proxy, BUILT[0])
    for link in registry.storage.root.glob(f"**/tags/{TAG}/current/link"):
        link.write_bytes(b"")
    keeper = ReferrersKeeper(client, due_lists([LIST], NOBODY, LenientLookup(client), 1))
    keeper.write("app")
    assert listed(proxy) == [str(ONE.digest), str(TWO.digest)]


def test_a_registry_that_keeps_no_list_is_named(client: Registry, proxy: FaultProxy) -> None:
    proxy.add(Rule(Rewrite(status=404), "GET", f"/manifests/{TAG}", times=None))
    with pytest.raises(RegistryIntegrity) as caught:
        ReferrersKeeper(client, (LIST,)).write("app")
    assert caught.value.where == f"app:{TAG}"
    assert len(proxy.requests("PUT")) == 3


def test_tags_that_cannot_be_written_again_are_explained(
    client: Registry, proxy: FaultProxy
) -> None:
    put_list(proxy, BUILT[0])
    frozen = Answer(409, {}, b'{"errors":[{"code":"TAG_IMMUTABLE","message":"m"}]}')
    proxy.add(Rule(frozen, "PUT", TAG))
    with pytest.raises(TagImmutable) as caught:
        ReferrersKeeper(client, (LIST,)).write("app")
    assert "sha256-" in caught.value.next_step
    assert listed(proxy) == [str(ONE.digest)]
