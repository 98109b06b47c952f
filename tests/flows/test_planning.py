"""The probe before the first byte, and what it costs to find that nothing is to be done."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rule
from support.figures import Figure
from support.images import ImageStyle, gzip_layer, make_image
from support.journey import Journey, refused, succeeded

_MANY = 12


@pytest.fixture
def bundled(journey: Journey) -> Journey:
    shared = gzip_layer({"shared": b"in two images"})
    journey.push("team/one:1", make_image([shared, b"one"]))
    journey.push("team/two:1", make_image([shared, b"two"]))
    journey.deploy("team/one:1", "team/two:1")
    succeeded(journey.create())
    return journey


def test_nothing_to_do_takes_four_requests_an_image_and_none_for_a_blob(
    journey: Journey, registry: DockerRegistry, make_proxy: MakeProxy, figure: Figure
) -> None:
    names = [f"team/app{number}:1" for number in range(_MANY)]
    for name in names:
        journey.push(name, make_image([name.encode()]))
    journey.deploy(*names)
    succeeded(journey.create())
    succeeded(journey.apply())
    proxy = make_proxy(registry.host)
    through = replace(journey, target=proxy.host)
    # Its first import by this name leaves a receipt of its own.
    succeeded(through.apply())
    proxy.clear()

    succeeded(through.apply())

    assert proxy.requests(path="/blobs/") == []
    assert proxy.mutations() == []
    # Its bytes, its keep-tag, and its tag twice: at first, and right before tags are set.
    images = [one for one in proxy.requests() if "/shop/app" in one.path]
    assert Counter(one.method for one in images) == {"HEAD": 3 * _MANY, "GET": _MANY}
    figure("requests for each image that is there already", len(images) // _MANY)
    assert len(proxy.requests()) - len(images) <= 6


class TestDryRun:
    """What would be done, and whether it could."""

    def _plan(self, journey: Journey, *options: str) -> dict[str, object]:
        done = succeeded(journey.apply("--dry-run", "--format", "json", *options))
        document = json.loads(done.out)
        assert isinstance(document, dict)
        return document

    def test_tells_what_is_there_and_what_is_sent(
        self, bundled: Journey, registry: DockerRegistry
    ) -> None:
        before = self._plan(bundled)
        assert registry.storage.blobs() == {}
        assert registry.storage.open_uploads() == 0
        assert (before["ready"], before["bytesPresent"], before["tagsPresent"]) == (True, 0, 0)
        assert before["registry"] == {
            "host": bundled.target,
            "path": "apps/shop",
            "type": "distribution",
            "naming": "last",
            "mounts": True,
            "referrersApi": None,
            "receipts": "apps/shop/airgap-receipts",
        }
        assert before["bytes"] and before["bytesMounted"]

        done = json.loads(succeeded(bundled.apply("--format", "json")).out)
        assert done["push"]["bytes_sent"] == before["bytes"]
        assert done["push"]["blobs_sent"] == before["blobs"]

        after = self._plan(bundled)
        assert (after["bytes"], after["blobs"], after["manifests"]) == (0, 0, 0)
        assert after["bytesPresent"] == before["bytes"] + before["bytesMounted"]  # type: ignore[operator]
        assert after["registry"]["referrersApi"] is False  # type: ignore[index]
        assert after["tagsPresent"] == 2

    def test_fails_as_the_import_would_and_shows_the_plan_all_the_same(
        self, bundled: Journey, make_proxy: MakeProxy
    ) -> None:
        proxy: FaultProxy = make_proxy(bundled.target)
        body = b'{"errors":[{"code":"DENIED","message":"no such project"}]}'
        proxy.add(Rule(Answer(403, {}, body), "POST", times=None))
        journey = replace(bundled, target=proxy.host)
        options = ("--registry-type", "nexus")
        request = f"-X POST https://{proxy.host}/service/rest/v1/repositories/docker/hosted"

        done = refused(journey.apply("--dry-run", *options), 21, "Denied")
        assert "would push 2 manifests" in done.out
        assert "apps/shop/one: lacks 1 of 1 manifests" in done.out
        assert "nothing was changed" in done.err
        assert done.err.count(request) == 1

        done = journey.apply("--dry-run", "--format", "json", *options)
        document = json.loads(done.out)
        assert (done.code, document["error"]["name"]) == (21, "Denied")
        assert document["ready"] is False
        details = "\n".join(document["error"]["details"])
        assert details.count("no such project") == 2
        assert details.count(request) == 1

        done = refused(journey.apply(*options), 21, "Denied")
        assert done.err.count(request) == 1
        assert proxy.requests("PUT|PATCH") == []

    def test_tells_of_a_registry_that_nobody_may_write_to(
        self, bundled: Journey, make_registry: MakeRegistry
    ) -> None:
        closed = make_registry(RegistryOptions(read_only=True))
        journey = replace(bundled, target=closed.host)
        done = refused(journey.apply("--dry-run"), 22, "RegistryRejected")
        assert "read-only" in done.err


def test_what_the_registry_is_known_to_refuse_is_told_before_anything(
    journey: Journey, registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    image = make_image([b"docker"], style=ImageStyle(docker=True))
    journey.push("team/old:1", image)
    journey.deploy("team/old:1")
    succeeded(journey.create())
    proxy = make_proxy(registry.host)
    through = replace(journey, target=proxy.host)

    done = refused(through.apply("--registry-type", "zot"), 22, "ManifestNotTaken")

    assert image.digest in done.err
    assert "docker2s2" in done.err
    assert proxy.mutations() == []
    succeeded(through.apply("--registry-type", "distribution"))
