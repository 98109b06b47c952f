"""Create and apply side by side with skopeo, tar and zstd; run by ``make bench``.

Each round runs ours and the peer's, one after the other, on the same images between the same
kinds of throwaway registries. What counts are the ratios: single times depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.docker_registry import DockerRegistry
from support.images import generated_layer, make_image
from support.pushing import push_image

_REPOSITORY = "bench/image"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took: seconds, seconds of CPU, bytes of memory of the largest process."""

    wall: float
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class Bench:
    """One folder with a source registry that holds ``count`` images."""

    folder: Path
    source: str
    count: int

    def create(self) -> Cost:
        """Ours: from the registry to one signed file, read back."""
        images = [
            word
            for number in range(self.count)
            for word in ("--image", f"{self.source}/{_REPOSITORY}{number}:1")
        ]
        return self._run(
            ["airgap-bundle", "create", "--name", "bench", "--version", "1", "--key", "key.key",
             "--output", "ours.tar.zst", "--plain-http", self.source, *images]
        )  # fmt: skip

    def peer_create(self) -> Cost:
        """The peer's: from the registry to a layout, packed and compressed; nothing is signed."""
        copies = [
            f"skopeo copy -q --src-tls-verify=false docker://{self.source}/{_REPOSITORY}{number}:1 "
            f"oci:layout:image{number}"
            for number in range(self.count)
        ]
        pack = "tar -C layout -cf - . | zstd -q -3 -T0 -f -o peer.tar.zst && sync peer.tar.zst"
        return self._shell("rm -rf layout", *copies, pack)

    def apply(self, target: str) -> Cost:
        """Ours: verified and pushed, tags and overlay written."""
        return self._run(
            ["airgap-import", "apply", "ours.tar.zst", "--key", "key.pub", "--plain-http",
             "--registry-endpoint", target, "--image-namespace", "bench",
             "--output", f"out-{target}"]
        )  # fmt: skip

    def peer_apply(self, target: str) -> Cost:
        """The peer's: unpacked and pushed; nothing is verified but digests."""
        copies = [
            f"skopeo copy -q --preserve-digests --dest-tls-verify=false oci:unpacked:image{number} "
            f"docker://{target}/bench/image{number}:1"
            for number in range(self.count)
        ]
        unpack = "mkdir unpacked && tar --zstd -xf peer.tar.zst -C unpacked"
        return self._shell("rm -rf unpacked", unpack, *copies)

    def keygen(self) -> None:
        """A key to sign with."""
        self._run(["airgap-bundle", "keygen", "key"])

    def _shell(self, *lines: str) -> Cost:
        return self._run(["sh", "-ec", "\n".join(lines)])

    def _run(self, command: Sequence[str]) -> Cost:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "AIRGAP_STATE_DIR": str(self.folder / "state")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        complaint = process.stderr.read()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench: {command[0]} failed: {complaint.decode(errors='replace')}")
        wall = time.monotonic() - started
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> None:
    """Run all rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=4, metavar="N")
    parser.add_argument("--megabytes", type=int, default=250, metavar="N", help="of each image")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    if shutil.which("skopeo") is None:
        sys.exit("bench: install skopeo, the peer")
    with tempfile.TemporaryDirectory(prefix="airgap-bench-") as name:
        _measure(Path(name), options.images, options.megabytes * 1_000_000, options.rounds)


def _measure(folder: Path, count: int, size: int, rounds: int) -> None:
    results: dict[str, list[Cost]] = {}
    with DockerRegistry(_made(folder / "source")) as source:
        for number in range(count):
            image = make_image([generated_layer(size, number)])
            push_image(source.host, f"{_REPOSITORY}{number}", "1", image)
        bench = Bench(folder, source.host, count)
        bench.keygen()
        for turn in range(rounds):
            results.setdefault("create", []).append(bench.create())
            results.setdefault("peer create", []).append(bench.peer_create())
            for kind, run in (("apply", bench.apply), ("peer apply", bench.peer_apply)):
                place = _made(folder / f"target-{kind[:4]}-{turn}")
                with DockerRegistry(place) as target:
                    results.setdefault(kind, []).append(run(target.host))
                shutil.rmtree(place)
    _report(results, count * size)


def _report(results: dict[str, list[Cost]], size: int) -> None:
    print(
        f"{size / 1e6:.0f} MB, medians of {len(results['create'])} rounds; peer: skopeo, tar, zstd"
    )
    for kind in ("create", "apply"):
        ours, peer = results[kind], results[f"peer {kind}"]
        ratio = statistics.median(a.wall / b.wall for a, b in zip(ours, peer, strict=True))
        for label, costs in ((kind, ours), (f"peer {kind}", peer)):
            print(
                f"  {label:<12} {statistics.median(c.wall for c in costs):6.2f} s  "
                f"cpu {statistics.median(c.cpu for c in costs):6.2f} s  "
                f"memory {max(c.memory for c in costs) / 1e6:4.0f} MB"
            )
        print(f"  {kind} takes {ratio:.2f} of the peer's time")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
