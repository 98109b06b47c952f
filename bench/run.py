"""Create and apply side by side with skopeo, tar and zstd; run by ``make bench``.

Each round runs ours and the peer's, one after the other, on the same images between the same
kinds of throwaway registries; who begins changes with every round. What counts are the ratios:
single times depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.images import Named, push_folder, push_made
from bench.meter import used
from bench.report import Cost, Pairs, Results, report_document, report_text
from bench.steps import Bench, Half

from support.docker_registry import DockerRegistry, RegistryOptions
from support.tls import Authority, Certificate

_TOOLS = ("skopeo", "tar", "zstd")


@dataclass(frozen=True, slots=True)
class Contest:
    """All rounds of one kind of registry; what each run took is gathered by step."""

    bench: Bench
    registry: RegistryOptions
    costs: dict[str, tuple[list[Cost], list[Cost]]] = field(default_factory=dict)

    def run(self, rounds: int, brief: bool) -> Results:
        """Run everything so many times; ``brief`` leaves repetitions and interruptions out."""
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
            self._create(turn)
            self._apply(turn, brief)
            if not brief:
                self._interrupted_create(turn)
            self._clean("ours", "peer")
        return {step: Pairs(ours, peer) for step, (ours, peer) in self.costs.items()}

    def _create(self, turn: int) -> None:
        self._both("create", turn, self.bench.create, self.bench.peer_create)

    def _apply(self, turn: int, brief: bool) -> None:
        """Into empty registries, into the same again, and on after half of it."""
        targets = [self._target(f"target-{kind}") for kind in ("ours", "peer")]
        with targets[0] as ours, targets[1] as peer:
            steps = (lambda: self.bench.apply(ours.host), lambda: self._peer_apply(peer.host))
            self._both("apply", turn, *steps)
            size = used(str(ours.storage.root))
            if not brief:
                self._both("apply again", turn, *steps)
        self._clean("target-ours", "target-peer", "unpacked", "overlay")
        if brief:
            return
        targets = [self._target(f"target-{kind}") for kind in ("ours", "peer")]
        with targets[0] as ours, targets[1] as peer:
            self.bench.apply(ours.host, Half(ours.storage.root, size // 2))
            self._peer_apply(peer.host, Half(peer.storage.root, size // 2))
            steps = (lambda: self.bench.apply(ours.host), lambda: self._peer_apply(peer.host))
            self._both("apply after half", turn, *steps)
        self._clean("target-ours", "target-peer", "unpacked", "overlay")

    def _peer_apply(self, target: str, half: Half | None = None) -> Cost:
        self._clean("unpacked")
        return self.bench.peer_apply(target, half)

    def _interrupted_create(self, turn: int) -> None:
        """Half of the bytes, and the rest: of the peer's, half of its layout."""
        ours, peer = (self.bench.folder / name for name in ("ours", "peer"))
        sizes = used(str(ours)), used(str(peer / "layout"))
        self._clean("ours", "peer")
        self.bench.create(Half(ours, sizes[0] // 2))
        self.bench.peer_create(Half(peer, sizes[1] // 2))
        self._both("create after half", turn, self.bench.create, self.bench.peer_create)

    def _both(
        self, step: str, turn: int, ours: Callable[[], Cost], peer: Callable[[], Cost]
    ) -> None:
        kept = self.costs.setdefault(step, ([], []))
        pair = list(zip(kept, (ours, peer), strict=True))
        for costs, run in pair if turn % 2 == 0 else reversed(pair):
            costs.append(run())

    def _target(self, name: str) -> DockerRegistry:
        folder = self.bench.folder / name
        folder.mkdir()
        return DockerRegistry(folder, self.registry)

    def _clean(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.bench.folder / name, ignore_errors=True)


def main() -> None:
    """Run all rounds and print medians and ratios."""
    options = _arguments()
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        sys.exit(f"bench: install {', '.join(missing)}, the peer")
    with tempfile.TemporaryDirectory(prefix="airgap-bench-") as name:
        _measure(Path(name), options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="a folder with images.tsv and oci/NAME_TAG/"
    )
    parser.add_argument("--count", type=int, default=5, metavar="N", help="of images made here")
    parser.add_argument("--megabytes", type=int, default=60, metavar="N", help="of each of them")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--brief", action="store_true", help="create and apply only")
    parser.add_argument("--tls", action="store_true", help="the same once more over TLS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run, for programs")
    return parser.parse_args()


def _measure(folder: Path, options: argparse.Namespace) -> None:
    place = folder / "source"
    place.mkdir()
    with DockerRegistry(place) as source:
        images = _push(source.host, options)
    blobs = source.storage.blobs().values()
    size = sum(blobs)
    document: dict[str, object] = {
        "machine": _machine(),
        "images": len(images),
        "blobs": len(blobs),
        "bytes": size,
    }
    title = f"{len(images)} images, {len(blobs)} blobs and manifests, {size / 1e6:.1f} MB"
    kinds: list[tuple[str, Certificate | None]] = [("http", None)]
    if options.tls:
        kinds.append(("https", Authority(folder / "authority").issue()))
    for name, certificate in kinds:
        results = _contest(folder, place, images, certificate, options)
        print(report_text(f"{title}, {options.rounds} rounds, {name}", results), flush=True)
        document[name] = report_document(results)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _push(host: str, options: argparse.Namespace) -> list[Named]:
    if options.images is not None:
        return push_folder(host, options.images.resolve())
    return push_made(host, options.count, options.megabytes * 1_000_000)


def _contest(
    folder: Path,
    place: Path,
    images: Sequence[Named],
    certificate: Certificate | None,
    options: argparse.Namespace,
) -> Results:
    """All rounds between registries that speak TLS if there is a certificate."""
    registry = RegistryOptions(tls=certificate, processors=None)
    authority = None
    if certificate is not None:
        authority = folder / "ca"
        authority.mkdir()
        shutil.copy(certificate.ca, authority / "ca.crt")
    with DockerRegistry(place, registry) as source:
        # Every round finds what it reads in the page cache, the first one, too.
        for path in source.storage.root.rglob("data"):
            path.read_bytes()
        bench = Bench(
            folder / ("work-tls" if certificate else "work"), source.host, images, authority
        )
        bench.folder.mkdir()
        bench.prepare()
        results = Contest(bench, registry).run(options.rounds, options.brief)
        shutil.rmtree(bench.folder)
    return results


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{tool: _version(tool) for tool in _TOOLS},
    }


def _version(tool: str) -> str:
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.partition("\n")[0]


if __name__ == "__main__":
    main()
