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
from support.images import digest_of
from support.in_process import run_here, state_of
from support.journey import refused, succeeded
from support.judging import Scene, judge_failure, judge_success

_BUNDLE = "received.tar.zst"
#: An overlay directory that was begun holds nothing that could be deployed.
_BEGUN = {_BUNDLE, "deploy", "deploy/.airgap", "deploy/.airgap/marker.json"}
_NAMESPACES = itertools.count()


@dataclass(frozen=True, slots=True)
class Victim:
    """A folder with ``vendor.pub``, and a registry behind a proxy that records.

    A bundle is given as its bytes, or as the path of a file.
    """

    folder: Path
    registry: DockerRegistry
    proxy: FaultProxy

    def verify(self, data: bytes | Path, *, piped: bool = False) -> Finished:
        """Run verify on a file or on a pipe."""
        bundle, stdin = self._received(data, piped)
        return run_here(
            self.folder, "airgap-import", "verify", bundle, "--key", "vendor.pub", stdin=stdin
        )

    def apply(
        self, data: bytes | Path, *options: str, piped: bool = False, namespace: str = ""
    ) -> Finished:
        """Run apply on a file or on a pipe, into a namespace of its own if none is given."""
        bundle, stdin = self._received(data, piped)
        return run_here(
            self.folder,
            *("airgap-import", "apply", bundle, "--key", "vendor.pub"),
            *("--registry-endpoint", self.proxy.host, "--plain-http", "--output", "deploy"),
            *("--image-namespace", namespace or f"n{next(_NAMESPACES)}"),
            *options,
            stdin=stdin,
        )

    def scene(self) -> Scene:
        """All that an import may change, as it is now."""
        return Scene.of(self.registry.storage, self.folder / "deploy", state_of(self.folder))

    def resists(
        self,
        data: bytes | Path,
        code: int | tuple[int, ...],
        *names: str,
        signed: Collection[str] | None = None,
        ways: Collection[bool] = (False, True),
    ) -> None:
        """Make sure that file and pipe are refused so, by verify and by apply.

        Nothing reaches the registry. Where ``signed`` is given, blobs with these digests may,
        for they are sent as they are read: but no manifest, tag or overlay.
        """
        for piped in ways:
            refused(self.verify(data, piped=piped), code, *names)
            before, files = self.scene(), self._files()
            self.proxy.clear()
            done = refused(self.apply(data, piped=piped), code, *names)
            if signed is None:
                assert self.proxy.mutations() == []
            judge_failure(done, before, self.scene(), signed or ())
            strangers = self._files() - files - _BEGUN
            assert not strangers, f"files where none belong: {strangers}"

    def resists_draft(self, draft: Draft, key: Key, code: int, *names: str) -> None:
        """The same for a bundle that is packed as it is signed: nothing reaches the registry."""
        self.resists(draft.pack(key), code, *names)

    def accepts(self, draft: Draft, key: Key, *, piped: bool = False) -> None:
        """Make sure that a bundle is verified and imported, and that only it is."""
        data = draft.pack(key)
        succeeded(self.verify(data, piped=piped))
        before = self.scene()
        done = self.apply(data, piped=piped)
        # A registry keeps content under its own algorithm, whatever it was pushed as.
        kept = draft.digests | {digest_of(member.content) for member in draft.members}
        assert judge_success(done, before, self.scene(), kept)

    def _files(self) -> set[str]:
        """Everything in the folder but what is remembered, which the judge looks at."""
        state = state_of(self.folder)
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if not path.is_relative_to(state)
        }

    def _received(self, data: bytes | Path, piped: bool) -> tuple[str | Path, bytes]:
        """The argument that names the bundle, and what standard input holds."""
        if piped:
            return "-", data if isinstance(data, bytes) else data.read_bytes()
        if isinstance(data, Path):
            return data, b""
        (self.folder / _BUNDLE).write_bytes(data)
        return _BUNDLE, b""
