"""Somebody at the gate with a good bundle, before a registry that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.commands import Finished
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key
from support.images import (
    BuiltImage,
    GeneratedContent,
    chunks_of,
    make_image,
    make_index,
    opaque_layer,
)
from support.in_process import run_here
from support.journey import deployment, refused, succeeded, tree_of
from support.registry_storage import Snapshot

BUNDLE = "received.tar.zst"
NAMESPACE = "apps"
_SHARED = opaque_layer(b"".join(chunks_of(GeneratedContent(20_000, seed=7))))
#: Large enough to be broken in many places; the largest layer of all.
LARGE = opaque_layer(b"".join(chunks_of(GeneratedContent((3 << 20) + 5, seed=8))))
#: The images by the last part of their name; ``one`` holds the large layer.
IMAGES: Mapping[str, BuiltImage] = {
    "one": make_image([_SHARED, LARGE]),
    "two": make_image([_SHARED, b"two"]),
    "three": make_index([make_image([b"3a"]), make_image([b"3b"], "linux/arm64")]),
    "four": make_image([_SHARED, b"four"]),
    "five": make_image([b"five"]),
}
RELEASE_TAGS = {(f"{NAMESPACE}/{name}", "1"): image.digest for name, image in IMAGES.items()}
#: Records that are written when an import is done.
_DONE = frozenset({".airgap/receipt.json", ".airgap/relocation.json", ".airgap/coverage.json"})


def good_bundle(key: Key, images: Mapping[str, BuiltImage] = IMAGES) -> bytes:
    """A bundle of an application that uses all the images."""
    names = [f"team/{name}:1" for name in images]
    named = {f"docker.io/{name}": image for name, image in zip(names, images.values(), strict=True)}
    return Draft.of(named, {"app.yaml": deployment("web", *names)}).pack(key)


@dataclass(frozen=True, slots=True)
class Gate:
    """A folder with a bundle and ``vendor.pub``, and a registry behind a proxy."""

    folder: Path
    registry: DockerRegistry
    proxy: FaultProxy
    images: Mapping[str, BuiltImage] = field(default_factory=lambda: IMAGES)

    @property
    def overlay(self) -> Path:
        """Where the overlay is written."""
        return self.folder / "deploy"

    def command(
        self, *options: str | Path, host: str = "", bundle: str = BUNDLE
    ) -> tuple[str, ...]:
        """The command line of apply, through the proxy unless another host is named."""
        return (
            *("airgap-import", "apply", bundle, "--key", "vendor.pub"),
            *("--registry-endpoint", host or self.proxy.host, "--plain-http"),
            *("--image-namespace", NAMESPACE, "--output", "deploy"),
            *map(str, options),
        )

    def apply(self, *options: str | Path, host: str = "", piped: bool = False) -> Finished:
        """Run apply in this process."""
        stdin = (self.folder / BUNDLE).read_bytes() if piped else b""
        command = self.command(*options, host=host, bundle="-" if piped else BUNDLE)
        return run_here(self.folder, *command, stdin=stdin)

    def fails(
        self,
        code: int | tuple[int, ...],
        *names: str,
        run: Callable[[], Finished] | None = None,
        unseen: bool = False,
        wrong: Collection[str] = (),
    ) -> Finished:
        """Make sure that apply (or ``run``) fails so, and of what must not have happened.

        No manifest and no tag is new, or with ``unseen`` none that people know; whatever is stored
        is signed for and, but for the ``wrong``, whole; no overlay was written or changed.
        """
        before, overlay = self.registry.storage.snapshot(), self._overlay()
        done = refused((run or self.apply)(), code, *names)
        after = self.registry.storage.snapshot()
        if unseen:
            assert _known(after) == _known(before)
        else:
            assert (after.manifests, after.tags) == (before.manifests, before.tags)
        damaged = {stored for stored, real in after.blobs.items() if stored != real}
        assert damaged <= set(wrong)
        assert set(after.blobs) - set(before.blobs) <= self.signed
        assert self._overlay() == overlay
        return done

    def sends_nothing(self, code: int | tuple[int, ...], *names: str) -> Finished:
        """The same, with not a byte of content sent."""
        done = self.fails(code, *names)
        assert self.proxy.requests("PUT|PATCH") == []
        assert self.registry.storage.open_uploads() == 0
        return done

    def heals(self, *options: str | Path) -> Finished:
        """Make sure that without faults the same command completes what was begun."""
        self.proxy.clear()
        done = succeeded(self.apply(*options))
        self.assert_complete()
        return done

    def assert_complete(self) -> None:
        """Make sure that the registry has all of the bundle, whole, and the overlay is there."""
        found = self.registry.storage.snapshot()
        assert all(stored == real for stored, real in found.blobs.items())
        assert self.signed <= set(found.blobs)
        for name, image in self.images.items():
            repository = f"{NAMESPACE}/{name}"
            manifests = {(repository, digest) for digest in image.all_manifests()}
            assert manifests <= found.manifests
            assert {(repository, digest) for digest in image.all_blobs()} <= found.layers
            assert found.tags[repository, "1"] == image.digest
        untagged = {digest for _, digest in self.registry.storage.untagged()}
        assert not untagged & self.signed
        assert (self.overlay / "overlays" / "midstream" / "kustomization.yaml").is_file()
        assert all((self.overlay / name).is_file() for name in _DONE)

    @property
    def signed(self) -> set[str]:
        """The digests of everything in the bundle that a registry may hold."""
        return {
            digest
            for image in self.images.values()
            for digest in (*image.all_blobs(), *image.all_manifests())
        }

    def _overlay(self) -> dict[str, bytes | None]:
        """What could be deployed, and the records of what was."""
        if not self.overlay.exists():
            return {}
        return {
            name: content
            for name, content in tree_of(self.overlay).items()
            if not name.startswith(".airgap") or name in _DONE
        }


def _known(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """The tags that people know."""
    return {
        key: digest for key, digest in snapshot.tags.items() if not key[1].startswith("airgap-")
    }
