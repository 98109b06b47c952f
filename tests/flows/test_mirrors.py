"""Nodes that are told of the mirror pull what was imported, by its old name."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.containerd import Containerd, why_no_containerd
from support.images import BuiltImage, make_image
from support.journey import Journey, refused, succeeded, tree_of
from support.mirroring import pulled_by_k3s

_HUB = "team/web:1"
_QUAY = "quay.io/tool:2"
_PORT = "src.example:5000/team/own:3"
_NO_CONTAINERD = why_no_containerd()


def _bundled(journey: Journey, *names: str) -> dict[str, BuiltImage]:
    """Images of an application that is bundled."""
    found = {name: make_image([name.encode()]) for name in names}
    for name, image in found.items():
        journey.push(name, image)
    journey.deploy(*found)
    succeeded(journey.create())
    return found


@pytest.fixture
def images(journey: Journey) -> dict[str, BuiltImage]:
    """Two images that are bundled."""
    return _bundled(journey, _HUB, _QUAY)


@pytest.fixture
def containerd() -> Iterator[Containerd]:
    with (
        tempfile.TemporaryDirectory(prefix="airgap-") as folder,
        Containerd(Path(folder)) as started,
    ):
        yield started


def _mirrors(journey: Journey) -> Path:
    return journey.overlay / ".airgap" / "mirrors"


@pytest.mark.skipif(bool(_NO_CONTAINERD), reason=_NO_CONTAINERD)
def test_containerd_pulls_by_the_old_name(journey: Journey, containerd: Containerd) -> None:
    images = _bundled(journey, _HUB, _QUAY, _PORT)
    succeeded(journey.apply("--mirror-config", "containerd", "--naming", "path"))
    folder = _mirrors(journey) / "containerd"
    assert sorted(path.name for path in folder.iterdir()) == [
        "docker.io",
        "quay.io",
        "src.example_5000_",
    ]
    for name, image in images.items():
        full = f"docker.io/{name}" if name == _HUB else name
        for version in (full, f"{full.rpartition(':')[0]}@{image.digest}"):
            pulled = containerd.ctr(
                *("images", "pull", "--hosts-dir", str(folder), "--snapshotter", "native", version)
            )
            assert pulled.returncode == 0, pulled.stderr
        assert image.digest in containerd.ctr("images", "ls").stdout


def test_paths_that_were_changed_are_nothing_for_containerd(
    journey: Journey, images: dict[str, BuiltImage]
) -> None:
    done = succeeded(journey.apply("--mirror-config", "containerd"))
    assert "containerd: docker.io: " in done.out and "--naming path" in done.out
    folder = _mirrors(journey) / "containerd"
    assert sorted(path.name for path in folder.iterdir()) == ["quay.io"]


def test_the_name_that_clusters_pull_by_is_told(
    journey: Journey, images: dict[str, BuiltImage]
) -> None:
    options = ("--pull-endpoint", "pull.bank.example/hub", "--mirror-config", "all")
    done = succeeded(journey.apply(*options, "--pull-secret", "regcred"))
    written = [content for content in tree_of(_mirrors(journey)).values() if content is not None]
    assert all(b"pull.bank.example" in content for content in written)
    # The other endpoint was called to be without TLS, not this one.
    assert not any(journey.target.encode() in content for content in written)
    assert not any(b"http://" in content or b"insecure" in content for content in written)
    assert "--docker-server=pull.bank.example --docker" in done.out


@pytest.mark.parametrize(
    ("scheme", "path", "plain"),
    [("", "", True), ("", "/hub", True), ("http://", "", True), ("https://", "", False)],
)
def test_a_cluster_that_pulls_where_is_pushed_does_so_without_tls_too(
    journey: Journey, images: dict[str, BuiltImage], scheme: str, path: str, plain: bool
) -> None:
    kinds = ("--naming", "path", "--mirror-config", "containerd", "--mirror-config", "crio")
    succeeded(journey.apply("--pull-endpoint", f"{scheme}{journey.target}{path}", *kinds))
    hosts = (_mirrors(journey) / "containerd/docker.io/hosts.toml").read_text()
    assert (f"http://{journey.target}" in hosts, f"https://{journey.target}" in hosts) == (
        plain,
        not plain,
    )
    conf = (_mirrors(journey) / "crio/registries.conf").read_text()
    assert ("insecure = true" in conf) is plain


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not on PATH")
def test_skopeo_reads_registries_conf(journey: Journey, images: dict[str, BuiltImage]) -> None:
    succeeded(journey.apply("--mirror-config", "crio"))
    conf = _mirrors(journey) / "crio" / "registries.conf"
    for name, image in images.items():
        hub = "docker.io/" if name == _HUB else ""
        repository = name.rpartition(":")[0]
        for version in (name, f"{repository}@{image.digest}"):
            done = subprocess.run(
                [
                    *("skopeo", "--registries-conf", conf),
                    *("inspect", "--raw", f"docker://{hub}{version}"),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout == image.raw


def test_k3s_looks_in_the_target_first(journey: Journey, images: dict[str, BuiltImage]) -> None:
    succeeded(journey.apply("--mirror-config", "k3s"))
    text = (_mirrors(journey) / "k3s" / "registries.yaml").read_bytes()
    for name in images:
        last = name.rpartition("/")[2].partition(":")[0]
        first = pulled_by_k3s(text, name)[0]
        assert first.startswith(f"http://{journey.target}/v2/apps/shop/{last}:")


def test_all_kinds_at_once_and_none_that_was_not_asked_for_again(
    journey: Journey, images: dict[str, BuiltImage]
) -> None:
    done = succeeded(journey.apply("--mirror-config", "all", "--format", "json"))
    kinds = ["containerd", "crio", "csv", "k3s", "openshift"]
    assert sorted(path.name for path in _mirrors(journey).iterdir()) == kinds
    written = [name for name, content in tree_of(_mirrors(journey)).items() if content is not None]
    assert sorted(json.loads(done.out)["mirrors"]["files"]) == sorted(written)

    succeeded(journey.apply("--mirror-config", "crio", "--mirror-config", "csv"))
    assert sorted(path.name for path in _mirrors(journey).iterdir()) == ["crio", "csv"]

    succeeded(journey.apply())
    assert not _mirrors(journey).exists()
    assert not list(_mirrors(journey).parent.glob("*.partial*"))


def test_they_are_made_later_just_the_same(journey: Journey, images: dict[str, BuiltImage]) -> None:
    succeeded(journey.apply("--mirror-config", "all"))
    written = tree_of(_mirrors(journey))
    shown = succeeded(
        journey.shell.run("airgap-import", "mirrors", "deploy", "--kind", "all", "--format", "json")
    )
    texts = json.loads(shown.out)["files"]
    assert {name: text.encode() for name, text in texts.items()} == {
        name: content for name, content in written.items() if content is not None
    }

    one = succeeded(journey.shell.run("airgap-import", "mirrors", "deploy", "--kind", "k3s"))
    assert yaml.safe_load(one.out)["mirrors"].keys() == {"docker.io", "quay.io"}
    assert one.out.encode() == written["k3s/registries.yaml"]

    succeeded(journey.apply())
    command = ("airgap-import", "mirrors", "deploy", "--kind", "all", "--write")
    succeeded(journey.shell.run(*command))
    assert tree_of(_mirrors(journey)) == written


def test_what_cannot_be_made(journey: Journey) -> None:
    shell = journey.shell
    refused(shell.run("airgap-import", "mirrors", "app", "--kind", "k3s"), 30, "OverlayNotOurs")
    refused(shell.run("airgap-import", "mirrors", "nowhere", "--kind", "k3s"), 30, "OverlayNotOurs")
    refused(shell.run("airgap-import", "mirrors", "app"), 2, "UsageError")
    state = journey.folder / "half" / ".airgap"
    state.mkdir(parents=True)
    (state / "marker.json").write_text('{"format": 1, "tool": "airgap-import", "app": "shop"}')
    done = shell.run("airgap-import", "mirrors", "half", "--kind", "k3s")
    refused(done, 30, "OverlayNotOurs")
    assert "run airgap-import apply first" in done.err
    (state / "relocation.json").write_text("{")
    (state / "coverage.json").write_text("{}")
    refused(shell.run("airgap-import", "mirrors", "half", "--kind", "k3s"), 32, "StateCorrupt")
