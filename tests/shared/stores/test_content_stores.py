"""One contract for every place that holds verified content.

A further store joins with one more entry in ``PLACES``: how it comes to hold some content under
the digests that were promised for it, and how it is read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol, runtime_checkable

import pytest

from airgap_shared.bundle.names import ENVELOPE, blob_path
from airgap_shared.bundle.statement import Member, Role
from airgap_shared.errors import AirgapError, DigestMismatch
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.medium import FileMedium, Medium, StreamMedium
from airgap_shared.stores.registry import Registry
from support.clients import body_of, http_client
from support.docker_registry import DockerRegistry, RegistryOptions
from support.hostile import pack, segment_of

MIB = 1 << 20
RANDOM = Random(3).randbytes(5 * MIB + 7)  # noqa: S311 - repeatable on purpose
CONTENTS = [b"", b"x", RANDOM[:512], RANDOM[:MIB], RANDOM[: MIB + 1], bytes(2 * MIB), RANDOM]
LARGE = RANDOM


@dataclass(frozen=True, slots=True)
class Promise:
    """Content as it was promised, and what the place really holds; None is nothing at all."""

    content: bytes
    held: bytes | None

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


class Content(Protocol):
    """One place, filled with the promises, read by their numbers."""

    def read(self, number: int) -> Iterator[bytes]:
        """Verified content in pieces."""


@runtime_checkable
class Offsets(Protocol):
    """A place that can also begin in the middle, unverified."""

    def read_from(self, number: int, offset: int) -> Iterator[bytes]: ...


class InBundle:
    """Content in a bundle that is read through a medium."""

    def __init__(self, medium: Medium, promises: Sequence[Promise]) -> None:
        medium.read_envelope()
        members = [
            Member(blob_path(p.digest), len(p.content), p.digest, Role.BLOB) for p in promises
        ]
        medium.expect(members)
        self._medium = medium

    def read(self, number: int) -> Iterator[bytes]:
        return self._medium.read(number)


class InRegistry:
    """Content in a repository of a real registry."""

    def __init__(self, client: Registry, promises: Sequence[Promise]) -> None:
        self._client = client
        self._promises = promises

    def read(self, number: int) -> Iterator[bytes]:
        promise = self._promises[number]
        return self._client.fetch_blob("app", promise.digest, len(promise.content))

    def read_from(self, number: int, offset: int) -> Iterator[bytes]:
        promise = self._promises[number]
        return self._client.blob_chunks("app", promise.digest, len(promise.content), offset)


def archive(promises: Sequence[Promise]) -> bytes:
    held = [(blob_path(p.digest), p.held) for p in promises if p.held is not None]
    segments = [segment_of(path, data) for path, data in held]
    return pack([segment_of(ENVELOPE, b"{}"), *segments, bytes(1024)])


@contextmanager
def file_medium(folder: Path, promises: Sequence[Promise]) -> Iterator[InBundle]:
    path = folder / "bundle"
    path.write_bytes(archive(promises))
    with FileMedium(path) as medium:
        yield InBundle(medium, promises)


@contextmanager
def stream_medium(folder: Path, promises: Sequence[Promise]) -> Iterator[InBundle]:
    yield InBundle(StreamMedium(io.BytesIO(archive(promises))), promises)


@contextmanager
def registry(folder: Path, promises: Sequence[Promise]) -> Iterator[InRegistry]:
    with (
        DockerRegistry(folder, RegistryOptions()) as server,
        http_client(server.host) as client,
    ):
        for promise in promises:
            if promise.held is not None:
                size = len(promise.content)
                client.push_blob("app", promise.digest, size, body_of(promise.content))
                if promise.held != promise.content:
                    server.storage.blob_path(str(promise.digest)).write_bytes(promise.held)
        yield InRegistry(client, promises)


@dataclass(frozen=True, slots=True)
class Place:
    """How to fill a place, and what it can do beside reading in order."""

    fill: Callable[[Path, Sequence[Promise]], AbstractContextManager[Content]]
    any_order: bool = True
    offsets: bool = False


PLACES = {
    "file": Place(file_medium),
    "pipe": Place(stream_medium, any_order=False),
    "registry": Place(registry, offsets=True),
}
IN_ANY_ORDER = [name for name, place in PLACES.items() if place.any_order]
WITH_OFFSETS = [name for name, place in PLACES.items() if place.offsets]

Fill = Callable[[str, Sequence[Promise]], Content]


@pytest.fixture
def fill(tmp_path: Path) -> Iterator[Fill]:
    """Fill the place of this name."""
    with ExitStack() as stack:

        def enter(name: str, promises: Sequence[Promise]) -> Content:
            return stack.enter_context(PLACES[name].fill(tmp_path, promises))

        yield enter


def kept(*contents: bytes) -> list[Promise]:
    return [Promise(content, content) for content in contents]


@pytest.mark.parametrize("place", PLACES)
def test_what_was_put_comes_back_in_bounded_pieces(fill: Fill, place: str) -> None:
    store = fill(place, kept(*CONTENTS))
    for number, content in enumerate(CONTENTS):
        pieces = list(store.read(number))
        assert b"".join(pieces) == content
        assert all(len(piece) <= MIB for piece in pieces)


@pytest.mark.parametrize("place", IN_ANY_ORDER)
def test_content_is_read_again_and_in_any_order(fill: Fill, place: str) -> None:
    store = fill(place, kept(*CONTENTS))
    for number in (6, 0, 3, 6, 1):
        assert b"".join(store.read(number)) == CONTENTS[number]


@pytest.mark.parametrize("place", IN_ANY_ORDER)
def test_a_reader_that_gives_up_disturbs_no_other(fill: Fill, place: str) -> None:
    store = fill(place, kept(*CONTENTS))
    abandoned = store.read(6)
    next(abandoned)
    assert b"".join(store.read(6)) == LARGE
    del abandoned
    assert b"".join(store.read(5)) == CONTENTS[5]


@pytest.mark.parametrize("place", IN_ANY_ORDER)
def test_several_read_at_once(fill: Fill, place: str) -> None:
    store = fill(place, kept(*CONTENTS))
    numbers = [*range(len(CONTENTS))] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: b"".join(store.read(number)), numbers))
    assert found == [CONTENTS[number] for number in numbers]


@pytest.mark.parametrize("place", WITH_OFFSETS)
@pytest.mark.parametrize("offset", [0, 1, MIB, len(LARGE) - 1])
def test_reading_begins_where_it_is_told(fill: Fill, place: str, offset: int) -> None:
    store = fill(place, kept(LARGE))
    assert isinstance(store, Offsets)
    assert b"".join(store.read_from(0, offset)) == LARGE[offset:]


def passed_on(chunks: Iterator[bytes]) -> tuple[bytes, AirgapError]:
    """What was handed out before the refusal, and the refusal."""
    found: list[bytes] = []
    with pytest.raises(AirgapError) as caught:
        found.extend(chunks)
    return b"".join(found), caught.value


def flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("position", [0, MIB, len(LARGE) - 1])
def test_other_content_is_refused_and_its_end_withheld(
    fill: Fill, place: str, position: int
) -> None:
    wrong = flipped(LARGE, position)
    found, problem = passed_on(fill(place, [Promise(LARGE, wrong)]).read(0))
    assert isinstance(problem, DigestMismatch)
    assert str(Digest.of(LARGE)) in str(problem)
    assert len(found) < len(LARGE)
    assert wrong.startswith(found)


@pytest.mark.parametrize("place", PLACES)
def test_of_small_wrong_content_nothing_is_seen(fill: Fill, place: str) -> None:
    found, problem = passed_on(fill(place, [Promise(b"right", b"wrong")]).read(0))
    assert isinstance(problem, DigestMismatch)
    assert found == b""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("held", [LARGE[:-1], LARGE + b"x", LARGE[:MIB], b"", LARGE * 2])
def test_content_of_another_size_is_refused_and_its_end_withheld(
    fill: Fill, place: str, held: bytes
) -> None:
    with pytest.raises(AirgapError) as caught:
        found = b""
        for piece in fill(place, [Promise(LARGE, held)]).read(0):
            found += piece
            assert len(found) < len(LARGE)
    assert caught.value.exit_code in (10, 13, 24)


@pytest.mark.parametrize("place", PLACES)
def test_content_that_is_not_there_is_told(fill: Fill, place: str) -> None:
    promises = [*kept(b"one", b"two"), Promise(b"three", None)]
    with pytest.raises(AirgapError) as caught:
        store = fill(place, promises)
        assert [b"".join(store.read(number)) for number in (0, 1)] == [b"one", b"two"]
        list(store.read(2))
    assert caught.value.exit_code in (10, 22)
