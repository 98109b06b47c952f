"""A bundle in parts: the same bytes as in one file, whatever the cuts, leftovers and crashes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import (
    AirgapError,
    DiskFull,
    Locked,
    PartMissing,
    UpstreamUnavailable,
    UsageError,
)
from airgap_shared.stores.bundlewriter import PartialBundle
from airgap_shared.stores.opening import open_bundle, verify_blobs
from airgap_shared.stores.partfiles import open_bundle_file
from airgap_shared.stores.progress import NoProgress
from airgap_shared.stores.storedblob import Fetch
from support.budget import budget
from support.bundles import GATE, Contents, make_contents
from support.images import generated_layer, make_image, tar_layer
from support.journey import tree_of
from support.parts import cut_at, index_of, index_path, joined, part_path, write_parts

MADE = make_contents(
    {
        "large:1": make_image([generated_layer((2 << 20) + 100_001, 1)]),
        "even:1": make_image([generated_layer(1 << 20, 2)]),
        "tar:1": make_image([tar_layer({"text": b"some text " * 50_000})]),
    },
    {"deploy.yaml": b"kind: Deployment\n" * 100},
)
OLD = make_contents({"old:1": make_image([generated_layer(900_000, 3)])})


def bytes_of(made: Contents) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return made.write(Path(folder) / "bundle").read_bytes()


WHOLE = bytes_of(MADE)
PAYLOAD = MADE.statement.to_json()
#: So that hypothesis meets cuts in the small and in the large, but never too many parts.
PART_SIZES = st.integers(len(WHOLE) // 450, len(WHOLE) + 10)


def contents() -> Contents:
    """The same each time, with a fresh record of what was fetched."""
    return replace(MADE, fetched=[])


def write(
    output: Path, part_size: int | None, made: Contents = MADE, fetch: Fetch | None = None
) -> tuple[Path, ...]:
    partial = PartialBundle(output, part_size)
    with partial.opened():
        partial.write(made.plan(), fetch or made.fetch, 1, NoProgress())
        with partial.medium() as medium:
            verify_blobs(open_bundle(medium, GATE), 2, NoProgress())
        return partial.publish(2, NoProgress())


def verified(path: Path) -> bytes:
    """The statement of a bundle that is right to the last byte."""
    with open_bundle_file(path) as medium:
        bundle = open_bundle(medium, GATE)
        verify_blobs(bundle, 2, NoProgress())
        return bundle.statement.to_json()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(PART_SIZES)
@settings(deadline=None, max_examples=budget(8, 100))
def test_parts_of_any_size_are_the_bundle_cut_there(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        files = write(bundle, size)
        parts = cut_at(WHOLE, range(0, len(WHOLE), size))
        assert [path.read_bytes() for path in files[:-1]] == parts
        assert json.loads(files[-1].read_text()) == index_of("bundle", parts, PAYLOAD)
        assert names(Path(folder)) == sorted(path.name for path in files)
        assert verified(bundle) == PAYLOAD


def test_it_goes_by_the_name_of_the_whole_the_index_and_any_part(tmp_path: Path) -> None:
    files = write(tmp_path / "bundle", 900_000)
    assert len(files) == 5
    for name in (tmp_path / "bundle", *files):
        assert verified(name) == PAYLOAD


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=20))
@settings(deadline=None, max_examples=budget(10, 200))
def test_a_reader_takes_any_cut(cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        write_parts(bundle, cut_at(WHOLE, cuts), PAYLOAD)
        assert verified(bundle) == PAYLOAD


def test_as_many_parts_as_are_allowed(tmp_path: Path) -> None:
    write_parts(
        tmp_path / "bundle", cut_at(WHOLE, [len(WHOLE) * n // 500 for n in range(500)]), PAYLOAD
    )
    assert part_path(tmp_path / "bundle", 500).exists()
    assert verified(tmp_path / "bundle") == PAYLOAD


def test_more_parts_than_allowed_are_told_before_anything_is_fetched(tmp_path: Path) -> None:
    made = contents()
    with pytest.raises(UsageError, match="does not fit into 500 parts") as caught:
        write(tmp_path / "bundle", len(WHOLE) // 510, made)
    assert caught.value.where == "--split"
    assert made.fetched == []
    assert names(tmp_path) == []


Damage = Callable[[bytearray, int, int], None]


def hole(raw: bytearray, start: int, size: int) -> None:
    raw[start : start + size] = bytes(len(raw[start : start + size]))


def rubbish(raw: bytearray, start: int, size: int) -> None:
    raw[start : start + size] = b"\xa5" * len(raw[start : start + size])


def cut(raw: bytearray, start: int, size: int) -> None:
    del raw[start:]


def grow(raw: bytearray, start: int, size: int) -> None:
    raw += b"\x5a" * size


DAMAGES = st.tuples(
    st.sampled_from([hole, rubbish, cut, grow]),
    st.integers(0, 1 << 20),
    st.integers(1, 1 << 20),
)


@given(
    st.integers(400_000, 2_000_000),
    st.integers(400_000, 2_000_000),
    st.lists(st.tuples(st.integers(0, 9), st.none() | DAMAGES), max_size=3),
)
@settings(deadline=None, max_examples=budget(15, 300))
def test_whatever_is_left_the_result_is_the_same(
    size: int, earlier: int, harm: list[tuple[int, tuple[Damage, int, int] | None]]
) -> None:
    left = [bytearray(part) for part in cut_at(WHOLE, range(0, len(WHOLE), earlier))]
    gone = set()
    for number, damage in harm:
        if damage is None:
            gone.add(number % len(left))
        else:
            damage[0](left[number % len(left)], *damage[1:])
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        for number, part in enumerate(left):
            if number not in gone:
                path = part_path(bundle, number + 1)
                path.with_name(f"{path.name}.partial").write_bytes(part)
        files = write(bundle, size)
        assert joined(bundle) == WHOLE
        assert names(Path(folder)) == sorted(path.name for path in files)


def failing_after(made: Contents, count: int) -> Fetch:
    left = iter(range(count))

    def fetch(member: object, offset: int) -> Iterator[bytes]:
        for chunk in made.fetch(member, offset):  # type: ignore[arg-type]
            if next(left, None) is None:
                raise UpstreamUnavailable("gone")
            yield chunk

    return fetch


@pytest.mark.parametrize(
    ("count", "first", "done"), [(0, 0, 0), (1, 0, 0), (2, 1 << 20, 0), (3, 0, 1)]
)
def test_a_run_goes_on_where_another_failed(
    tmp_path: Path, count: int, first: int, done: int
) -> None:
    bundle = tmp_path / "bundle"
    with pytest.raises(UpstreamUnavailable):
        write(bundle, 700_000, fetch=failing_after(MADE, count))
    assert all(name.endswith(".partial") for name in names(tmp_path))
    assert "bundle.partial" not in names(tmp_path), "the lock is not kept"
    made = contents()
    write(bundle, 700_000, made)
    assert joined(bundle) == WHOLE
    assert made.fetched[0][1] == first
    assert len(made.fetched) == len(made.blobs) - done


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    for path in write(bundle, 700_000)[:-1]:
        path.rename(f"{path}.partial")
    index_path(bundle).unlink()
    made = contents()
    write(bundle, 700_000, made)
    assert {path for path, _ in made.fetched} == {member.path for member in made.plan().streamed}


def test_whole_and_split_runs_lock_each_other_out(tmp_path: Path) -> None:
    for first, second in ((None, 700_000), (700_000, None), (700_000, 800_000)):
        with PartialBundle(tmp_path / "bundle", first).opened(), pytest.raises(Locked):
            write(tmp_path / "bundle", second)
        assert names(tmp_path) == []


@pytest.mark.parametrize("kinds", [(None, 700_000), (700_000, None), (500_000, 900_000)])
def test_what_a_run_of_another_kind_left_goes(
    tmp_path: Path, kinds: tuple[int | None, int | None]
) -> None:
    bundle = tmp_path / "bundle"
    with pytest.raises(UpstreamUnavailable):
        write(bundle, kinds[0], fetch=failing_after(MADE, 3))
    assert names(tmp_path)
    files = write(bundle, kinds[1])
    assert names(tmp_path) == sorted(path.name for path in files)
    assert verified(bundle) == PAYLOAD


@pytest.mark.parametrize("part_size", [None, 700_000])
def test_a_disk_too_full_is_told_and_nothing_is_kept(
    tmp_path: Path, part_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(DiskFull) as caught:
        write(tmp_path / "bundle", part_size)
    assert caught.value.changed == "no bundle was written, and nothing of it is kept"
    assert names(tmp_path) == []


class Killed(BaseException):
    """The process is dead; nothing it would still do happens."""


@contextmanager
def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let only so many changes of names, and flushes, happen."""
    left = iter(range(number))

    def limited(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            if next(left, None) is None:
                raise Killed
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "fsync", "ftruncate"):
            patch.setattr(os, name, limited(name))
        yield


#: What has the name already: nothing, a whole bundle, one in more parts, one in fewer.
EARLIER: dict[str, tuple[Contents, int | None] | None] = {
    "nothing": None,
    "whole": (OLD, None),
    "more parts": (OLD, 100_000),
    "fewer parts": (OLD, 600_000),
}


def outcome(path: Path) -> bytes | str:
    """What a reader makes of what is there."""
    try:
        return verified(path)
    except AirgapError as problem:
        return problem.name


@pytest.mark.parametrize("part_size", [None, 1_200_000])
@pytest.mark.parametrize("there", EARLIER)
def test_a_run_killed_anywhere_leaves_what_the_next_one_mends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, part_size: int | None
) -> None:
    finished, points, step = False, 0, budget(2, 1)
    before = tmp_path / "before"
    before.mkdir()
    earlier = EARLIER[there]
    if earlier:
        write(before / "bundle", earlier[1], earlier[0])
    while not finished:
        folder = tmp_path / str(points)
        shutil.copytree(before, folder)
        bundle = folder / "bundle"
        try:
            with killed_at(points * step, monkeypatch):
                write(bundle, part_size)
            finished = True
        except Killed:
            pass
        for path in (bundle, index_path(bundle)):
            found = outcome(path)
            assert found in (PAYLOAD, OLD.statement.to_json(), "PartMissing", "MediaReadError")
        begun = (folder / "bundle.parts.json.partial").exists()
        if points % 2:
            made = contents()
            files = write(bundle, part_size, made)
            streamed = {member.path for member in made.plan().streamed}
            assert not begun or {path for path, _ in made.fetched} == streamed
        else:
            # A run of the other kind has to cope as well.
            files = write(bundle, 650_000 if part_size is None else None)
        assert names(folder) == sorted(path.name for path in files)
        assert verified(files[-1]) == PAYLOAD
        shutil.rmtree(folder)
        points += 1
    assert points * step > (5 if part_size is None else 12)


@pytest.mark.parametrize("there", ["whole", "more parts", "fewer parts"])
@pytest.mark.parametrize("part_size", [None, 700_000])
def test_an_earlier_bundle_is_replaced_altogether(
    tmp_path: Path, there: str, part_size: int | None
) -> None:
    earlier = EARLIER[there]
    assert earlier is not None
    write(tmp_path / "bundle", earlier[1], earlier[0])
    files = write(tmp_path / "bundle", part_size)
    assert names(tmp_path) == sorted(path.name for path in files)
    assert verified(tmp_path / "bundle") == PAYLOAD


def test_files_of_others_with_such_names_are_left_alone(tmp_path: Path) -> None:
    for name in ("bundle.part-01", "bundle.part-0001", "bundle.part-001.txt", "bundle2.part-001"):
        (tmp_path / name).write_text("mine")
    before = tree_of(tmp_path)
    write(tmp_path / "bundle", 700_000)
    write(tmp_path / "bundle", None)
    assert tree_of(tmp_path) == before | {"bundle": WHOLE}


def test_a_whole_file_is_preferred_to_parts(tmp_path: Path) -> None:
    write(tmp_path / "bundle", None)
    write_parts(tmp_path / "bundle", [b"rubbish"], b"")
    assert verified(tmp_path / "bundle") == PAYLOAD


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    write(tmp_path / "bundle", 700_000)
    verified(tmp_path / "bundle")
    part_path(tmp_path / "bundle", 2).unlink()
    with pytest.raises(PartMissing):
        verified(tmp_path / "bundle")
    assert len(list(descriptors.iterdir())) == before


def test_parts_are_opened_once(tmp_path: Path) -> None:
    write(tmp_path / "bundle", 700_000)
    with open_bundle_file(tmp_path / "bundle") as medium:
        for path in tmp_path.iterdir():
            path.unlink()
            path.write_bytes(b"something else")
        verify_blobs(open_bundle(medium, GATE), 2, NoProgress())
