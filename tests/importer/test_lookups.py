from __future__ import annotations

import pytest

from airgap_importer.lookups import LenientLookup
from airgap_shared.errors import Denied, RegistryUnavailable
from airgap_shared.oci.digest import Digest
from support.clients import FakeClock, http_client, settings_by
from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import Answer, Rule
from support.images import make_image
from support.pushing import push_image

IMAGE = make_image([b"layer"])
BLOB = Digest.parse(next(iter(IMAGE.blobs)))


def test_links_that_a_crash_left_empty_are_as_good_as_absent(registry: DockerRegistry) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    for link in registry.storage.root.glob("**/link"):
        link.write_bytes(b"")
    with http_client(registry.host, settings=settings_by(FakeClock())) as client:
        lookup = LenientLookup(client)
        assert lookup.head_manifest("app", "1") is None
        assert lookup.get_manifest("app", IMAGE.digest) is None
        assert lookup.blob_size("app", BLOB) is None


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_registry_that_is_away_is_not_empty(
    registry: DockerRegistry, make_proxy: MakeProxy, status: int
) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(status), "HEAD", times=None))
    with (
        http_client(proxy.host, settings=settings_by(FakeClock())) as client,
        pytest.raises(RegistryUnavailable),
    ):
        LenientLookup(client).head_manifest("app", "1")


def test_a_registry_that_knows_nothing_at_all_is_broken(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host, Rule(Answer(500), "HEAD", times=None))
    with http_client(proxy.host, settings=settings_by(FakeClock(), attempts=1)) as client:
        lookup = LenientLookup(client)
        for _ in range(16):
            assert lookup.blob_size("app", BLOB) is None
        with pytest.raises(RegistryUnavailable):
            lookup.blob_size("app", BLOB)


def test_what_may_not_be_read_is_absent_for_a_plan_only(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    proxy = make_proxy(registry.host, Rule(Answer(403), times=None, path="/v2/app/"))
    with http_client(proxy.host, settings=settings_by(FakeClock())) as client:
        plan = LenientLookup(client, hidden=True)
        assert plan.head_manifest("app", "1") is None
        assert plan.get_manifest("app", IMAGE.digest) is None
        assert plan.blob_size("app", BLOB) is None
        assert list(plan.unreadable) == ["app"]
        with pytest.raises(Denied):
            LenientLookup(client).head_manifest("app", "1")
