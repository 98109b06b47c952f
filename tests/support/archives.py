"""A bundle as other people's tools list and read it: GNU tar, libarchive, Python."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """Names and sizes in order, and the content of all members, one after the other."""

    entries: Sequence[tuple[str, int]]
    content: bytes


def listings(bundle: bytes) -> dict[str, Listing]:
    """What each tool makes of a bundle that zstd unpacked, by the tool's name."""
    archive = _run("zstd", "-dcq", given=bundle)
    return {
        "GNU tar": Listing(
            [_entry(line, 2, 5) for line in _lines("tar", "-tvf", "-", given=archive)],
            _run("tar", "-xOf", "-", given=archive),
        ),
        "libarchive": Listing(
            [_entry(line, 4, 8) for line in _lines("bsdtar", "-tvf", "-", given=archive)],
            _run("bsdtar", "-xOf", "-", given=archive),
        ),
        "tarfile": _by_python(archive),
    }


def _by_python(archive: bytes) -> Listing:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
        members = opened.getmembers()
        files = [opened.extractfile(member) for member in members]
        assert all(member.isreg() for member in members)
        content = b"".join(file.read() for file in files if file is not None)
    return Listing([(member.name, member.size) for member in members], content)


def _entry(line: str, size: int, name: int) -> tuple[str, int]:
    fields = line.split()
    assert line.startswith("-rw-r--r--"), line
    return fields[name], int(fields[size])


def _lines(*command: str, given: bytes) -> list[str]:
    return _run(*command, given=given).decode().splitlines()


def _run(*command: str, given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    assert done.stderr == b"", (command, done.stderr)
    return done.stdout
