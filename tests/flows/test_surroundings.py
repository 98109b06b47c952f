"""What lies around is not read: no module, setting, policy or key of the folder or the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import Finished
from support.hostile import Draft, Key
from support.images import make_image
from support.journey import deployment, refused, succeeded

_PROGRAM = Path(sys.executable).parent / "airgap-import"
_MODULES = (
    "yaml",
    "typer",
    "requests",
    "sitecustomize",
    "usercustomize",
    "zstandard",
    "airgap_shared",
)
_SETTINGS = ("policy.json", "airgap-import.json", ".netrc", ".docker/config.json", "vendor.pub")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A medium with a bundle, and everything beside it that an attacker may hope for."""
    key = Key()
    folder = tmp_path / "disk"
    (folder / ".docker").mkdir(parents=True)
    draft = Draft.of(
        {"docker.io/team/app:1": make_image([b"x"])}, {"app.yaml": deployment("web", "team/app:1")}
    )
    (folder / "shop.tar.zst").write_bytes(draft.pack(key))
    for name in _MODULES:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} of the disk was run')\n")
    for name in _SETTINGS:
        (folder / name).write_text('{"keys": {}}')
    (tmp_path / "trusted.pub").write_bytes(key.public_pem)
    (tmp_path / "home").mkdir()
    return folder


def _run(disk: Path, *arguments: str) -> Finished:
    if not _PROGRAM.exists():
        pytest.skip("the command is not installed beside this Python")
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=openat,open", "-o", "../opened", _PROGRAM, *arguments],
        cwd=disk,
        env={"PATH": os.environ["PATH"], "HOME": str(disk.parent / "home"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def _opened(disk: Path) -> set[str]:
    """The files of the medium that were opened."""
    lines = (disk.parent / "opened").read_text().splitlines()
    names = {line.partition('"')[2].partition('"')[0] for line in lines if "ENOENT" not in line}
    inside = {os.path.relpath(disk / name, disk) for name in names}
    return {name for name in inside if not name.startswith("..")}


@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="strace is not installed")
class TestTheMediumAsWorkingDirectory:
    def test_says_not_whom_to_trust(self, disk: Path) -> None:
        refused(_run(disk, "verify", "shop.tar.zst"), 2, "NoTrustConfigured")
        assert _opened(disk) <= {"shop.tar.zst", "."}

    def test_is_read_for_the_bundle_alone(self, disk: Path) -> None:
        done = _run(disk, "verify", "shop.tar.zst", "--key", "../trusted.pub")
        assert "every byte is as signed" in succeeded(done).out
        assert _opened(disk) <= {"shop.tar.zst", "."}

    def test_is_read_for_the_bundle_alone_by_apply(self, disk: Path) -> None:
        done = _run(
            disk,
            *("apply", "shop.tar.zst", "--key", "../trusted.pub", "--output", "../deploy"),
            *("--registry-endpoint", "127.0.0.1:9", "--image-namespace", "n", "--plain-http"),
            *("--dry-run",),
        )
        refused(done, 20, "RegistryUnavailable")
        assert _opened(disk) <= {"shop.tar.zst", "."}
