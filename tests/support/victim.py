"""Somebody who imports what an attacker made, and the promises made to them."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from support.commands import Finished
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key
from support.in_process import run_here
from support.journey import refused, tree_of

_BUNDLE = "received.tar.zst"
_NAMESPACES = itertools.count()


@dataclass(frozen=True, slots=True)
class Victim:
    """A folder with ``vendor.pub``, and a registry behind a proxy that records."""

    folder: Path
    registry: DockerRegistry
    proxy: FaultProxy

    def verify(self, data: bytes, *, piped: bool = False) -> Finished:
        """Run verify on a file or on a pipe."""
        command = ("airgap-import", "verify", self._received(data, piped), "--key", "vendor.pub")
        return run_here(self.folder, *command, stdin=data if piped else b"")

    def apply(self, data: bytes, *options: str, piped: bool = False) -> Finished:
        """Run apply on a file or on a pipe, into a namespace of its own."""
        return run_here(
            self.folder,
            *("airgap-import", "apply", self._received(data, piped), "--key", "vendor.pub"),
            *("--registry-endpoint", self.proxy.host, "--plain-http", "--output", "deploy"),
            *("--image-namespace", f"n{next(_NAMESPACES)}"),
            *options,
            stdin=data if piped else b"",
        )

    def resists(
        self,
        data: bytes,
        code: int | tuple[int, ...],
        *names: str,
        signed: Collection[str] | None = None,
    ) -> None:
        """Make sure that file and pipe are refused so, by verify and by apply.

        Nothing reaches the registry. Where ``signed`` is given, blobs with these digests may,
        from a pipe, for it is read once: but no manifest, tag or overlay.
        """
        for piped in (False, True):
            refused(self.verify(data, piped=piped), code, *names)
            before = self.registry.storage.snapshot()
            self.proxy.clear()
            refused(self.apply(data, piped=piped), code, *names)
            if signed is None:
                assert self.proxy.mutations() == []
            after = self.registry.storage.snapshot()
            assert (after.manifests, after.tags) == (before.manifests, before.tags)
            assert set(after.blobs) - set(before.blobs) <= set(signed or ())
            assert all(stored == real for stored, real in after.blobs.items())
            self._assert_no_overlay()

    def resists_draft(self, draft: Draft, key: Key, code: int, *names: str) -> None:
        """The same for a bundle that is packed as it is signed: nothing reaches the registry."""
        self.resists(draft.pack(key), code, *names)

    def _received(self, data: bytes, piped: bool) -> str:
        if not piped:
            (self.folder / _BUNDLE).write_bytes(data)
        return "-" if piped else _BUNDLE

    def _assert_no_overlay(self) -> None:
        found = set(tree_of(self.folder)) - {_BUNDLE, "vendor.pub"}
        # An overlay directory that was begun holds nothing that could be deployed.
        assert found <= {"deploy", "deploy/.airgap", "deploy/.airgap/marker.json"}, found
