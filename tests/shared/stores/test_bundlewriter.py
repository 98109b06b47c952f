from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.bundle import placement
from airgap_shared.bundle.frames import BLOCK_LIMIT
from airgap_shared.bundle.statement import Member
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    DiskFull,
    Locked,
    OutputNotWritable,
    SizeMismatch,
    UpstreamUnavailable,
)
from airgap_shared.stores.bundlewriter import PartialBundle, compose_head
from airgap_shared.stores.medium import FileMedium
from airgap_shared.stores.opening import open_bundle, verify_blobs
from airgap_shared.stores.progress import NoProgress
from airgap_shared.stores.storedblob import BLOCKS_PER_WRITE, Fetch
from support.bundles import GATE, KEY, Contents, make_contents
from support.images import generated_layer, make_image, opaque_layer, platform_index, tar_layer
from support.mounting import mounted

UNIT = BLOCKS_PER_WRITE * BLOCK_LIMIT


#: Stored layers of many sizes, an index, and one layer that is compressed on its way.
MADE = make_contents(
    {
        "large:1": make_image([generated_layer(3 * UNIT + 100_001, 1)]),
        "even:1": make_image([generated_layer(UNIT, 2), opaque_layer(b"")]),
        "app:1": platform_index("app", "linux/amd64", "linux/arm64"),
        "tar:1": make_image([tar_layer({"text": b"some text " * 50_000})]),
    },
    {"deploy.yaml": b"kind: Deployment\n" * 100},
)


def contents() -> Contents:
    """The same each time, with a fresh record of what was fetched."""
    return replace(MADE, fetched=[])


def write(made: Contents, output: Path, fetch: Fetch | None = None, jobs: int = 3) -> None:
    partial = PartialBundle(output)
    with partial.opened():
        partial.write(made.plan(), fetch or made.fetch, jobs, NoProgress())
        partial.publish()


def whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return contents().write(Path(folder) / "bundle").read_bytes()


WHOLE = whole()
HEAD = len(compose_head(contents().plan())[0])


def resumed(left: bytes) -> tuple[bytes, list[tuple[str, int]]]:
    """The finished file after a run that found ``left``, and what that run fetched."""
    made = contents()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "bundle"
        output.with_name("bundle.partial").write_bytes(left)
        write(made, output)
        assert [path.name for path in Path(folder).iterdir()] == ["bundle"]
        return output.read_bytes(), made.fetched


def test_the_file_is_verified_by_its_reader(tmp_path: Path) -> None:
    made = contents()
    path = made.write(tmp_path / "bundle")
    with FileMedium(path) as medium:
        bundle = open_bundle(medium, GATE)
        verify_blobs(bundle, 4, NoProgress())
        assert bundle.statement == made.statement
    assert path.read_bytes() == WHOLE
    assert not path.with_name("bundle.partial").exists()


@pytest.mark.parametrize("jobs", [1, 2, 16])
def test_the_bytes_do_not_depend_on_the_number_of_jobs(tmp_path: Path, jobs: int) -> None:
    write(contents(), tmp_path / "bundle", jobs=jobs)
    assert (tmp_path / "bundle").read_bytes() == WHOLE


@pytest.mark.parametrize("size", [1, 1000, BLOCK_LIMIT, UNIT - 1, UNIT, 5 * UNIT])
def test_the_bytes_do_not_depend_on_how_content_arrives(tmp_path: Path, size: int) -> None:
    made = contents()

    def in_pieces(member: Member, offset: int) -> Iterator[bytes]:
        if size == 1 and member.size > 100_000:
            yield from made.fetch(member, offset)
            return
        data = b"".join(made.fetch(member, offset))
        for start in range(0, len(data), size):
            yield data[start : start + size]

    write(made, tmp_path / "bundle", in_pieces)
    assert (tmp_path / "bundle").read_bytes() == WHOLE


def test_frames_may_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "BLOCKS_PER_FRAME", 3)
    path = contents().write(tmp_path / "bundle")
    with FileMedium(path) as medium:
        verify_blobs(open_bundle(medium, GATE), 2, NoProgress())
    (tmp_path / "bundle.partial").write_bytes(path.read_bytes()[:-UNIT])
    before = path.read_bytes()
    contents().write(path)
    assert path.read_bytes() == before


def test_a_bundle_without_blobs(tmp_path: Path) -> None:
    made = make_contents({}, {"a.yaml": b"kind: A\n"})
    with FileMedium(made.write(tmp_path / "bundle")) as medium:
        verify_blobs(open_bundle(medium, GATE), 2, NoProgress())
    assert made.fetched == []


@pytest.mark.skipif(not shutil.which("zstd") or not shutil.which("tar"), reason="no zstd or tar")
def test_plain_tools_read_it(tmp_path: Path) -> None:
    made = contents()
    path = made.write(tmp_path / "bundle.tar.zst")
    subprocess.run(["zstd", "-tq", path], check=True)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    done = subprocess.run(
        ["tar", "--zstd", "-xf", path, "-C", folder], capture_output=True, check=True
    )
    assert done.stderr == b""
    for member in made.statement.members:
        assert (folder / member.path).read_bytes() == made.content(member)
    assert (folder / "airgap-bundle.dsse.json").read_bytes() == made.plan(KEY).envelope


CUTS = sorted(
    {
        *(0, 1, 5, HEAD - 1, HEAD, HEAD + 1, HEAD + 14, HEAD + 600, len(WHOLE) - 1, len(WHOLE)),
        *range(HEAD, len(WHOLE), UNIT // 3),
    }
)


@pytest.mark.parametrize("cut", CUTS)
def test_a_run_that_was_cut_off_is_continued(cut: int) -> None:
    found, fetched = resumed(WHOLE[:cut])
    assert found == WHOLE
    assert all(offset % BLOCK_LIMIT == 0 for _, offset in fetched)


def test_what_is_there_is_not_fetched_again() -> None:
    _, first = resumed(b"")
    _, again = resumed(WHOLE)
    assert {offset for _, offset in first} == {0}
    streamed = {member.path for member in contents().plan().streamed}
    assert {path for path, _ in again} == streamed
    _, partly = resumed(WHOLE[: HEAD + len(WHOLE[HEAD:]) // 2])
    assert any(offset > 0 for _, offset in partly)


Damage = Callable[[bytearray, int, int], None]


def hole(raw: bytearray, start: int, size: int) -> None:
    raw[start : start + size] = bytes(len(raw[start : start + size]))


def rubbish(raw: bytearray, start: int, size: int) -> None:
    raw[start : start + size] = b"\xa5" * len(raw[start : start + size])


def flip(raw: bytearray, start: int, size: int) -> None:
    if start < len(raw):
        raw[start] ^= 1 << size % 8


def cut(raw: bytearray, start: int, size: int) -> None:
    del raw[start:]


def grow(raw: bytearray, start: int, size: int) -> None:
    raw += b"\x5a" * size


@given(
    st.lists(
        st.tuples(
            st.sampled_from([hole, rubbish, flip, cut, grow]),
            st.integers(0, len(WHOLE)),
            st.one_of(st.integers(1, 1000), st.integers(1, 2 * UNIT)),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=40)
def test_whatever_is_left_the_result_is_the_same(damages: list[tuple[Damage, int, int]]) -> None:
    left = bytearray(WHOLE)
    for damage, start, size in damages:
        damage(left, start, size)
    assert resumed(bytes(left))[0] == WHOLE


def test_what_another_plan_left_is_not_used(tmp_path: Path) -> None:
    other = make_contents({"other:1": make_image([generated_layer(2 * UNIT, 9)])})
    left = other.write(tmp_path / "other").read_bytes()
    found, fetched = resumed(left)
    assert found == WHOLE
    assert {offset for _, offset in fetched} == {0}


def test_a_second_run_is_locked_out_and_harms_nothing(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    first, second = PartialBundle(output), PartialBundle(output)
    made = contents()
    with first.opened():
        with pytest.raises(Locked) as caught, second.opened():
            raise AssertionError
        assert caught.value.exit_code == 31
        assert first.path.exists()
        first.write(made.plan(), made.fetch, 2, NoProgress())
        with pytest.raises(Locked), second.opened():
            raise AssertionError
        first.publish()
    assert output.read_bytes() == WHOLE


@pytest.mark.parametrize("third_run", [False, True])
def test_a_file_that_got_its_name_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, third_run: bool
) -> None:
    output = tmp_path / "bundle"
    partial = PartialBundle(output)
    partial.path.write_bytes(WHOLE)
    lock = fcntl.flock

    def publish_first(descriptor: int, how: int) -> None:
        partial.path.replace(output)
        if third_run:
            partial.path.write_bytes(b"begun")
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", publish_first)
    with pytest.raises(Locked), partial.opened():
        raise AssertionError
    assert output.read_bytes() == WHOLE
    assert partial.path.exists() is third_run


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    partial = PartialBundle(tmp_path / "bundle")
    with pytest.raises(KeyboardInterrupt), partial.opened():
        assert partial.path.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def failing_after(made: Contents, count: int, problem: BaseException) -> Fetch:
    """A source that fails at its so-manyeth piece."""
    lock, pieces = threading.Lock(), iter(range(count))

    def fetch(member: Member, offset: int) -> Iterator[bytes]:
        for chunk in made.fetch(member, offset):
            with lock:
                if next(pieces, None) is None:
                    raise problem
            yield chunk

    return fetch


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_what_a_failed_run_fetched_is_kept(tmp_path: Path, count: int) -> None:
    output = tmp_path / "bundle"
    made = contents()
    with pytest.raises(UpstreamUnavailable):
        write(made, output, failing_after(made, count, UpstreamUnavailable("gone")), jobs=2)
    assert not output.exists()
    assert output.with_name("bundle.partial").exists()
    write(contents(), output)
    assert output.read_bytes() == WHOLE


def short(data: bytes) -> bytes:
    return data[:-1]


def long(data: bytes) -> bytes:
    return data + b"x"


def other(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("image", ["large", "tar"])
@pytest.mark.parametrize(
    ("change", "error"), [(short, SizeMismatch), (long, SizeMismatch), (other, DigestMismatch)]
)
def test_a_source_that_gives_other_bytes_is_refused(
    tmp_path: Path, image: str, change: Callable[[bytes], bytes], error: type[AirgapError]
) -> None:
    made = contents()
    plan = made.plan()
    victim = max(plan.stored, key=lambda m: m.size) if image == "large" else plan.streamed[-1]

    def fetch(member: Member, offset: int) -> Iterator[bytes]:
        data = b"".join(made.fetch(member, offset))
        yield change(data) if member == victim else data

    with pytest.raises(error) as caught:
        write(made, tmp_path / "bundle", fetch)
    assert caught.value.where == victim.path
    assert not (tmp_path / "bundle").exists()
    write(contents(), tmp_path / "bundle")
    assert (tmp_path / "bundle").read_bytes() == WHOLE


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for number in range(3):
        write(contents(), tmp_path / f"bundle-{number}")
    made = contents()
    with pytest.raises(UpstreamUnavailable):
        write(made, tmp_path / "bundle", failing_after(made, 1, UpstreamUnavailable("gone")))
    assert len(list(descriptors.iterdir())) == before


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("size", [HEAD - 1, HEAD + UNIT, len(WHOLE) - 20])
def test_a_file_system_that_takes_no_large_files(tmp_path: Path, size: int) -> None:
    with file_size_limit(size), pytest.raises(DiskFull, match="no file this large"):
        write(contents(), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 2 MiB."""
    with mounted(tmp_path / "disk", "size=2m") as folder:
        yield folder


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(small_disk: Path) -> None:
    made = contents()
    with pytest.raises(DiskFull, match=r"bytes, \d+ are free"):
        write(made, small_disk / "bundle")
    assert made.fetched == []
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way(small_disk: Path) -> None:
    made = make_contents({"tar:1": make_image([tar_layer({"noise": os.urandom(3 << 20)})])})
    with pytest.raises(DiskFull, match="no space left"):
        write(made, small_disk / "bundle")
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable) as caught:
        write(contents(), tmp_path / "missing" / "bundle")
    assert "missing" in caught.value.where


def test_an_output_that_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(OutputNotWritable):
        write(contents(), tmp_path / "bundle")
    assert (tmp_path / "bundle.partial").exists()
