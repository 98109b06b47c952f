"""A place to import into that can be put back to how it was, however an import ended there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from airgap_importer.rendering import OwnRenderer
from support.commands import COUNTED, Finished, Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key
from support.images import make_image
from support.in_process import run_here
from support.journey import deployment, succeeded, tree_of
from support.judging import Scene, judge_content
from support.waiting import wait_until

_RECEIPTS = "airgap-receipts"
#: What differs between two imports of the same release: when, and what the audit log held.
_OF_THE_MOMENT = {"accepted", "latestSeen", "audit", "step"}
_NOTHING = "sha256:" + "0" * 64


def release(version: int, size: int = 300_000) -> Draft:
    """A release of the shop: two images with a layer in common, three objects in two files."""
    shared, own = (random.Random(seed + version).randbytes(size) for seed in (1000, 2000))  # noqa: S311
    draft = Draft.of(
        {
            "docker.io/team/one:1": make_image([shared, own, f"one {version}".encode()]),
            "docker.io/team/two:1": make_image([shared, f"two {version}".encode()]),
        },
        {
            "web.yaml": deployment(f"web{version}", "team/one:1", "team/two:1"),
            f"more/jobs{version}.yaml": deployment("jobs", "team/two:1"),
        },
    )
    return replace(draft, predicate={"version": f"{version}.0.0", "sequence": version})


OLD, NEW = release(1), release(2)


@dataclass(frozen=True, slots=True)
class Essence:
    """What an import brings about, apart from times: equal after equal imports."""

    blobs: frozenset[str]
    manifests: frozenset[tuple[str, str]]
    tags: Mapping[tuple[str, str], str]
    overlay: Mapping[str, bytes | None]
    remembered: object
    receipts: frozenset[str]


class CrashSite:
    """A folder with bundles and a key, and a registry that nobody else uses.

    ``before`` is the release that is there at the beginning, if any; ``after`` is the one to be
    imported. Imports go through the proxy. Nothing but our own renderer is at hand: it is
    quicker, and starts no process.
    """

    def __init__(
        self,
        folder: Path,
        registry: DockerRegistry,
        proxy: FaultProxy,
        releases: tuple[Draft | None, Draft],
    ) -> None:
        before, after = releases
        self.folder = folder / "site"
        self.registry = registry
        self.proxy = proxy
        self.state = self.folder / "state"
        self.overlay = self.folder / "deploy"
        self.signed = after.digests | (before.digests if before else frozenset())
        self._saved = folder / "saved"
        self._empty = folder / "empty"
        self._key = Key()
        self.folder.mkdir()
        self._empty.mkdir()
        self._files = {"vendor.pub": self._key.public_pem}
        (self.folder / "vendor.pub").write_bytes(self._key.public_pem)
        self.add_bundle("after.tar.zst", after)
        self._save()
        if before is not None:
            succeeded(self.here(bundle=self.add_bundle("before.tar.zst", before)))
            self._save()
        self.old = self.essence()
        self.old_deployed = self.deployed()
        succeeded(self.here())
        self.new = self.essence()
        self.new_deployed = self.deployed()
        self._new_names = self._own_names()
        assert self.new_deployed
        assert self.new_deployed != self.old_deployed
        self.reset()

    def add_bundle(self, name: str, draft: Draft) -> str:
        """Write one more bundle, signed by the same key; its name."""
        self._files[name] = draft.pack(self._key)
        (self.folder / name).write_bytes(self._files[name])
        return name

    @property
    def shell(self) -> Shell:
        """Where the commands run as processes."""
        return Shell(self.folder, {**COUNTED, **self._variables})

    def command(self, *options: str | Path, bundle: str = "after.tar.zst") -> Sequence[str | Path]:
        """The command line of apply; blobs go one after the other, unless told otherwise."""
        return (
            *("airgap-import", "apply", bundle, "--key", "vendor.pub", "--move-tags"),
            *("--registry-endpoint", self.proxy.host, "--plain-http", "--jobs", "1"),
            *("--image-namespace", "apps", "--output", "deploy", *options),
        )

    def here(self, *options: str | Path, bundle: str = "after.tar.zst") -> Finished:
        """Run apply within this process."""
        with _environment(self._variables):
            return run_here(self.folder, *self.command(*options, bundle=bundle))

    def reset(self) -> None:
        """Put registry, folder and proxy back to how they were."""
        self.settle()
        self.proxy.clear()
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, content in self._files.items():
            (self.folder / name).write_bytes(content)
        for name, place in self._places():
            shutil.rmtree(place, ignore_errors=True)
            if (self._saved / name).exists():
                shutil.copytree(self._saved / name, place, symlinks=True)

    def settle(self) -> None:
        """Wait until everything that was sent, also by somebody dead by now, has arrived."""
        wait_until(lambda: self.proxy.idle, "the end of all requests")

    def start(self, *options: str | Path, through: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start apply, by the command line ``through`` if one is given; the caller ends it."""
        return subprocess.Popen(
            [*through, *self.shell.command_line(*self.command(*options))],
            cwd=self.folder,
            env=self.shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def scene(self) -> Scene:
        """All that an import may change, as it is now."""
        return Scene.of(self.registry.storage, self.overlay, self.state)

    def essence(self) -> Essence:
        """What is there now, apart from times."""
        scene = self.scene()
        registry = scene.registry
        overlay = tree_of(self.overlay) if self.overlay.exists() else {}
        return Essence(
            frozenset(registry.blobs) - scene.own,
            frozenset(one for one in registry.manifests if _RECEIPTS not in one[0]),
            {one: digest for one, digest in registry.tags.items() if _RECEIPTS not in one[0]},
            {name: text for name, text in overlay.items() if name != ".airgap/receipt.json"},
            [_timeless(json.loads(path.read_bytes())) for path in self._states()],
            frozenset(path.name for path in self.state.glob("*/*/receipts/*")),
        )

    def deployed(self) -> list[object]:
        """What the overlay comes to; nothing where there is none."""
        midstream = self.overlay / "overlays" / "midstream"
        if not midstream.exists():
            return []
        return [obj.value for obj in OwnRenderer().render(midstream).objects]

    def judge_wreck(self) -> None:
        """Make sure that what a crash left is signed for, and each part of it old or new, whole."""
        self.judge_local()
        judge_content(self.scene(), self.signed)
        essence = self.essence()
        assert essence.tags.keys() <= self.old.tags.keys() | self.new.tags.keys()
        for tag, digest in essence.tags.items():
            assert digest in (self.old.tags.get(tag), self.new.tags.get(tag)), tag
            assert (tag[0], digest) in essence.manifests, f"{tag} names what is not there"

    def judge_local(self) -> None:
        """The same for the overlay, the state and the audit log alone."""
        assert self.deployed() in (self.old_deployed, self.new_deployed), "a mixed overlay"
        states = [_timeless(json.loads(path.read_bytes())) for path in self._states()]
        assert states in (self.old.remembered, self.new.remembered), "a mixed state"
        for path in self.state.glob("*/*/receipts/*.json"):
            assert json.loads(path.read_bytes())["format"] == 1
        judge_audit(self.state)

    def judge_healed(self, done: Finished) -> None:
        """Make sure that a run brought about what one without interruption does, and no more."""
        succeeded(done)
        assert self.essence() == self.new
        assert self.deployed() == self.new_deployed
        assert self._own_names() == self._new_names, "something is left behind"
        judge_content(self.scene(), self.signed)
        judge_audit(self.state)

    @property
    def _variables(self) -> dict[str, str]:
        return {"AIRGAP_STATE_DIR": str(self.state), "PATH": str(self._empty)}

    def _places(self) -> Iterator[tuple[str, Path]]:
        yield "storage", self.registry.storage.root / "docker"
        yield "deploy", self.overlay
        yield "state", self.state

    def _save(self) -> None:
        shutil.rmtree(self._saved, ignore_errors=True)
        for name, place in self._places():
            if place.exists():
                shutil.copytree(place, self._saved / name, symlinks=True)

    def _states(self) -> list[Path]:
        return sorted(self.state.glob("*/*/state.json"))

    def _own_names(self) -> set[str]:
        """Every name below the overlay and the state."""
        return {
            f"{folder.name}/{name}"
            for folder in (self.overlay, self.state)
            if folder.exists()
            for name in tree_of(folder)
        }


def judge_audit(state: Path) -> None:
    """Make sure that the audit log is one chain; a last line may be torn."""
    path = state / "audit.jsonl"
    if not path.exists():
        return
    previous = _NOTHING
    content = path.read_bytes()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        entry = json.loads(line)
        assert (entry["n"], entry["prev"]) == (number, previous), "the chain is broken"
        previous = f"sha256:{hashlib.sha256(line).hexdigest()}"


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in value.items() if key not in _OF_THE_MOMENT}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
