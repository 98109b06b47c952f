"""Group E, storage: registries that lie about what they hold, lose it, fill up, or are killed."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from adversarial.conftest import Haste
from support.budget import budget
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, FlipByte, Rewrite, Rule
from support.figures import Figure
from support.gate import BUNDLE, IMAGES, LARGE, NAMESPACE, RELEASE_TAGS, Gate
from support.images import digest_of
from support.journey import refused, succeeded
from support.meddling import MeddlingProxy
from support.pushing import push_blob
from support.registry_storage import Snapshot
from support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("haste")

_BY_DIGEST = "/manifests/sha256"
_LARGE = f"/blobs/{LARGE.digest}"
_FIVE = IMAGES["five"]
_FIVE_BLOBS = tuple(_FIVE.blobs)


@pytest.fixture
def meddled(gate: Gate, servers: ExitStack) -> tuple[Gate, MeddlingProxy]:
    proxy = servers.enter_context(MeddlingProxy(gate.registry.host))
    return replace(gate, proxy=proxy), proxy


class TestE14:
    """A blob is taken, and is not there."""

    @pytest.mark.parametrize("piped", [False, True])
    def test_at_all(self, gate: Gate, piped: bool) -> None:
        gate.proxy.add(Rule(Rewrite(status=404), "HEAD", _LARGE, times=None))
        done = gate.fails(24, "RegistryIntegrity", run=lambda: gate.apply(piped=piped), unseen=True)
        assert LARGE.digest in done.err
        gate.heals()

    def test_with_another_size(self, gate: Gate) -> None:
        gate.proxy.add(Rule(Rewrite(headers={"Content-Length": "5"}), "HEAD", _LARGE, times=None))
        done = gate.fails(24, "RegistryBlobCorrupt", unseen=True)
        assert LARGE.digest in done.err
        gate.heals()

    def test_for_a_moment_only(self, gate: Gate) -> None:
        """Registries that copy behind the answer say so too soon; what is sent again is there."""
        gate.proxy.add(Rule(Rewrite(status=404), "HEAD", _LARGE, first=2))
        succeeded(gate.apply())
        gate.assert_complete()


class TestEmptyBlobs:
    """HEAD 200 and a length of 0: what a power cut leaves, and no push mends (docker-registry)."""

    def test_where_it_must_be_used(self, gate: Gate) -> None:
        content = LARGE.content
        push_blob(gate.registry.host, f"{NAMESPACE}/one", LARGE.digest, content)
        self._empty(gate)
        done = gate.fails(24, "RegistryBlobCorrupt", wrong=[LARGE.digest])
        assert gate.proxy.mutations() == []
        self._assert_named(done.err)
        shutil.rmtree(gate.registry.storage.blob_path(LARGE.digest).parent)
        gate.heals()

    def test_that_shows_after_the_push(self, gate: Gate) -> None:
        push_blob(gate.registry.host, "elsewhere", LARGE.digest, LARGE.content)
        self._empty(gate)
        done = gate.fails(24, "RegistryBlobCorrupt", unseen=True, wrong=[LARGE.digest])
        assert gate.proxy.requests("PUT", LARGE.digest.partition(":")[2])
        self._assert_named(done.err)

    @pytest.mark.parametrize("option", ["--check-blobs", "--read-back"])
    def test_below_an_image_that_is_there(self, gate: Gate, option: str) -> None:
        succeeded(gate.apply())
        self._empty(gate)
        done = gate.fails(
            24, "RegistryBlobCorrupt", run=lambda: gate.apply(option), wrong=[LARGE.digest]
        )
        self._assert_named(done.err)

    def _empty(self, gate: Gate) -> None:
        gate.registry.storage.blob_path(LARGE.digest).write_bytes(b"")

    def _assert_named(self, text: str) -> None:
        assert f"{NAMESPACE}/one@{LARGE.digest}" in text
        assert "0 bytes" in text


class TestE16:
    """A manifest is taken, and another one comes back."""

    @pytest.mark.parametrize(
        "rule",
        [
            Rule(FlipByte(40), "GET", _BY_DIGEST, times=None),
            Rule(
                Rewrite(headers={"Docker-Content-Digest": digest_of(b"other")}),
                "GET",
                _BY_DIGEST,
                times=None,
            ),
            Rule(
                Rewrite(headers={"Docker-Content-Digest": digest_of(b"other")}),
                "PUT",
                _BY_DIGEST,
                times=None,
            ),
            Rule(Rewrite(status=404), "GET", _BY_DIGEST, times=None),
            Rule(Answer(200, {}, b"a" * (5 << 20)), "GET", _BY_DIGEST, times=None),
        ],
        ids=["other bytes", "another digest", "another digest at once", "nothing", "too much"],
    )
    def test_is_noticed_before_a_release_tag_is_set(self, gate: Gate, rule: Rule) -> None:
        gate.proxy.add(rule)
        gate.fails(24, "RegistryIntegrity", unseen=True)
        assert gate.registry.storage.all_tags().keys() & RELEASE_TAGS.keys() == set()
        gate.heals()

    def test_is_noticed_in_what_was_there_before(self, gate: Gate) -> None:
        succeeded(gate.apply())
        path = gate.registry.storage.blob_path(_FIVE.digest)
        path.write_bytes(path.read_bytes().replace(b"sha256", b"sha255", 1))
        gate.proxy.clear()
        done = gate.fails(24, "RegistryIntegrity", wrong=[_FIVE.digest])
        assert _FIVE.digest in done.err
        assert gate.proxy.mutations() == []


@pytest.mark.parametrize("path", ["/airgap-receipts/manifests/", "/manifests/1$"])
def test_e16_something_too_large_where_a_name_stands(gate: Gate, path: str) -> None:
    """No bundle puts a manifest over 4 MiB anywhere: its sender has nothing to mend."""
    succeeded(gate.apply())
    gate.proxy.clear()
    gate.proxy.add(Rule(Rewrite(headers={"Docker-Content-Digest": None}), "HEAD", path, times=None))
    gate.proxy.add(Rule(Answer(200, {}, b"a" * (5 << 20)), "GET", path, times=None))
    done = gate.fails(24, "RegistryIntegrity")
    assert "over 4194304 bytes" in done.err
    assert gate.proxy.mutations() == []


def test_e16_a_keep_tag_that_is_taken_and_not_there(gate: Gate) -> None:
    """Without it a registry may collect what the overlay runs."""
    gate.proxy.add(Rule(Answer(201), "PUT", "/manifests/airgap-", times=None))
    gate.fails(24, "RegistryIntegrity", unseen=True)
    gate.heals()


class TestReadingBack:
    """Bit rot: altered bytes under their old digest, which only reading shows."""

    def test_finds_what_changed_at_rest(self, gate: Gate) -> None:
        succeeded(gate.apply())
        wrong = [LARGE.digest, _FIVE_BLOBS[0]]
        for digest in wrong:
            path = gate.registry.storage.blob_path(digest)
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        gate.proxy.clear()
        done = gate.fails(
            24, "RegistryIntegrity", run=lambda: gate.apply("--read-back"), wrong=wrong
        )
        assert f"{NAMESPACE}/one@{LARGE.digest}" in done.err
        assert f"{NAMESPACE}/five@{_FIVE_BLOBS[0]}" in done.err
        assert "2 of " in done.err
        assert gate.proxy.mutations() == []

    def test_comes_before_the_tags(self, gate: Gate) -> None:
        gate.proxy.add(Rule(FlipByte(1_000_000), "GET", _LARGE, times=None))
        done = gate.fails(
            24, "RegistryIntegrity", run=lambda: gate.apply("--read-back"), unseen=True
        )
        assert LARGE.digest in done.err
        gate.heals("--read-back")

    def test_reads_everything_that_the_import_relies_on(self, gate: Gate) -> None:
        succeeded(gate.apply("--read-back"))
        for again in (False, True):
            if again:
                gate.proxy.clear()
                succeeded(gate.apply("--read-back"))
            for name, image in IMAGES.items():
                for digest in image.all_blobs():
                    path = f"/{NAMESPACE}/{name}/blobs/{digest}"
                    assert gate.proxy.requests("GET", path)
                for digest in image.all_manifests():
                    path = f"/{NAMESPACE}/{name}/manifests/{digest}"
                    assert len(gate.proxy.requests("GET", path)) >= 2
        gate.assert_complete()


class TestGarbageCollection:
    """Blobs of a long import are collected before a manifest refers to them."""

    @pytest.mark.parametrize("digest", _FIVE_BLOBS)
    def test_once_is_made_good(self, meddled: tuple[Gate, MeddlingProxy], digest: str) -> None:
        gate, proxy = meddled
        path = f"/{NAMESPACE}/five{_BY_DIGEST}"
        proxy.meddle(lambda: _collect(gate.registry, digest), "PUT", path)
        succeeded(gate.apply())
        assert [one.status for one in proxy.requests("PUT", path)] == [400, 201]
        gate.assert_complete()

    def test_before_the_blobs_are_looked_at(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        digest = _FIVE_BLOBS[1]
        path = f"/{NAMESPACE}/five/blobs/{digest}"
        proxy.meddle(lambda: _collect(gate.registry, digest), "HEAD", path, first=2)
        succeeded(gate.apply())
        gate.assert_complete()

    def test_again_and_again_is_told(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        path = f"/{NAMESPACE}/five{_BY_DIGEST}"
        proxy.meddle(lambda: _collect(gate.registry, _FIVE_BLOBS[0]), "PUT", path, times=9)
        done = gate.fails(24, "RegistryIntegrity", unseen=True)
        assert "does not keep the blobs" in done.err
        assert "MANIFEST_BLOB_UNKNOWN" in done.err
        gate.heals()

    def test_from_a_pipe_needs_another_run(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        path = f"/{NAMESPACE}/five{_BY_DIGEST}"
        proxy.meddle(lambda: _collect(gate.registry, _FIVE_BLOBS[0]), "PUT", path)
        done = gate.fails(24, "RegistryIntegrity", run=lambda: gate.apply(piped=True), unseen=True)
        assert "run again" in done.err
        succeeded(gate.apply(piped=True))
        gate.assert_complete()


def _collect(registry: DockerRegistry, digest: str) -> None:
    """What a garbage collection does to a blob that no manifest refers to."""
    shutil.rmtree(registry.storage.blob_path(digest).parent, ignore_errors=True)


def _mounted(folder: Path, size: str, *options: str) -> bool:
    given = ",".join((f"size={size}", *options))
    command = ["mount", "-t", "tmpfs", "-o", given, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for a registry whose storage has 2 MiB; ``_mounted`` with ``remount`` frees more."""
    folder = tmp_path / "small"
    (folder / "storage").mkdir(parents=True)
    if not _mounted(folder / "storage", "2m"):
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", folder / "storage"], check=True)


def test_e19_the_registrys_disk_is_full(
    gate: Gate, small_disk: Path, servers: ExitStack, make_proxy: MakeProxy
) -> None:
    registry = servers.enter_context(DockerRegistry(small_disk, RegistryOptions()))
    gate = replace(gate, registry=registry, proxy=make_proxy(registry.host))
    done = gate.fails((20, 22), "RegistryUnavailable", "RegistryRejected")
    assert "have room made in the registry's storage" in done.err
    assert _mounted(small_disk / "storage", "64m", "remount")
    gate.heals()


def test_e19_the_registrys_disk_is_full_of_earlier_imports(
    gate: Gate, small_disk: Path, servers: ExitStack, make_proxy: MakeProxy
) -> None:
    registry = servers.enter_context(DockerRegistry(small_disk, RegistryOptions()))
    filler = small_disk / "storage" / "filler"
    filler.write_bytes(bytes((2 << 20) - 64 * 1024))
    gate = replace(gate, registry=registry, proxy=make_proxy(registry.host))
    gate.fails((20, 22), "RegistryUnavailable", "RegistryRejected")
    filler.unlink()
    assert _mounted(small_disk / "storage", "64m", "remount")
    gate.heals()


def _own(snapshot: Snapshot) -> tuple[object, ...]:
    """What an import made of a registry, but for the notes it keeps there."""
    images = {f"{NAMESPACE}/{name}" for name in IMAGES}
    return (
        {key for key in snapshot.manifests if key[0] in images},
        {key for key in snapshot.layers if key[0] in images},
        {key: digest for key, digest in snapshot.tags.items() if key[0] in images},
    )


def test_e20_a_kill_left_an_empty_file_for_a_manifest(gate: Gate) -> None:
    """docker-registry takes it for the manifest: no push mends that, only who can remove it."""
    broken = gate.registry.storage.blob_path(_FIVE.digest)
    broken.parent.mkdir(parents=True)
    broken.touch()
    done = gate.fails(24, "RegistryIntegrity", unseen=True, wrong={_FIVE.digest, *gate.signed})
    assert "the registry took a manifest and cannot return it" in done.err
    assert f"the folder of {_FIVE.digest} below blobs/" in done.err
    shutil.rmtree(broken.parent)
    gate.heals()


def test_e20_the_registry_is_killed_at_any_moment(
    gate: Gate,
    make_registry: MakeRegistry,
    figure: Figure,
) -> None:
    succeeded(gate.apply())
    expected, requests = _own(gate.registry.storage.snapshot()), len(gate.proxy.requests())
    count = budget(4, 50)
    picks = Random(20)  # noqa: S311 - the same on every run
    codes = []
    for number in range(count):
        registry = make_registry(RegistryOptions())
        moment = picks.randrange(1, requests)
        with FaultProxy(registry.host) as proxy:
            here = replace(gate, folder=gate.folder / str(number), registry=registry, proxy=proxy)
            here.folder.mkdir()
            for name in (BUNDLE, "vendor.pub"):
                (here.folder / name).symlink_to(gate.folder / name)
            codes.append(_killed_at(moment, here))
            _remove_empty_blobs(registry)
            here.heals()
            assert _own(registry.storage.snapshot()) == expected
        registry.stop()
    assert set(codes) <= {0, 20, 22, 24}
    figure("registries killed during an import", count)


def _remove_empty_blobs(registry: DockerRegistry) -> None:
    """What an import that meets one asks for: see the test of that."""
    for digest in registry.storage.blobs():
        path = registry.storage.blob_path(digest)
        if path.stat().st_size == 0:
            shutil.rmtree(path.parent)


def _killed_at(moment: int, gate: Gate) -> int:
    """The code of an import during which the registry is killed and started again."""

    def kill() -> None:
        wait_until(lambda: len(gate.proxy.requests()) >= moment, "the moment")
        gate.registry.kill()
        gate.registry.start()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done = gate.apply()
    finally:
        killer.join()
    assert "Traceback" not in done.err
    if done.code:
        refused(done, done.code, "RegistryUnavailable", "RegistryRejected", "RegistryIntegrity")
        assert not (gate.overlay / ".airgap" / "receipt.json").exists()
    return done.code


def test_e21_the_storage_is_wiped_between_two_runs(gate: Gate, haste: Haste) -> None:
    succeeded(gate.apply())
    before = _own(gate.registry.storage.snapshot())
    gate.registry.wipe()
    assert gate.registry.storage.blobs() == {}
    gate.heals()
    assert _own(gate.registry.storage.snapshot()) == before
    assert haste.pauses == []
