from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airgap_importer.history.registryreceipt import (
    ANNOTATION,
    NAMES_ANNOTATION,
    KeptReceipt,
    RegistryReceipts,
)
from airgap_importer.relocation import Target
from airgap_shared.errors import RegistryIntegrity, RegistryRejected
from airgap_shared.stores.registry import Registry
from support.clients import http_client
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import MakeProxy
from support.faults import Answer, Meanwhile, Rule
from support.images import make_image
from support.pushing import push_image
from support.receipts import RECEIPT


def receipts(client: Registry, channel: str = "stable") -> RegistryReceipts:
    return RegistryReceipts(client, Target(client.endpoint.host, "apps"), "shop", channel)


@pytest.mark.parametrize("channel", ["stable", "1.x", "a b", "a_b", "x" * 49, "_", "c3a4"])
def test_what_is_kept_is_found(registry: DockerRegistry, channel: str) -> None:
    receipt = KeptReceipt(replace(RECEIPT, channel=channel), {"q.io/app": "apps/app"})
    with http_client(registry.host) as client:
        place = receipts(client, channel)
        assert place.newest() is None
        place.keep(receipt, None)
        assert place.newest() == receipt
        newer = KeptReceipt(replace(receipt.receipt, sequence=receipt.receipt.sequence + 1))
        place.keep(newer, receipt)
        assert place.newest() == newer


def test_no_channel_answers_for_another(registry: DockerRegistry) -> None:
    channels = ["a", "a_b", "a__b", "a b", "A", "a.b", "a-b"]
    with http_client(registry.host) as client:
        tags = {receipts(client, channel).tag for channel in channels}
        assert len(tags) == len(channels)
        for number, channel in enumerate(channels):
            receipts(client, channel).keep(
                KeptReceipt(replace(RECEIPT, channel=channel, sequence=number)), None
            )
        found = [receipts(client, channel).newest() for channel in channels]
    assert [one.receipt.sequence for one in found if one] == list(range(len(channels)))


def test_the_same_receipt_is_not_written_twice(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(registry.host) as client:
        receipts(client).keep(KeptReceipt(RECEIPT), None)
    before = registry.storage.snapshot()
    with http_client(proxy.host) as client:
        receipts(client).keep(KeptReceipt(RECEIPT), None)
    assert proxy.mutations() == []
    assert registry.storage.snapshot() == before
    assert registry.storage.untagged() == set()


def test_what_plain_tools_see(registry: DockerRegistry) -> None:
    with http_client(registry.host) as client:
        receipts(client).keep(KeptReceipt(RECEIPT), None)
    digest = registry.storage.all_tags()["apps/airgap-receipts", "shop_stable"]
    document = json.loads(registry.storage.read_blob(digest))
    assert document["artifactType"] == "application/vnd.airgap-bundle.receipt.v1+json"
    assert json.loads(document["annotations"][ANNOTATION]) == RECEIPT.to_document()


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        "",
        "{}",
        "[" * 100_000,
        json.dumps({**RECEIPT.to_document(), "format": 2}),
        json.dumps({**RECEIPT.to_document(), "app": "mail"}),
        json.dumps({**RECEIPT.to_document(), "channel": "beta"}),
        json.dumps({**RECEIPT.to_document(), "sequence": "15"}),
        json.dumps({**RECEIPT.to_document(), "sequence": -1}),
        json.dumps({**RECEIPT.to_document(), "accepted": "now"}),
    ],
)
def test_something_else_in_its_place(registry: DockerRegistry, annotation: str | None) -> None:
    image = make_image([b"x"])
    annotations = {} if annotation is None else {ANNOTATION: annotation}
    raw = json.dumps({**json.loads(image.raw), "annotations": annotations}).encode()
    push_image(registry.host, "apps/airgap-receipts", "shop_stable", replace(image, raw=raw))
    with http_client(registry.host) as client, pytest.raises(RegistryIntegrity) as caught:
        receipts(client).newest()
    assert caught.value.where.endswith("/apps/airgap-receipts:shop_stable")


@pytest.mark.parametrize(
    "names",
    [
        *(
            "",
            "[]",
            "{",
            '{"q.io/app": 1}',
            '{"q.io/app": "other/app"}',
            '{"q.io/app": "apps/App"}',
        ),
        '{"q.io/app": "apps/airgap-receipts"}',
    ],
)
def test_names_that_cannot_be_meant(registry: DockerRegistry, names: str) -> None:
    image = make_image([b"x"])
    annotations = {ANNOTATION: json.dumps(RECEIPT.to_document()), NAMES_ANNOTATION: names}
    raw = json.dumps({**json.loads(image.raw), "annotations": annotations}).encode()
    push_image(registry.host, "apps/airgap-receipts", "shop_stable", replace(image, raw=raw))
    with http_client(registry.host) as client, pytest.raises(RegistryIntegrity):
        receipts(client).newest()


def test_a_registry_that_takes_nothing(make_registry: MakeRegistry) -> None:
    registry = make_registry(RegistryOptions(read_only=True))
    with http_client(registry.host) as client:
        assert receipts(client).newest() is None
        with pytest.raises(RegistryRejected):
            receipts(client).keep(KeptReceipt(RECEIPT), None)


def test_another_host_that_imports_the_same_at_the_same_time_is_no_fault(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    other = KeptReceipt(replace(RECEIPT, accepted=RECEIPT.accepted + timedelta(seconds=3)))
    with http_client(registry.host) as client:
        theirs = Rule(
            Meanwhile(lambda: receipts(client).keep(other, None)), "HEAD", "/shop_stable", first=3
        )
        proxy = make_proxy(registry.host, theirs)
        with http_client(proxy.host) as own:
            receipts(own).keep(KeptReceipt(RECEIPT), None)
        assert receipts(client).newest() == other


def test_a_registry_that_keeps_the_old_receipt_is_named(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    """Also where that one tells of the same release."""
    old = KeptReceipt(replace(RECEIPT, accepted=RECEIPT.accepted + timedelta(seconds=3)))
    with http_client(registry.host) as client:
        receipts(client).keep(old, None)
        known = receipts(client).newest()
    proxy = make_proxy(registry.host, Rule(Answer(201), "PUT", "/shop_stable", times=None))
    with http_client(proxy.host) as client, pytest.raises(RegistryIntegrity, match="took"):
        receipts(client).keep(KeptReceipt(RECEIPT), known)
