"""The small content at the head of a bundle, finished or not: what need not be fetched again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from airgap_shared.bundle.statement import Member, Role, parse_statement
from airgap_shared.errors import AirgapError
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.medium import FileMedium, StreamMedium
from airgap_shared.stores.opening import check_metadata_size
from airgap_shared.stores.partfiles import open_bundle_file
from airgap_shared.stores.places import is_regular
from airgap_shared.trust.envelope import parse_envelope

_BUFFER = 256 * 1024


class _Sequence(io.RawIOBase):
    """A medium read from its beginning."""

    def __init__(self, medium: FileMedium) -> None:
        self._medium = medium
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        data = self._medium.read_at(self._offset, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


def read_head(path: Path, largest: int) -> dict[Digest, bytes]:
    """Manifests, and blobs of at most ``largest`` bytes before the first that is larger.

    Each has its digest; nothing else is verified, no signature either. What is no bundle, or is
    damaged, gives what could be read before.
    """
    if not is_regular(path):
        return {}
    try:
        with open_bundle_file(path) as medium:
            return head_of(medium, largest)
    except AirgapError:
        return {}


def head_of(medium: FileMedium, largest: int) -> dict[Digest, bytes]:
    """The same of a bundle that is open."""
    found: dict[Digest, bytes] = {}
    with suppress(AirgapError):
        for member, content in _members(medium, largest):
            if member.role in (Role.MANIFEST, Role.BLOB):
                found[member.digest] = content
    return found


def _members(medium: FileMedium, largest: int) -> Iterator[tuple[Member, bytes]]:
    stream = StreamMedium(io.BufferedReader(_Sequence(medium), _BUFFER), medium.name)
    statement = parse_statement(parse_envelope(stream.read_envelope()).payload)
    check_metadata_size(statement)
    stream.expect(statement.members)
    for position, member in enumerate(statement.members):
        if member.role is Role.BLOB and member.size > largest:
            return
        yield member, b"".join(stream.read(position))
