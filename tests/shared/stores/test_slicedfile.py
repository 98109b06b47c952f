"""A file in slices is the file, whatever is written where."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import MediaReadError
from airgap_shared.stores.joinedfile import JoinedFile, OpenFile
from airgap_shared.stores.slicedfile import UNCUT, SlicedFile


@contextmanager
def sliced(size: int) -> Iterator[SlicedFile]:
    """An empty file in slices of this size."""
    opened: list[OpenFile] = []
    with tempfile.TemporaryDirectory() as folder:

        def open_slice(number: int) -> OpenFile:
            path = Path(folder) / str(number)
            opened.append(OpenFile(path, os.open(path, os.O_RDWR | os.O_CREAT)))
            return opened[-1]

        try:
            yield SlicedFile(size, open_slice)
        finally:
            for file in opened:
                file.close()


Step = Callable[[SlicedFile, bytearray], None]


def write(offset: int, pieces: list[bytes]) -> Step:
    def step(file: SlicedFile, model: bytearray) -> None:
        data = b"".join(pieces)
        if offset + len(data) <= len(model):
            file.write_at(offset, pieces)
            model[offset : offset + len(data)] = data

    return step


def truncate(size: int) -> Step:
    def step(file: SlicedFile, model: bytearray) -> None:
        file.truncate(size)
        del model[size:]
        model += bytes(size - len(model))

    return step


def send_to_disk(offset: int, size: int) -> Step:
    def step(file: SlicedFile, model: bytearray) -> None:
        start = min(offset, len(model))
        file.send_to_disk(start, min(size, len(model) - start))

    return step


def append(buffered: int, pieces: list[bytes]) -> Step:
    def step(file: SlicedFile, model: bytearray) -> None:
        with file.appender(buffered) as stream:
            for piece in pieces:
                stream.write(piece)
                model.extend(piece)

    return step


PIECES = st.lists(st.binary(max_size=40), max_size=5)
STEPS = st.one_of(
    st.builds(write, st.integers(0, 120), PIECES),
    st.builds(truncate, st.integers(0, 120)),
    st.builds(send_to_disk, st.integers(0, 120), st.integers(0, 120)),
    st.builds(append, st.integers(1, 20), PIECES),
)


@given(st.one_of(st.integers(1, 50), st.just(UNCUT)), st.lists(STEPS, max_size=12))
@settings(deadline=None, max_examples=80)
def test_it_is_as_if_it_were_one_file(size: int, steps: list[Step]) -> None:
    model = bytearray()
    with sliced(size) as file:
        for step in steps:
            step(file, model)
            assert file.size == len(model)
            assert file.read_at(0, len(model) + 1) == model
            joined = file.joined()
            assert joined.size == len(model)
            for start in range(0, len(model) + 1, 7):
                assert file.read_at(start, 23) == joined.read_at(start, 23)
                assert joined.read_at(start, 23) == model[start : start + 23]
        whole = [slice_.size for slice_ in file.slices]
        assert all(length == size for length in whole[:-1])
        assert len(whole) + len(file.unused()) <= 1 + (120 + 40 * 5 * 12) // size


def joined(folder: Path, *contents: bytes) -> JoinedFile:
    files = []
    for number, content in enumerate(contents):
        path = folder / f"part-{number}"
        path.write_bytes(content)
        files.append(OpenFile(path, os.open(path, os.O_RDONLY)))
    return JoinedFile(files)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[JoinedFile]:
    file = joined(tmp_path, b"0123", b"45", b"6789")
    yield file
    file.close()


def test_a_place_is_known_by_its_file(three: JoinedFile) -> None:
    def names(start: int, end: int) -> list[str]:
        return [path.name for path in three.paths_at(start, end)]

    assert three.is_split()
    assert names(0, 4) == ["part-0"]
    assert names(3, 5) == ["part-0", "part-1"]
    assert names(0, 10) == ["part-0", "part-1", "part-2"]
    assert names(6, 6) == ["part-2"]


def test_a_file_that_shrinks_does_not_move_the_next(three: JoinedFile, tmp_path: Path) -> None:
    os.truncate(tmp_path / "part-1", 1)
    assert three.read_at(0, 10) == b"01234"
    assert three.read_at(5, 5) == b""
    assert three.read_at(6, 5) == b"6789"


def test_a_file_that_grows_does_not_either(three: JoinedFile, tmp_path: Path) -> None:
    (tmp_path / "part-0").write_bytes(b"0123xxxx")
    assert three.read_at(0, 20) == b"0123456789"


def test_a_part_that_cannot_be_read_is_named_with_the_place_in_it(tmp_path: Path) -> None:
    file = joined(tmp_path, b"0123", b"4567")
    write_only = os.open(tmp_path / "part-1", os.O_WRONLY)
    os.dup2(write_only, file._files[1].descriptor)
    with pytest.raises(MediaReadError, match="at byte 2") as caught:
        file.read_at(6, 1)
    assert caught.value.where == str(tmp_path / "part-1")
    os.close(write_only)
    file.close()


def test_nothing_joined_is_an_empty_file() -> None:
    assert JoinedFile([]).size == 0
    assert JoinedFile([]).read_at(0, 10) == b""


def test_what_takes_no_advice_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EINVAL, "no advice here")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with sliced(4) as file:
        file.truncate(6)
        file.write_at(0, [b"abcdef"])
        file.send_to_disk(0, 6)
        file.sync()
        assert file.read_at(0, 6) == b"abcdef"
