"""Doing the same again: nothing is sent twice, nothing changes, the bytes are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.images import gzip_layer, make_image, platform_index, tar_layer
from support.journey import Journey, refused, succeeded, tree_of

_EPOCH = {"SOURCE_DATE_EPOCH": "1750000000"}


@pytest.fixture
def application(journey: Journey) -> Journey:
    shared = gzip_layer({"shared": b"in two images"})
    journey.push("team/one:1", make_image([shared, b"one"]))
    journey.push("team/two:1", make_image([shared, tar_layer({"two": b"2" * 70_000})]))
    journey.push("team/many:1", platform_index("many", "linux/amd64", "linux/arm64"))
    journey.deploy("team/one:1", "team/two:1", "team/many:1")
    return journey


def test_a_second_apply_sends_no_blob_and_changes_nothing(
    application: Journey, registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy: FaultProxy = make_proxy(registry.host)
    journey = replace(application, target=proxy.host)
    succeeded(journey.create("--platform", "all"))
    succeeded(journey.apply())
    state, overlay = registry.storage.snapshot(), tree_of(journey.overlay)
    assert proxy.requests("PUT", "/blobs/uploads/")

    proxy.clear()
    succeeded(journey.apply())

    assert proxy.mutations() == []
    assert not proxy.requests("GET", "/blobs/")
    assert registry.storage.snapshot() == state
    again = tree_of(journey.overlay)
    assert {n: c for n, c in again.items() if not n.endswith("receipt.json")} == {
        n: c for n, c in overlay.items() if not n.endswith("receipt.json")
    }


def test_a_registry_that_lost_everything_is_filled_again(
    application: Journey, registry: DockerRegistry
) -> None:
    succeeded(application.create())
    succeeded(application.apply())
    state = registry.storage.snapshot()
    registry.stop()
    _empty(registry)
    registry.start()

    succeeded(application.apply())

    assert registry.storage.snapshot() == state


def _empty(registry: DockerRegistry) -> None:
    for path in sorted(registry.storage.root.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def test_the_same_inputs_key_and_time_give_the_same_bytes(application: Journey) -> None:
    journey = replace(application, variables=_EPOCH)
    succeeded(journey.create("--platform", "all", "--jobs", "1"))
    first = journey.bundle.read_bytes()
    journey.bundle.unlink()

    succeeded(journey.create("--platform", "all", "--jobs", "8"))

    assert journey.bundle.read_bytes() == first


def test_another_time_gives_other_bytes(application: Journey) -> None:
    succeeded(replace(application, variables=_EPOCH).create())
    first = application.bundle.read_bytes()

    later = {"SOURCE_DATE_EPOCH": "1750000001"}
    succeeded(replace(application, variables=later).create())

    assert application.bundle.read_bytes() != first


def test_a_blob_that_the_registry_lost_comes_back_when_asked_for(
    journey: Journey, registry: DockerRegistry
) -> None:
    layer = gzip_layer({"content": b"a layer to be lost"})
    journey.push("team/one:1", make_image([layer]))
    journey.deploy("team/one:1")
    succeeded(journey.create())
    succeeded(journey.apply())
    before = registry.storage.snapshot()
    shutil.rmtree(registry.storage.blob_path(layer.digest).parent)

    succeeded(journey.apply("--check-blobs"))

    assert registry.storage.snapshot() == before


def test_names_stay_after_a_detour_to_another_namespace(journey: Journey) -> None:
    journey.push("acme/cart:1", make_image([b"cart"]))
    journey.deploy("acme/cart:1")
    succeeded(journey.create())
    succeeded(journey.apply())
    first = journey.relocation()
    succeeded(replace(journey, namespace="elsewhere").apply())
    journey.push("quay.io/legacy/cart:1", make_image([b"another"]))
    journey.deploy("acme/cart:1", "quay.io/legacy/cart:1")
    succeeded(journey.create())

    succeeded(journey.apply())

    assert journey.relocation()["docker.io/acme/cart:1"] == first["docker.io/acme/cart:1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder immutable")
def test_a_failure_after_the_tags_does_not_say_that_nothing_was_changed(
    journey: Journey, registry: DockerRegistry
) -> None:
    journey.push("team/one:1", make_image([b"one"]))
    journey.deploy("team/one:1")
    succeeded(journey.create())
    succeeded(journey.apply())
    journey.push("team/two:1", make_image([b"two"]))
    journey.deploy("team/two:1")
    succeeded(journey.create())
    locked = journey.overlay / "overlays"
    if subprocess.run(["chattr", "+i", locked], capture_output=True, check=False).returncode:
        pytest.skip("this file system knows no immutable folders")
    try:
        failed = refused(journey.apply(), 30, "OverlayNotWritable")
    finally:
        subprocess.run(["chattr", "-i", locked], check=True)

    assert "nothing was changed" not in failed.err
    assert "the overlay was not changed" in failed.err
    assert ("apps/shop/two", "1") in registry.storage.all_tags()
