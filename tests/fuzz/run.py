"""Fuzz targets for so many seconds each: ``python tests/fuzz/run.py [TARGET …] --seconds N``.

Inputs that led somewhere new are kept in .cache/fuzz and are where the next run begins. An
input that breaks a promise, takes over a second or over 200 MB without the fuzzer's
instrumentation is a finding: it is copied to tests/fuzz/findings, where every test run feeds it
again, and the run ends with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
sys.path[:0] = [str(_ROOT / name) for name in ("shared", "bundler", "importer", "tests")]

from fuzz.targets import FINDINGS, NAMES, load_target  # noqa: E402

_CACHE = _ROOT / ".cache" / "fuzz"
SECONDS = 1.0
MEMORY = 200 * 1000 * 1000
#: The fuzzer's own process is slower and larger; what it stops at is measured again without it.
_ENGINE_LIMITS = ("-timeout=15", "-report_slow_units=1", "-rss_limit_mb=1024")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(slots=True)
class Run:
    """One target's run: executions, and what it found."""

    name: str
    executions: int = 0
    longest: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return _CACHE / self.name

    def go(self, seconds: int) -> None:
        """Fuzz until the time is over or something is found."""
        self._prepare()
        ends = time.monotonic() + seconds
        while (left := int(ends - time.monotonic())) > 0 and not self.findings:
            engine = self._engine(left)
            log = (self.folder / "log").read_text(errors="replace")
            self.executions += sum(map(int, _EXECUTIONS.findall(log)))
            artifacts = sorted((self.folder / "artifacts").iterdir())
            for artifact in artifacts:
                self._judge(artifact)
                artifact.unlink()
            if engine != 0 and not artifacts:
                self.findings.append(f"the fuzzer ended with {engine}: {log[-2000:]}")

    def cost(self) -> dict[str, object]:
        """What all kept inputs cost; one too dear is a finding."""
        corpus = self.folder / "corpus"
        found = _measure(self.name, corpus)
        if found["failed"]:
            self.findings.append(f"{found['failed']}: {found['failure']}")
        if isinstance(slowest := found["slowest"], float) and slowest > SECONDS:
            self._keep(Path(str(found["slow"])), "slow")
        if isinstance(peak := found["peak"], int) and peak > MEMORY:
            self.findings.append(f"{peak} bytes of memory for the inputs in {corpus}")
        return found

    def _prepare(self) -> None:
        for name in ("corpus", "artifacts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for old in (self.folder / "artifacts").iterdir():
            old.unlink()
        target = load_target(self.name)
        self.longest = target.longest
        for seed in target.seeds():
            (self.folder / "corpus" / hashlib.sha1(seed).hexdigest()).write_bytes(seed)  # noqa: S324
        words = (f'"{_escaped(word)}"\n' for word in target.words)
        (self.folder / "words").write_text("".join(words) or "# none\n")

    def _engine(self, seconds: int) -> int:
        with (self.folder / "log").open("wb") as log:
            done = subprocess.run(
                [
                    *(sys.executable, _HERE / "engine.py", self.name, self.folder / "artifacts"),
                    *(
                        f"-max_total_time={seconds}",
                        f"-max_len={self.longest}",
                        "-print_final_stats=1",
                    ),
                    f"-dict={self.folder / 'words'}",
                    f"-artifact_prefix={self.folder / 'artifacts'}/",
                    *_ENGINE_LIMITS,
                    self.folder / "corpus",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode

    def _judge(self, artifact: Path) -> None:
        """Keep what is a finding without the fuzzer, too; the rest was only slow inside it."""
        found = _measure(self.name, artifact)
        slowest, peak = found["slowest"], found["peak"]
        if found["failed"]:
            self._keep(artifact, "failure", str(found["failure"]))
        elif isinstance(slowest, float) and slowest > SECONDS:
            self._keep(artifact, "slow", f"{slowest} s")
        elif isinstance(peak, int) and peak > MEMORY:
            self._keep(artifact, "large", f"{peak} bytes")

    def _keep(self, path: Path, kind: str, text: str = "") -> None:
        data = path.read_bytes()
        kept = FINDINGS / self.name / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
        self.findings.append(f"{kept.relative_to(_ROOT)}: {text}")


def _escaped(word: bytes) -> str:
    """As libFuzzer reads dictionaries."""
    plain = (32 <= byte < 127 and byte not in b'"\\' for byte in word)
    return "".join(
        chr(byte) if kept else f"\\x{byte:02x}" for byte, kept in zip(word, plain, strict=True)
    )


def _measure(name: str, path: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, _HERE / "measure.py", name, path],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        text = f"ended with {done.returncode}: {done.stderr[-2000:]}"
        return {"inputs": 0, "slowest": 0.0, "peak": 0, "failed": str(path), "failure": text}
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def main() -> int:
    """Fuzz; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    bad = False
    for name in chosen.targets or NAMES:
        run = Run(name)
        run.go(chosen.seconds)
        cost = run.cost()
        print(
            f"{name:20} {run.executions:>10} inputs tried, {cost['inputs']} kept; slowest "
            f"{cost['slowest']} s, peak {int(str(cost['peak'])) / 1e6:.0f} MB, "
            f"{len(run.findings)} findings",
            flush=True,
        )
        for finding in run.findings:
            print(f"  {finding}", flush=True)
        bad = bad or bool(run.findings)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
