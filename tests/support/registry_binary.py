"""The docker-registry program: found on PATH, or taken from Debian's package.

Used by the tests and by the demo, so it needs nothing but the standard library.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGE = "docker-registry"
_CHECKOUT = Path(__file__).resolve().parents[2]


class ToolMissing(Exception):
    """A program is neither here nor can be fetched; the text says what to install."""


def cache_folder() -> Path:
    """Where fetched programs are kept: AIRGAP_TEST_CACHE, or ``.cache`` of the checkout."""
    named = os.environ.get("AIRGAP_TEST_CACHE")
    return Path(named) if named else _CHECKOUT / ".cache"


def registry_binary(cache: Path | None = None) -> Path:
    """The path of a docker-registry program, fetched if need be.

    Raises:
        ToolMissing: not on PATH, and Debian's package could not be had.

    """
    cache = cache or cache_folder()
    found = _present(cache)
    if found is not None:
        return found
    with _locked(cache):
        found = _present(cache) or _installed() or _unpacked(cache)
    if found is None:
        raise ToolMissing(
            f"{PACKAGE} was not found and could not be fetched; install it with "
            f"'apt-get install {PACKAGE}' (Debian, Ubuntu) or put the program "
            f"'{PACKAGE}' of the CNCF distribution project on PATH"
        )
    return found


def unpack_package(package: str, folder: Path) -> bool:
    """Unpack a Debian package below ``folder`` without root; whether that worked.

    The machine's package lists are tried first, then lists fetched for this one call.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with TemporaryDirectory(prefix="airgap-apt-") as name:
        work = Path(name)
        own_lists = _own_lists(work)
        downloaded = _run(["apt-get", "download", package], work) or (
            _run(["apt-get", *own_lists, "update"], work)
            and _run(["apt-get", *own_lists, "download", package], work)
        )
        packages = sorted(work.glob("*.deb"))
        if not downloaded or not packages:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        return _run(["dpkg-deb", "-x", str(packages[0]), str(folder)], work)


def _present(cache: Path) -> Path | None:
    unpacked = _unpacked_path(cache)
    if unpacked.is_file():
        return unpacked
    found = shutil.which(PACKAGE)
    return Path(found) if found else None


def _unpacked_path(cache: Path) -> Path:
    return cache / PACKAGE / "usr" / "bin" / PACKAGE


def _installed() -> Path | None:
    """Debian's package installed on this machine, if we are root."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    install = ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGE]
    anywhere = Path("/")
    if not _run(install, anywhere):
        _run(["apt-get", "update"], anywhere)
        _run(install, anywhere)
    found = shutil.which(PACKAGE)
    return Path(found) if found else None


def _unpacked(cache: Path) -> Path | None:
    unpack_package(PACKAGE, cache / PACKAGE)
    path = _unpacked_path(cache)
    return path if path.is_file() else None


def _own_lists(work: Path) -> Sequence[str]:
    """Options that let apt-get keep its state in a folder of ours instead of root's."""
    (work / "state").mkdir()
    (work / "cache").mkdir()
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _run(command: Sequence[str], folder: Path) -> bool:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One process at a time: test workers start together."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
