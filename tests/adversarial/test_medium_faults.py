"""Group B: media that end early, change while they are read, fail, or are slow."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from support.budget import budget
from support.docker_registry import DockerRegistry
from support.faults import Meanwhile, Rule
from support.figures import Figure
from support.hostile import Draft, Key
from support.images import generated_layer, make_image
from support.injection import trace
from support.journey import Journey, deployment, refused, succeeded
from support.judging import Scene, judge_failure
from support.large import LargeBundle, write_large_bundle
from support.victim import Victim

_MIB = 1 << 20
_IMAGE = make_image([generated_layer(8 * _MIB, seed=number) for number in (1, 2)])
_SIGNED = {_IMAGE.digest, *_IMAGE.all_blobs()}


@pytest.fixture
def large(victim: Victim) -> LargeBundle:
    """A bundle of three mebibytes, signed by the only key that the victim trusts."""
    return write_large_bundle(victim.folder, 3 * _MIB)


def test_b01_random_lengths_of_a_large_bundle(victim: Victim, figure: Figure) -> None:
    large = write_large_bundle(victim.folder, budget(8 * _MIB, 1 << 28))
    whole = large.path.stat().st_size
    tried = budget(40, 1000)
    lengths = random.Random(1).sample(range(1, whole), tried)  # noqa: S311
    before = victim.scene()
    for length in sorted(lengths, reverse=True):
        os.truncate(large.path, length)
        done = refused(victim.apply(large.path), 10, "BundleTruncated", "NotABundle")
        assert victim.proxy.mutations() == [], length
        judge_failure(done, before, victim.scene())
    large.path.unlink()
    figure("truncations of a large bundle, all of them refused", tried)


def _replaced_by(path: Path, other: bytes) -> None:
    (path.parent / "other").write_bytes(other)
    (path.parent / "other").replace(path)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _overwrite(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(bytes(size // 2))


@pytest.fixture
def during(victim: Victim, large: LargeBundle) -> Callable[[Callable[[Path], object]], Scene]:
    """Have something done to the bundle when the first blob is about to be sent."""

    def arrange(change: Callable[[Path], object]) -> Scene:
        once = threading.Lock()

        def happens() -> None:
            if once.acquire(blocking=False):
                change(large.path)

        victim.proxy.add(Rule(Meanwhile(happens), "POST", "/blobs/uploads/"))
        return victim.scene()

    return arrange


During = Callable[[Callable[[Path], object]], Scene]


class TestB24:
    """The file changes while it is imported."""

    def test_replaced_by_another_file(
        self, victim: Victim, large: LargeBundle, during: During
    ) -> None:
        """It was opened once; what has its name now is no matter."""
        other = Draft.of({"docker.io/team/other:1": make_image([b"other"])}).pack(Key())
        before = during(lambda path: _replaced_by(path, other))
        succeeded(victim.apply(large.path, "--jobs", "1"))
        new = set(victim.scene().registry.blobs) - set(before.registry.blobs)
        assert large.layer in new
        assert large.path.read_bytes() == other

    @pytest.mark.parametrize(
        ("change", "code", "names"),
        [
            (_append, 10, ("TrailingData", "BundleCorrupt")),
            (lambda path: os.truncate(path, path.stat().st_size // 2), 10, ("BundleTruncated",)),
            (lambda path: os.truncate(path, 0), 10, ("BundleTruncated",)),
            (
                _overwrite,
                (10, 13),
                ("DigestMismatch", "BundleCorrupt", "MemberMismatch", "BadPadding"),
            ),
        ],
        ids=["grown", "shrunk", "emptied", "overwritten"],
    )
    def test_changed_in_its_place(
        self,
        victim: Victim,
        large: LargeBundle,
        during: During,
        change: Callable[[Path], object],
        code: int | tuple[int, ...],
        names: tuple[str, ...],
    ) -> None:
        whole = large.path.read_bytes()
        before = during(change)
        done = refused(victim.apply(large.path, "--jobs", "1"), code, *names)
        judge_failure(done, before, victim.scene(), large.signed)
        assert large.path.read_bytes() != whole

        large.path.write_bytes(whole)
        succeeded(victim.apply(large.path))


@pytest.fixture
def bundled(journey: Journey) -> Journey:
    """A bundle of sixteen mebibytes on disk."""
    journey.push("team/app:1", _IMAGE)
    journey.deploy("team/app:1")
    succeeded(journey.create())
    return journey


@contextmanager
def _fifo(path: Path, pieces: Callable[[], Iterator[bytes]]) -> Iterator[None]:
    """A pipe with a name, and somebody who writes the pieces into it."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError), path.open("wb", buffering=0) as pipe:
            for piece in pieces():
                pipe.write(piece)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        # Should nobody have read, let the writer go.
        with suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join()


class TestB25:
    """The medium fails, or takes its time."""

    def test_a_file_that_cannot_be_read_on(
        self, bundled: Journey, registry: DockerRegistry
    ) -> None:
        command = bundled.apply_command("--jobs", "1")
        verify = ("airgap-import", "verify", bundled.bundle, "--key", "vendor.pub", "--jobs", "1")
        metadata, blobs = sorted(
            trace(bundled.shell, verify, "pread64", path=bundled.bundle).by_thread
        )
        assert metadata < blobs * 6 // 10
        before = Scene.of(registry.storage, bundled.overlay)
        fault = f"pread64:error=EIO:when={blobs * 6 // 10}+"

        traced = trace(bundled.shell, command, "pread64", fault, path=bundled.bundle)

        done = refused(traced.done, 30, "MediaReadError")
        assert "at byte " in done.err
        assert "copy the bundle again" in done.err
        after = Scene.of(registry.storage, bundled.overlay)
        judge_failure(done, before, after, _SIGNED)
        succeeded(bundled.apply())

    def test_a_pipe_that_cannot_be_read_on(
        self, bundled: Journey, registry: DockerRegistry
    ) -> None:
        before = Scene.of(registry.storage, bundled.overlay)
        whole = bundled.bundle.read_bytes()
        pipe = bundled.folder / "pipe"
        with _fifo(pipe, lambda: iter((whole,))):
            traced = trace(
                bundled.shell,
                bundled.apply_command("--jobs", "1", bundle="pipe"),
                "read",
                "read:error=EIO:when=20+",
                path=pipe,
            )
        done = refused(traced.done, 30, "MediaReadError")
        assert "at byte " in done.err
        after = Scene.of(registry.storage, bundled.overlay)
        judge_failure(done, before, after, _SIGNED)
        succeeded(bundled.apply())

    def test_a_pipe_that_ends_early(self, bundled: Journey, registry: DockerRegistry) -> None:
        before = Scene.of(registry.storage, bundled.overlay)
        whole = bundled.bundle.read_bytes()
        with _fifo(bundled.folder / "pipe", lambda: iter((whole[: len(whole) * 6 // 10],))):
            done = refused(bundled.apply(bundle="pipe"), 10, "BundleTruncated")
        after = Scene.of(registry.storage, bundled.overlay)
        judge_failure(done, before, after, _SIGNED)

    def test_a_pipe_that_is_slow(self, victim: Victim, key: Key) -> None:
        draft = Draft.of(
            {"docker.io/team/slow:1": make_image([b"slow"])},
            {"app.yaml": deployment("web", "team/slow:1")},
        )
        whole = draft.pack(key)
        pause = threading.Event()

        def pieces() -> Iterator[bytes]:
            for at in range(0, len(whole), 100):
                pause.wait(0.01)
                yield whole[at : at + 100]

        with _fifo(victim.folder / "pipe", pieces):
            succeeded(victim.apply(victim.folder / "pipe"))
