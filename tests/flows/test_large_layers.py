"""A layer far larger than the memory it may take."""

from __future__ import annotations

import os
from dataclasses import replace

from support.docker_registry import DockerRegistry
from support.images import generated_layer, make_image
from support.journey import Journey, succeeded, tree_of

_GIB = 1 << 30
#: AIRGAP_LARGE=1: the 2 GiB that are promised; otherwise enough to notice growth.
_SIZE = 2 * _GIB if os.environ.get("AIRGAP_LARGE") else _GIB // 2
_MEMORY = 100_000_000


def test_memory_and_disk_do_not_grow_with_a_layer(
    journey: Journey, registry: DockerRegistry
) -> None:
    home, temporary = journey.folder.parent / "home", journey.folder.parent / "temporary"
    home.mkdir()
    temporary.mkdir()
    journey = replace(journey, variables={"HOME": str(home), "TMPDIR": str(temporary)})
    image = make_image([generated_layer(_SIZE), b"a small one"])
    journey.push("team/large:1", image)
    journey.deploy("team/large:1")

    created = succeeded(journey.create(measure=True))
    applied = succeeded(journey.apply(measure=True))

    assert created.peak is not None
    assert created.peak < _MEMORY
    assert applied.peak is not None
    assert applied.peak < _MEMORY
    assert journey.bundle.stat().st_size < _SIZE * 1.001 + 100_000
    assert set(image.all_blobs()) <= set(registry.storage.blobs())
    remembered = tree_of(home)
    assert all(f"{path}/".startswith(".local/") for path in remembered)
    assert sum(len(content) for content in remembered.values() if content) < 100_000
    assert tree_of(temporary) == {}
    assert {path.name for path in journey.folder.iterdir()} == {
        *("app", "deploy", "shop.tar.zst", "vendor.key", "vendor.pub"),
    }
