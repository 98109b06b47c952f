"""The runtime that clusters use pulls what the overlay names, and runs it."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containerd import Containerd, why_no_containerd
from support.images import runnable_image
from support.journey import Journey, images_in, succeeded

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
_REASON = why_no_containerd() or ("" if _ARCHITECTURE else "no program for this machine")


@pytest.fixture
def containerd() -> Iterator[Containerd]:
    # The address is a Unix socket: at most 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="airgap-") as folder,
        Containerd(Path(folder)) as started,
    ):
        yield started


@pytest.mark.skipif(bool(_REASON), reason=_REASON)
def test_containerd_pulls_a_rewritten_reference_and_runs_it(
    journey: Journey, containerd: Containerd
) -> None:
    image = runnable_image("carried across\n", _ARCHITECTURE or "")
    journey.push("team/hello:1", image)
    journey.deploy("team/hello:1")
    succeeded(journey.create("--platform", f"linux/{_ARCHITECTURE}"))
    succeeded(journey.apply())
    (reference,) = images_in(journey.rendered())
    assert reference.endswith(f"@{image.digest}")

    pulled = containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", reference)
    assert pulled.returncode == 0, pulled.stderr
    assert image.digest in containerd.ctr("images", "ls").stdout

    ran = containerd.ctr("run", "--rm", "--snapshotter", "native", reference, "hello")
    if ran.returncode != 0 and any(word in ran.stderr for word in ("permitted", "cgroup", "mount")):
        pytest.skip(f"it was pulled, but nothing can be run here: {ran.stderr.strip()[:300]}")
    assert (ran.returncode, ran.stdout) == (0, "carried across\n"), ran.stderr
