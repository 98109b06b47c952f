"""A bundle that comes through a pipe and is never a file."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import ResetRequest, Rule
from support.images import gzip_layer, make_image, platform_index, tar_layer
from support.journey import Journey, refused, succeeded


@pytest.fixture
def made(journey: Journey) -> Journey:
    shared = gzip_layer({"shared": b"in two images"})
    journey.push("team/one:1", make_image([shared, b"one"]))
    journey.push("team/two:1", make_image([shared, tar_layer({"two": b"2" * 300_000})]))
    journey.push("team/many:1", platform_index("many", "linux/amd64", "linux/arm64"))
    journey.deploy("team/one:1", "team/two:1", "team/many:1")
    succeeded(journey.create("--platform", "all"))
    return journey


def test_apply_from_a_pipe_does_the_same(made: Journey, registry: DockerRegistry) -> None:
    data = made.bundle.read_bytes()
    made.bundle.unlink()
    succeeded(made.apply(bundle="-", stdin=data))
    state = registry.storage.snapshot()
    assert len({one for one in state.manifests if one[0] != "apps/shop/airgap-receipts"}) == 5
    assert registry.storage.untagged() == set()

    # Twice: what is there already is read past.
    succeeded(made.apply(bundle="-", stdin=data))
    assert registry.storage.snapshot() == state
    assert {path.name for path in made.folder.iterdir()} == {
        *("app", "deploy", "vendor.key", "vendor.pub", ".local"),
    }


def test_verify_and_inspect_from_a_pipe(made: Journey) -> None:
    data = made.bundle.read_bytes()
    succeeded(made.verify(bundle="-", stdin=data))
    refused(made.verify(bundle="-", stdin=data[:-1]), 10, "BundleTruncated")
    shown = succeeded(
        made.shell.run("airgap-import", "inspect", "-", "--format", "json", stdin=data)
    )
    document = json.loads(shown.out)
    assert document["verified"] is False
    assert len(document["images"]) == 3


def test_a_named_pipe_is_a_pipe(made: Journey) -> None:
    data = made.bundle.read_bytes()
    pipe = made.folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    try:
        succeeded(made.verify(bundle="pipe"))
    finally:
        writer.join()


def test_an_upload_that_breaks_off_is_not_blamed_on_the_bundle(
    made: Journey, registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    data = made.bundle.read_bytes()
    broken = Rule(ResetRequest(0), "PUT", "blobs/uploads", times=1)
    through = replace(made, target=make_proxy(registry.host, broken).host)

    refused(through.apply(bundle="-", stdin=data), 20, "RegistryUnavailable")

    assert registry.storage.all_tags() == {}
    succeeded(through.apply(bundle="-", stdin=data))
