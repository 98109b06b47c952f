"""A bundle that comes through a pipe and is never a file."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import FlipByte, PassOn, ResetRequest, Rule
from support.images import gzip_layer, make_image, platform_index, tar_layer
from support.journey import Journey, refused, succeeded
from support.pushing import push_image

_SHARED = gzip_layer({"shared": b"in two images"})


@pytest.fixture
def made(journey: Journey) -> Journey:
    journey.push("team/one:1", make_image([_SHARED, b"one"]))
    journey.push("team/two:1", make_image([_SHARED, tar_layer({"two": b"2" * 300_000})]))
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


class TestDeclinedMounts:
    """The registry does not take a layer over, and the pipe cannot be read again."""

    _ONE = make_image([_SHARED, b"one"])
    _DECLINED = tuple(
        Rule(
            PassOn(f"/v2/apps/shop/{name}/blobs/uploads/"),
            "POST",
            f"shop/{name}/blobs/uploads/.mount",
            times=None,
        )
        for name in ("one", "two")
    )

    @pytest.mark.parametrize("held", [False, True])
    def test_the_layer_is_sent_or_read_back(
        self, made: Journey, registry: DockerRegistry, make_proxy: MakeProxy, held: bool
    ) -> None:
        if held:
            push_image(registry.host, "apps/shop/one", "1", self._ONE)
        proxy = make_proxy(registry.host, *self._DECLINED)
        through = replace(made, target=proxy.host)

        data = made.bundle.read_bytes()
        done = succeeded(through.apply("--format", "json", bundle="-", stdin=data))

        assert json.loads(done.out)["push"]["blobs_mounted"] == 0
        layer = _SHARED.digest
        read = [one.path for one in proxy.requests("GET", "/blobs/sha256")]
        # What is held is not read: the content is still to come when the mount is declined.
        assert read == ([] if held else [f"/v2/apps/shop/one/blobs/{layer}"])
        for name in ("one", "two"):
            assert (f"apps/shop/{name}", layer) in registry.storage.layer_links()
        assert registry.storage.open_uploads() == 0

    def test_a_holder_that_lost_the_layer_is_no_hindrance(
        self, made: Journey, registry: DockerRegistry, make_proxy: MakeProxy
    ) -> None:
        push_image(registry.host, "apps/shop/one", "1", self._ONE)
        registry.storage.blob_path(_SHARED.digest).unlink()
        succeeded(made.apply(bundle="-", stdin=made.bundle.read_bytes()))
        assert registry.storage.blob_path(_SHARED.digest).exists()

    def test_what_the_registry_returns_is_proven_again(
        self, made: Journey, registry: DockerRegistry, make_proxy: MakeProxy
    ) -> None:
        flip = Rule(FlipByte(3), "GET", "shop/one/blobs/sha256", times=None)
        proxy = make_proxy(registry.host, flip, *self._DECLINED)
        through = replace(made, target=proxy.host)
        done = refused(
            through.apply(bundle="-", stdin=made.bundle.read_bytes()), 24, "RegistryIntegrity"
        )
        assert "apps/shop/one@sha256:" in done.err
        assert registry.storage.all_tags() == {}
        assert not any(name == "apps/shop/two" for name, _ in registry.storage.manifest_links())
