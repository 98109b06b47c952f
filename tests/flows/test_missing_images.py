"""Images that cannot be had: all are named, nothing is written."""

from __future__ import annotations

import json
from dataclasses import replace

from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import FlipByte, Rule
from support.images import make_image, platform_index
from support.journey import Journey, refused, succeeded


def test_all_failures_are_reported_together(journey: Journey) -> None:
    for number in range(4):
        journey.push(f"team/good{number}:1", make_image([b"good %d" % number]))
    journey.push("team/windows:1", platform_index("w", "windows/amd64", "linux/arm64"))
    good = [f"team/good{number}:1" for number in range(4)]
    journey.deploy(*good, "team/absent:1", "team/windows:1", "quay.io/team/absent:2")

    done = refused(journey.create(), 40, "UpstreamNotFound")

    assert "3 of 7" in done.err
    for name in ("docker.io/team/absent:1", "docker.io/team/windows:1", "quay.io/team/absent:2"):
        assert name in done.err
    assert "good" not in done.err
    assert "linux/arm64" in done.err, "what there is"
    assert not journey.bundle.exists()
    assert not journey.partial.exists()


def test_the_failure_is_json_for_machines(journey: Journey) -> None:
    journey.deploy("team/absent:1", "team/absent:2")

    done = refused(journey.create("--format", "json"), 40, "UpstreamNotFound")

    error = json.loads(done.out)["error"]
    assert (error["name"], error["exitCode"]) == ("UpstreamNotFound", 40)
    assert error["changed"] == "no bundle was written"
    assert len(error["details"]) == 2
    assert "Traceback" not in done.out


def test_different_failures_are_named_each(
    journey: Journey, source_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    digest = journey.push("team/app:1", make_image([b"app"]))
    proxy = make_proxy(source_registry.host, Rule(FlipByte(20), "GET", digest, times=None))
    journey.deploy("team/absent:1", f"team/app@{digest}")

    done = replace(journey, source=proxy.host).create()

    refused(done, 40, "ImagesUnresolved")
    assert "docker.io/team/absent:1: UpstreamNotFound: " in done.err
    assert f"docker.io/team/app@{digest}: UpstreamDigestMismatch: " in done.err


def test_an_existing_bundle_survives_a_failure(journey: Journey) -> None:
    journey.push("team/app:1", make_image([b"app"]))
    journey.deploy("team/app:1")
    succeeded(journey.create())
    before = journey.bundle.read_bytes()
    journey.deploy("team/app:1", "team/absent:1")

    refused(journey.create(), 40, "UpstreamNotFound")

    assert journey.bundle.read_bytes() == before
