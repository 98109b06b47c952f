from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle.tarheader import (
    BLOCK,
    END,
    check_header,
    claimed_size,
    compose_header,
    header_size,
    padding_of,
    segment_size,
)
from airgap_shared.errors import MemberMismatch, NotABundle

needs_tar = pytest.mark.skipif(not shutil.which("tar"), reason="tar is not here")

GIB8 = 8 << 30
SHA512 = f"blobs/sha512/{'0' * 128}"
DEEP = "application/upstream/" + "/".join(["d" * 100] * 15) + "/file.yaml"
NAMES = st.one_of(
    st.sampled_from(["oci-layout", "a" * 99, "a" * 100, "a" * 101, SHA512, DEEP]),
    st.text("abcXYZ019._-/", min_size=1, max_size=600).filter(lambda name: not name.endswith("/")),
)
SIZES = st.one_of(
    st.integers(0, 2**63 - 1), st.integers(0, 2000), st.integers(GIB8 - 600, GIB8 + 600)
)


def archive(*members: tuple[str, bytes]) -> bytes:
    return (
        b"".join(
            compose_header(name, len(content)) + content + bytes(padding_of(len(content)))
            for name, content in members
        )
        + END
    )


@given(NAMES, SIZES)
def test_python_reads_name_and_size_and_all_that_is_fixed(name: str, size: int) -> None:
    stream = io.BytesIO(compose_header(name, size) + END)
    with tarfile.open(fileobj=stream, mode="r:", ignore_zeros=True) as opened:
        found = opened.next()
    assert found is not None
    assert (found.name, found.size) == (name, size)
    assert (found.mode, found.uid, found.gid, found.uname, found.gname) == (0o644, 0, 0, "", "")
    assert found.mtime == 315532800
    assert found.isreg()


@given(NAMES, SIZES)
def test_the_header_has_the_length_that_is_foretold(name: str, size: int) -> None:
    assert len(compose_header(name, size)) == header_size(name)
    assert header_size(name) % BLOCK == 0
    assert 0 <= padding_of(size) < BLOCK
    assert segment_size(name, size) == header_size(name) + size + padding_of(size)
    assert segment_size(name, size) % BLOCK == 0


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=4))
def test_python_reads_whole_archives(members: list[tuple[str, bytes]]) -> None:
    raw = archive(*members)
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as opened:
        found = []
        for entry in opened:
            file = opened.extractfile(entry)
            assert file is not None
            found.append((entry.name, file.read()))
    assert found == members


@needs_tar
def test_gnu_tar_lists_and_extracts(tmp_path: Path) -> None:
    members = [
        ("oci-layout", b"{}"),
        ("empty", b""),
        ("block", bytes(512)),
        ("n" * 100, b"a"),
        ("n" * 101, b"b"),
        (SHA512, b"c" * 513),
        (DEEP, b"d"),
    ]
    path = tmp_path / "archive.tar"
    path.write_bytes(archive(*members))
    command = ["tar", "--warning=all", "-tf", str(path)]
    listed = subprocess.run(command, capture_output=True, check=True, text=True)
    assert listed.stdout.splitlines() == [name for name, _ in members]
    assert listed.stderr == ""
    extracted = subprocess.run(
        ["tar", "-xf", path, "-C", tmp_path], capture_output=True, check=True, text=True
    )
    assert extracted.stderr == ""
    for name, content in members:
        assert (tmp_path / name).read_bytes() == content


@needs_tar
@pytest.mark.parametrize("size", [GIB8 - 1, GIB8, GIB8 + 1, 1 << 40])
def test_gnu_tar_reads_sizes_around_8_gib(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sparse.tar"
    with path.open("wb") as file:
        file.write(compose_header("large", size))
        file.seek(segment_size("large", size))
        file.write(compose_header("after", 0) + END)
    listed = subprocess.run(["tar", "-tvf", path], capture_output=True, check=True, text=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert [(line[2], line[-1]) for line in lines] == [(str(size), "large"), ("0", "after")]


@given(NAMES, SIZES, st.data())
def test_any_other_header_is_refused(name: str, size: int, data: st.DataObject) -> None:
    header = compose_header(name, size)
    check_header(header, name, size)
    changed = bytearray(header)
    changed[data.draw(st.integers(0, len(header) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for found in (bytes(changed), header[:-1], b"", compose_header(name, size + 1)):
        with pytest.raises(MemberMismatch) as caught:
            check_header(found, name, size)
        assert caught.value.where == name


@given(st.integers(0, 1000), st.data())
def test_the_first_member_claims_its_size_within_bounds(size: int, data: st.DataObject) -> None:
    header = compose_header("first", size)
    assert claimed_size(header, "first", 1000) == size
    changed = bytearray(header)
    changed[data.draw(st.integers(0, len(header) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for found in (bytes(changed), compose_header("other", size), header[:200], b""):
        with pytest.raises(NotABundle):
            claimed_size(found, "first", 1000)


@pytest.mark.parametrize("size", [1001, GIB8 - 1, GIB8, 2**60])
def test_the_first_member_cannot_claim_more(size: int) -> None:
    with pytest.raises(NotABundle):
        claimed_size(compose_header("first", size), "first", 1000)
