"""The steps that are compared: ours, and the same with skopeo, tar and zstd."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.images import Named
from bench.report import Cost

import airgap_bundler
import airgap_importer
import airgap_shared

_PACKAGES = (airgap_bundler, airgap_importer, airgap_shared)
_HINDRANCES = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})
_METER = Path(__file__).with_name("meter.py")


@dataclass(frozen=True, slots=True)
class Half:
    """A run that is killed when ``size`` bytes are on the disk in ``folder``."""

    folder: Path
    size: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder to work in, a source registry that holds ``images``, and how registries speak.

    ``ca`` is the folder with the authority ``ca.crt`` when they speak TLS.
    """

    folder: Path
    source: str
    images: Sequence[Named]
    ca: Path | None = None

    def prepare(self) -> None:
        """A key to sign with, and bytecode of our modules, as an installation has it."""
        folders = [str(Path(module.__file__ or "").parent) for module in _PACKAGES]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], check=True)
        self._run([_program("airgap-bundle"), "keygen", "key"])

    def create(self, half: Half | None = None) -> Cost:
        """Ours: from the registry to one signed file, read back."""
        images = [f"--image={self.source}/{image.path}" for image in self.images]
        command = [_program("airgap-bundle"), "create", "--name=bench", "--version=1",
                   "--key=key.key", "--output=ours/ours.tar.zst"]  # fmt: skip
        trust = [f"--ca-file={self.ca}/ca.crt"] if self.ca else [f"--plain-http={self.source}"]
        return self._run([*command, *trust, *images], "ours", half)

    def apply(self, target: str, half: Half | None = None) -> Cost:
        """Ours: verified and pushed, tags and overlay written."""
        command = [_program("airgap-import"), "apply", "ours/ours.tar.zst", "--key=key.pub",
                   f"--registry-endpoint={target}", "--image-namespace=bench",
                   f"--output=overlay/{target.replace(':', '-')}", "--format=json"]  # fmt: skip
        trust = f"--ca-file={self.ca}/ca.crt" if self.ca else "--plain-http"
        return self._run([*command, trust], "overlay", half)

    def peer_create(self, half: Half | None = None) -> Cost:
        """The peer's: from the registry to a layout, packed and compressed; nothing is signed."""
        options = "--src-tls-verify=false" if self.ca is None else f"--src-cert-dir={self.ca}"
        copies = [
            f"skopeo --insecure-policy copy -q {options} docker://{self.source}/{image.path} "
            f"oci:peer/layout:{image.label}"
            for image in self.images
        ]
        pack = "tar -C peer/layout -cf - . | zstd -q -3 -T0 -f -o peer/peer.tar.zst"
        return self._shell("peer", [*copies, pack, "sync peer/peer.tar.zst"], half)

    def peer_apply(self, target: str, half: Half | None = None) -> Cost:
        """The peer's: unpacked and pushed; nothing is verified but digests."""
        options = "--dest-tls-verify=false" if self.ca is None else f"--dest-cert-dir={self.ca}"
        copies = [
            f"skopeo --insecure-policy copy -q --preserve-digests {options} "
            f"oci:unpacked:{image.label} docker://{target}/{image.path}"
            for image in self.images
        ]
        unpack = "mkdir -p unpacked; zstd -q -dc peer/peer.tar.zst | tar -C unpacked -xf -"
        return self._shell("unpacked", [unpack, *copies], half)

    def _shell(self, folder: str, lines: Sequence[str], half: Half | None) -> Cost:
        return self._run(["sh", "-ec", "\n".join(lines)], folder, half)

    def _environment(self) -> dict[str, str]:
        """Ours, without what keeps Python from writing and using bytecode."""
        kept = {name: text for name, text in os.environ.items() if name not in _HINDRANCES}
        return {**kept, "AIRGAP_STATE_DIR": str(self.folder / "state")}

    def _run(self, command: Sequence[str], folder: str = ".", half: Half | None = None) -> Cost:
        """Run under the meter; ``folder`` is where the step leaves its files."""
        left = self.folder / folder
        left.mkdir(exist_ok=True)
        # What earlier steps have written is on the disk before the clock starts.
        os.sync()
        until = ["--until", str(half.folder), str(half.size)] if half else []
        result, output = self.folder / "result.json", self.folder / "output"
        with output.open("wb") as stdout, (self.folder / "errors").open("wb") as stderr:
            subprocess.run(
                [sys.executable, "-I", "-S", _METER, result, *until, *command],
                cwd=self.folder,
                env=self._environment(),
                stdout=stdout,
                stderr=stderr,
                check=True,
            )
        measured = json.loads(result.read_text())
        status = measured.pop("status")
        if status and half is None:
            complaint = (self.folder / "errors").read_text(errors="replace")
            sys.exit(f"bench: {shlex.join(command)[:300]} failed: {complaint}")
        return Cost(**measured, left=_size(left), sent=_sent(output.read_bytes()))


def _program(name: str) -> str:
    """One of our commands, of the same environment as this very interpreter."""
    return str(Path(sys.executable).with_name(name))


def _size(folder: Path) -> int:
    """The sizes of all files below a folder, together."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _sent(output: bytes) -> int | None:
    """The bytes of blobs that an import says it sent; nothing where it does not say."""
    try:
        document = json.loads(output)
    except ValueError:
        return None
    push = document.get("push") if isinstance(document, dict) else None
    found = push.get("bytes_sent") if isinstance(push, dict) else None
    return found if isinstance(found, int) else None
