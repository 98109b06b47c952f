"""Somebody who bundles from a registry that cannot be trusted, and the promises made to them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from support.commands import COUNTED, Finished, Shell
from support.fault_proxy import FaultProxy
from support.images import BuiltImage
from support.in_process import run_here
from support.journey import deployment, refused, tree_of
from support.pushing import push_image


@dataclass(frozen=True, slots=True)
class Vendor:
    """A folder with a key pair, and a registry behind a proxy that can fail and lie."""

    folder: Path
    proxy: FaultProxy

    @property
    def shell(self) -> Shell:
        """Where commands run as processes of their own."""
        return Shell(self.folder, COUNTED)

    def push(self, image: BuiltImage, name: str = "app") -> None:
        """Put an image where create finds it as ``team/NAME:1``."""
        push_image(self.proxy.upstream, f"docker.io/team/{name}", "1", image)

    @property
    def bundle(self) -> Path:
        """The finished bundle."""
        return self.folder / "shop.tar.zst"

    @property
    def partial(self) -> Path:
        """The bundle while it is being written."""
        return self.folder / "shop.tar.zst.partial"

    def write(self, content: str | bytes, name: str = "app.yaml") -> None:
        """A file of the application."""
        path = self.folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def create(
        self, *images: str, text: str | bytes | None = None, options: Sequence[str] = ()
    ) -> Finished:
        """Bundle a deployment of these images, or of this text."""
        if images or text is not None:
            self.write(deployment("web", *images) if text is None else text)
        return run_here(self.folder, *self.command(*options))

    def command(self, *options: str) -> tuple[str | Path, ...]:
        """The command line of create."""
        return (
            *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1"),
            *("--key", "vendor.key", "--output", "shop.tar.zst", "--platform", "linux/amd64"),
            *("--mirror", f"*={self.proxy.host}", "--plain-http", self.proxy.host),
            *options,
        )

    def verify(self) -> Finished:
        """Verify the finished bundle."""
        command = ("airgap-bundle", "verify", "shop.tar.zst", "--key", "vendor.pub")
        return run_here(self.folder, *command)

    def statement(self) -> dict[str, Any]:
        """What was signed for, read without our own code."""
        raw = self.bundle.read_bytes()
        first = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        size = int(first[124:135], 8)
        payload = base64.b64decode(json.loads(first[512 : 512 + size])["payload"])
        found: dict[str, Any] = json.loads(payload)["predicate"]
        return found

    def fails(
        self, code: int | tuple[int, ...], *names: str, image: str = "team/app:1"
    ) -> Finished:
        """Make sure that create fails so, and that no bundle and nothing else is there."""
        outside = tree_of(self.folder.parent)
        done = refused(self.create(image), code, *names)
        assert not self.bundle.exists()
        new = set(tree_of(self.folder.parent)) - set(outside)
        assert all("/app" in name or name.endswith(".partial") for name in new), new
        return done
