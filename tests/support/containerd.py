"""A private containerd: its own root, state and address, ended with the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from support.waiting import wait_until

_NEEDED = ("containerd", "ctr")


def why_no_containerd() -> str:
    """What is missing for one; empty when nothing is."""
    if os.geteuid() != 0:
        return "containerd needs root"
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    return f"{' and '.join(missing)} not on PATH" if missing else ""


class Containerd:
    """A context manager; everything of it lives in ``folder``, whose path must be short."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = folder / "c.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        config = self._folder / "config.toml"
        settings = {
            "root": self._folder / "root",
            "state": self._folder / "state",
        }
        lines = [f"{name} = {json.dumps(str(path))}" for name, path in settings.items()]
        disabled = '["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]'
        config.write_text(
            "\n".join(
                [
                    "version = 2",
                    f"disabled_plugins = {disabled}",
                    *lines,
                    "[grpc]",
                    f"address = {json.dumps(str(self._address))}",
                    "",
                ]
            )
        )
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["containerd", "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self._ended() or self.ctr("version").returncode == 0, "containerd")
        assert not self._ended(), (self._folder / "log").read_text()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ctr against it."""
        return subprocess.run(
            ["ctr", "--address", self._address, "--namespace", "test", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None
