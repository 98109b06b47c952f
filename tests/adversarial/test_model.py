"""L04: any sequence of imports, crashes and losses, against a model of what must be there.

The model knows what was imported completely; after a crash it knows only what may be there, and
the next import that succeeds makes it certain again.
"""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.budget import budget
from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.faults import Hang, Rule
from support.forging import Forger, Workpiece
from support.garbling import Garbler
from support.hostile import Draft, Key
from support.images import make_image, opaque_layer, platform_index
from support.in_process import run_here
from support.journey import deployment, refused, succeeded, tree_of
from support.waiting import wait_until

#: Further options of every import: where it keeps what it must remember.
STATE_OPTIONS: Final[tuple[str, ...]] = ("--state-dir", "state")
#: Whether an import of an older bundle than the newest one imported is refused.
ROLLBACK_REFUSED: Final = True

_KEY: Final = Key(0x5EED)
_VERSIONS: Final = (1, 2, 3, 4)
_NAMESPACE: Final = "apps/shop"
_RECEIPTS: Final = f"{_NAMESPACE}/airgap-receipts"
_DAMAGED: Final = (10, 11, 13, 14)
_ROLLBACK: Final = (12,) if ROLLBACK_REFUSED else ()


def _draft(version: int) -> Draft:
    """A release: an image of its own, one like in all others, one that every second one has."""
    images = {
        f"docker.io/team/app:{version}": make_image([opaque_layer(f"app {version}".encode())]),
        "docker.io/team/base:1": make_image([opaque_layer(b"base"), opaque_layer(b"tools")]),
    }
    if version % 2:
        images[f"reg.test:5000/many:{version}"] = platform_index(f"many {version}", "linux/amd64")
    names = [name.removeprefix("docker.io/") for name in images]
    draft = Draft.of(images, {"app.yaml": deployment("web", *names)})
    release = {"version": f"{version}.0.0", "sequence": 1_767_225_600 + version}
    return Draft(draft.members, draft.images, release)


class Site:
    """A registry behind a proxy, and a folder with the bundles, a key and an overlay."""

    def __init__(self, folder: Path, registry: DockerRegistry, proxy: FaultProxy) -> None:
        self.folder, self.registry, self.proxy = folder, registry, proxy
        (folder / "vendor.pub").write_bytes(_KEY.public_pem)
        for version in _VERSIONS:
            (folder / _bundle(version)).write_bytes(_draft(version).pack(_KEY))
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing was ever imported here."""
        self.proxy.clear()
        shutil.rmtree(self.registry.storage.root / "docker", ignore_errors=True)
        for name in ("deploy", "state", ".local"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def command(self, bundle: str) -> tuple[str, ...]:
        """An import of one of the bundles."""
        return (
            *("airgap-import", "apply", bundle, "--key", "vendor.pub"),
            *("--registry-endpoint", self.proxy.host, "--plain-http", "--jobs", "2"),
            *("--image-namespace", _NAMESPACE, "--output", "deploy", *STATE_OPTIONS),
        )

    def apply(self, bundle: str, stdin: bytes = b"") -> Finished:
        return run_here(self.folder, *self.command(bundle), stdin=stdin)

    def tags(self) -> dict[tuple[str, str], str]:
        """The application's tags, by the names people know."""
        found = self.registry.storage.all_tags()
        return {
            name: digest
            for name, digest in found.items()
            if not name[1].startswith("airgap-") and name[0] != _RECEIPTS
        }

    def overlay(self) -> dict[str, bytes | None]:
        """What is to be deployed; nothing where there is no overlay yet."""
        tree = tree_of(self.folder / "deploy")
        return {
            path: content
            for path, content in tree.items()
            if path.startswith(("base", "overlays/midstream"))
        }


def _bundle(version: int) -> str:
    return f"shop-{version}.tar.zst"


class Model(RuleBasedStateMachine):
    """What must be true of the site after each step."""

    site: Site
    #: What each release alone leaves behind: its tags and its overlay.
    honest: dict[int, tuple[dict[tuple[str, str], str], dict[str, bytes | None]]]

    def __init__(self) -> None:
        super().__init__()
        # What must be there, and what may be because an import of it was begun.
        self.present: set[int] = set()
        self.possible: set[int] = set()
        #: The releases of which the overlay may be one; None stands for no overlay.
        self.deployed: set[int | None] = {None}
        # The newest release imported, and the newest of which an import was killed.
        self.newest = self.begun = 0

    @initialize()
    def begin(self) -> None:
        self.site.forget()

    # What the tools are asked to do --------------------------------------------------------------

    @rule(version=st.sampled_from(_VERSIONS))
    def import_release(self, version: int) -> None:
        done = self.site.apply(_bundle(version))
        if ROLLBACK_REFUSED and version < max(self.newest, self.begun) and done.code != 0:
            refused(done, 12, "RollbackDetected")
            return
        assert not ROLLBACK_REFUSED or version >= self.newest
        self._imported(version, done.code, done.err)

    def _imported(self, version: int, code: int, said: str) -> None:
        assert code == 0, said
        self.present.add(version)
        self.deployed = {version}
        self.newest = max(self.newest, version)

    @precondition(lambda self: self.newest > 1)
    @rule(step=st.integers(1, 3))
    def replay_an_older_release(self, step: int) -> None:
        """Somebody hands over an old disk again."""
        self.import_release(max(1, self.newest - step))

    @rule(version=st.sampled_from(_VERSIONS), seed=st.integers(0, 10_000), piped=st.booleans())
    def import_a_damaged_copy(self, version: int, seed: int, piped: bool) -> None:
        """Bytes changed on their way, not by somebody who has the key."""
        data = (self.site.folder / _bundle(version)).read_bytes()
        damaged = Garbler(_random(seed)).bytes_like(data)
        if damaged[: len(data)] == data:
            damaged = data[:-1]
        (self.site.folder / "damaged").write_bytes(damaged)
        done = self.site.apply("-" if piped else "damaged", damaged if piped else b"")
        if done.code == 0:
            # A bit that means nothing: what was imported is the release itself.
            self._imported(version, done.code, done.err)
            return
        assert done.code in (*_DAMAGED, *_ROLLBACK), done.err
        assert "Traceback" not in done.err
        self.possible.add(version)

    @rule(version=st.sampled_from(_VERSIONS), seed=st.integers(0, 10_000))
    def import_a_forgery(self, version: int, seed: int) -> None:
        """Garbage by somebody with another key."""
        work = Workpiece.of((self.site.folder / _bundle(version)).read_bytes())
        assert work is not None
        (self.site.folder / "forged").write_bytes(Forger(Key(), _random(seed)).forge(work).data)
        done = self.site.apply("forged")
        assert done.code in _DAMAGED, done.err

    @rule(version=st.sampled_from(_VERSIONS), request=st.integers(1, 40))
    def kill_an_import(self, version: int, request: int) -> None:
        """Killed at its n-th request that would change something, or done before."""
        self.site.proxy.clear()
        self.site.proxy.add(Rule(Hang(), "POST|PUT|PATCH", "", first=request, times=None))
        process = Shell(self.site.folder).start(*self.site.command(_bundle(version)))

        def is_over() -> bool:
            return process.poll() is not None or any(r.rule for r in self.site.proxy.requests())

        try:
            wait_until(is_over, "the end, or a request that hangs")
        finally:
            process.kill()
            _, said = process.communicate()
            self.site.proxy.clear()
        if process.returncode == 0:
            self._imported(version, process.returncode, said.decode())
            return
        assert process.returncode in (-signal.SIGKILL, *_ROLLBACK), said
        self.possible.add(version)
        self.deployed = self.deployed | {version}
        self.begun = max(self.begun, version)

    @rule(version=st.sampled_from(_VERSIONS))
    def verify_release(self, version: int) -> None:
        """Verifying changes nothing: the invariants say so."""
        command = ("airgap-import", "verify", _bundle(version), "--key", "vendor.pub")
        succeeded(run_here(self.site.folder, *command))

    # What happens to the site --------------------------------------------------------------------

    @rule()
    def wipe_the_registry(self) -> None:
        shutil.rmtree(self.site.registry.storage.root / "docker", ignore_errors=True)
        self.present.clear()
        self.possible.clear()

    @rule()
    def delete_the_overlay(self) -> None:
        shutil.rmtree(self.site.folder / "deploy", ignore_errors=True)
        self.deployed = {None}

    # What must be true ---------------------------------------------------------------------------

    @invariant()
    def tags_are_those_of_releases(self) -> None:
        """All of those imported, none of any other, and each names what its release says."""
        found = self.site.tags()
        must = self._tags(self.present)
        may = self._tags(self.present | self.possible)
        assert must.items() <= found.items() <= may.items()

    @invariant()
    def what_can_be_pulled_is_whole_and_signed(self) -> None:
        storage = self.site.registry.storage
        snapshot = storage.snapshot()
        signed = {digest for version in _VERSIONS for digest in _draft(version).digests}
        ours = {
            digest
            for repository, digest in snapshot.manifests
            if repository.startswith(_NAMESPACE) and repository != _RECEIPTS
        }
        assert all(stored == real for stored, real in snapshot.blobs.items())
        assert ours <= signed
        for repository, digest in snapshot.manifests:
            document = json.loads(storage.read_blob(digest))
            for child in document.get("manifests", ()):
                assert (repository, child["digest"]) in snapshot.manifests
            for blob in document.get("layers", ()):
                assert (repository, blob["digest"]) in snapshot.layers

    @invariant()
    def the_overlay_is_one_whole_release(self) -> None:
        found = self.site.overlay()
        allowed = [self.honest[one][1] if one is not None else {} for one in self.deployed]
        assert found in allowed

    def _tags(self, versions: set[int]) -> dict[tuple[str, str], str]:
        return {
            name: digest for version in versions for name, digest in self.honest[version][0].items()
        }


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - repeatable on purpose


def test_l04_any_sequence_of_imports_and_losses_agrees_with_the_model(tmp_path: Path) -> None:
    with ExitStack() as stack:
        registry = stack.enter_context(DockerRegistry(tmp_path))
        proxy = stack.enter_context(FaultProxy(registry.host))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        site = Site(folder, registry, proxy)
        honest = {}
        for version in _VERSIONS:
            site.forget()
            succeeded(site.apply(_bundle(version)))
            honest[version] = (site.tags(), site.overlay())

        class OnSite(Model):
            pass

        OnSite.site, OnSite.honest = site, honest
        run_state_machine_as_test(
            OnSite,
            settings=settings(
                max_examples=budget(5, 40),
                stateful_step_count=budget(8, 15),
                deadline=None,
                phases=(Phase.explicit, Phase.reuse, Phase.generate),
                suppress_health_check=list(HealthCheck),
            ),
        )
