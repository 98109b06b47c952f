"""Ctrl-C and friends: an end within seconds, a code that says so, and nothing half done."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Hang, Rule
from support.images import generated_layer, make_image
from support.journey import Journey, succeeded
from support.waiting import wait_until

_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
_SECONDS = 5
_LAYERS = [generated_layer(3 << 20, seed=seed) for seed in (1, 2, 3)]


@pytest.fixture
def application(journey: Journey) -> Journey:
    journey.push("team/app:1", make_image(_LAYERS))
    journey.deploy("team/app:1")
    return journey


def _interrupted(
    journey: Journey, proxy: FaultProxy, command: Sequence[str | Path], number: signal.Signals
) -> None:
    """Start a command, wait until its requests hang, send the signal and see it end."""
    process = journey.shell.start(*command)
    try:
        wait_until(lambda: any(one.rule for one in proxy.requests()), "a request that hangs")
        process.send_signal(number)
        out, err = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it did not end within {_SECONDS} s")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == _SIGNALS[number], err
    assert b"error: Interrupted: " in err
    assert b"Traceback" not in out + err


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (signal.SIGINT, Rule(Hang(), "GET", "/blobs/sha256", first=3, times=None)),
        (signal.SIGTERM, Rule(Hang(), "GET", "/blobs/sha256", first=3, times=None)),
        (signal.SIGTERM, Rule(Hang(), "GET", "/manifests/", times=None)),
        (signal.SIGINT, Rule(Answer(429, {"Retry-After": "60"}), "GET", "/manifests/", times=None)),
    ],
    ids=["blobs, by Ctrl-C", "blobs", "manifests", "told to wait, by Ctrl-C"],
)
def test_create(
    application: Journey,
    source_registry: DockerRegistry,
    make_proxy: MakeProxy,
    rule: Rule,
    number: signal.Signals,
) -> None:
    proxy = make_proxy(source_registry.host, rule)
    journey = replace(application, source=proxy.host)
    _interrupted(journey, proxy, journey.create_command(), number)
    assert not journey.bundle.exists()

    proxy.clear()
    succeeded(journey.create())


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (signal.SIGINT, Rule(Hang(), "PUT", "/blobs/uploads/", times=None)),
        (signal.SIGTERM, Rule(Hang(), "PUT", "/blobs/uploads/", times=None)),
        (signal.SIGTERM, Rule(Hang(), "PUT", "/manifests/sha256", times=None)),
        (
            signal.SIGINT,
            Rule(Answer(503, {"Retry-After": "60"}), "POST", "/blobs/uploads/", times=None),
        ),
    ],
    ids=["blobs, by Ctrl-C", "blobs", "manifests", "told to wait, by Ctrl-C"],
)
def test_apply(
    application: Journey,
    registry: DockerRegistry,
    make_proxy: MakeProxy,
    rule: Rule,
    number: signal.Signals,
) -> None:
    succeeded(application.create())
    proxy = make_proxy(registry.host, rule)
    journey = replace(application, target=proxy.host)
    _interrupted(journey, proxy, journey.apply_command(), number)
    assert registry.storage.all_tags() == {}
    assert registry.storage.manifest_links() == set()
    assert not journey.midstream.exists()

    proxy.clear()
    succeeded(journey.apply())
    assert registry.storage.untagged() == set()
