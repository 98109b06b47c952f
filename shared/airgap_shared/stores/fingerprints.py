"""What the index says of parts, taken from the files themselves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from airgap_shared.bundle.parts import END_SIZE, Fingerprint, Part, PartIndex
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.joinedfile import OpenFile
from airgap_shared.stores.progress import Progress, counted

_READ_SIZE = 1 << 20


def take_fingerprint(file: OpenFile) -> Fingerprint:
    """What tells this file from other parts."""
    size = file.size
    length = min(size, END_SIZE)
    head, tail = (os.pread(file.descriptor, length, start) for start in (0, size - length))
    return Fingerprint(size, Digest.of(head), Digest.of(tail))


def index_parts(
    files: Sequence[OpenFile],
    names: Sequence[str],
    statement: Digest,
    jobs: int,
    progress: Progress,
) -> PartIndex:
    """The index of these files, which get these names; each is read once."""

    def take(numbered: tuple[str, OpenFile], stop: Stop) -> Part:
        name, file = numbered
        hasher = hashlib.sha256()
        for chunk in counted(stop.guard(_chunks(file)), progress):
            hasher.update(chunk)
        return Part(name, take_fingerprint(file), Digest("sha256", hasher.hexdigest()))

    progress.begin("index", sum(file.size for file in files), "bytes")
    try:
        parts = for_each(zip(names, files, strict=True), take, jobs)
    finally:
        progress.end()
    return PartIndex(statement, tuple(parts))


def _chunks(file: OpenFile) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(file.descriptor, _READ_SIZE, offset):
        yield chunk
        offset += len(chunk)
