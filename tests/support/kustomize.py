"""The kustomize programs that tests render with: those on PATH, and an old kubectl from Debian."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.registry_binary import cache_folder, unpack_package

PACKAGE = "kubernetes-client"
NOT_HERE = {
    "kubectl": "kubectl is not on PATH",
    "kustomize": "kustomize is not on PATH",
    "old-kubectl": f"Debian's package {PACKAGE} could not be had",
}


@dataclass(frozen=True, slots=True)
class Kustomize:
    """A program that renders: ``COMMAND... DIRECTORY``."""

    name: str
    command: tuple[str, ...]

    def build(self, directory: Path) -> str:
        """What it prints; fails when it fails."""
        done = subprocess.run(
            [*self.command, str(directory)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{self.name}: {done.stderr}"
        return done.stdout


def find_kustomize(name: str) -> Kustomize | None:
    """One of the programs of :data:`NOT_HERE`; None when it is not to be had."""
    program = _old_kubectl(cache_folder()) if name == "old-kubectl" else shutil.which(name)
    if program is None:
        return None
    return Kustomize(name, (program, "build" if name == "kustomize" else "kustomize"))


def _old_kubectl(cache: Path) -> str | None:
    """The kubectl of Debian's package, unpacked into the cache."""
    program = cache / PACKAGE / "usr" / "bin" / "kubectl"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            unpack_package(PACKAGE, cache / PACKAGE)
    return str(program) if program.is_file() else None
