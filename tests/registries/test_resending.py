"""What is sent again by an import after one that was killed half way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import ResetRequest, Rule
from support.images import chunks_of, generated_layer, make_image
from support.journey import Journey, succeeded
from support.waiting import wait_until

_JOBS = 4
_SIZE = 512 * 1024
_LAYERS = [generated_layer(_SIZE + seed, seed=seed) for seed in range(12)]
_IMAGE = make_image(_LAYERS)
_UPLOADS = "/blobs/uploads/.*digest="


@pytest.fixture
def journey(
    tmp_path: Path, source_registry: DockerRegistry, registry: DockerRegistry, make_proxy: MakeProxy
) -> tuple[Journey, FaultProxy]:
    """A bundle of 6 MiB, and the proxy through which it is imported."""
    made = Journey.begin(tmp_path / "work", source_registry.host, registry.host)
    made.push("team/app:1", _IMAGE)
    made.deploy("team/app:1")
    succeeded(made.create())
    proxy = make_proxy(registry.host)
    return replace(made, target=proxy.host), proxy


def _killed_half_way(journey: Journey, proxy: FaultProxy) -> None:
    """Import until half of the blobs are there and a piece of the next was sent; then kill."""
    process = journey.shell.start(*journey.apply_command("--jobs", str(_JOBS)))
    cut = ResetRequest(_SIZE // 2, process.kill)
    try:
        half = len(_LAYERS) // 2 + 1
        proxy.add(Rule(cut, "PUT", _UPLOADS, first=half))
        process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -9
    wait_until(lambda: proxy.idle, "the end of what was under way")


def _sent(proxy: FaultProxy) -> dict[str, int]:
    """The bytes of each blob that came in, whole or not, by its digest; receipts are left out."""
    found: dict[str, int] = {}
    for one in proxy.requests("PUT", _UPLOADS):
        digest = one.path.partition("digest=")[2].replace("%3A", ":")
        if digest in _IMAGE.all_blobs():
            found[digest] = found.get(digest, 0) + one.body_length
    return found


def test_a_rerun_after_half_of_the_bytes_sends_what_was_in_flight_and_what_is_missing(
    journey: tuple[Journey, FaultProxy], registry: DockerRegistry
) -> None:
    application, proxy = journey
    sizes = {digest: sum(map(len, chunks_of(b))) for digest, b in _IMAGE.all_blobs().items()}

    _killed_half_way(application, proxy)
    stored = {digest for _, digest in registry.storage.layer_links()}
    before = _sent(proxy)
    proxy.clear()
    succeeded(application.apply("--jobs", str(_JOBS)))
    again = _sent(proxy)

    assert len(stored) >= len(_LAYERS) // 2 - _JOBS
    assert again.keys() == sizes.keys() - stored
    assert again == {digest: sizes[digest] for digest in again}
    assert len(before.keys() & again.keys()) <= _JOBS
    whole, twice = sum(sizes.values()), sum(before.values()) + sum(again.values())
    assert twice <= whole + _JOBS * (_SIZE + len(_LAYERS))
    assert {digest for _, digest in registry.storage.layer_links()} >= sizes.keys()
