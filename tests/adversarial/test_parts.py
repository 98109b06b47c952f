"""Split bundles: parts that are missing, swapped, cut or foreign, and an index that lies."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from support.commands import Finished
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key
from support.images import generated_layer, make_image, opaque_layer
from support.in_process import run_here
from support.journey import refused, succeeded, tree_of
from support.judging import judge_failure
from support.parts import (
    cut_at,
    digest_of,
    index_of,
    index_path,
    joined,
    part_path,
    write_index,
    write_parts,
)
from support.vendor import Vendor
from support.victim import Victim

NAME = "docker.io/team/app:1"
FIRST, SECOND, THIRD = (f"shop.tar.zst.part-00{number}" for number in (1, 2, 3))
_SIZE = 400_000
Index = dict[str, Any]


class Received:
    """Three parts and their index in a victim's folder."""

    def __init__(self, victim: Victim, key: Key) -> None:
        self.victim = victim
        self.bundle = victim.folder / "shop.tar.zst"
        self.draft = draft(b"a")
        self.whole = self.draft.pack(key)
        self.payload = json.dumps(self.draft.statement()).encode()
        self.parts = cut_at(self.whole, range(0, len(self.whole), _SIZE))
        assert len(self.parts) == 3
        write_parts(self.bundle, self.parts, self.payload)

    def part(self, number: int) -> Path:
        return part_path(self.bundle, number)

    @property
    def index(self) -> Index:
        return cast(Index, json.loads(index_path(self.bundle).read_text()))

    def lie(self, change: Callable[[Index], object]) -> None:
        """Change the index."""
        index = self.index
        change(index)
        write_index(self.bundle, index)

    def commands(self, *names: str) -> Iterator[Callable[[], Finished]]:
        """Every command that takes a bundle, with each of these names for it."""
        folder = self.victim.folder
        for name in names:
            yield partial(run_here, folder, "airgap-import", "inspect", name)
            yield partial(self.victim.verify, Path(name))
            yield partial(self.victim.apply, Path(name))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the bundle can be given by."""
        return ("shop.tar.zst", "shop.tar.zst.parts.json", FIRST, SECOND, THIRD)

    def refused(self, *texts: str, name: str = "PartMissing", given: str = "shop.tar.zst") -> None:
        """Whatever is asked: refused so, and no registry hears of it."""
        before, tree = self.victim.scene(), tree_of(self.victim.folder)
        self.victim.proxy.clear()
        for command in self.commands(given):
            done = refused(command(), 10, name)
            for text in texts:
                assert text in done.err
        assert self.victim.proxy.requests() == []
        assert self.victim.scene() == before
        assert tree_of(self.victim.folder) == tree


def draft(seed: bytes) -> Draft:
    """A bundle of a bit more than two parts; noise is not compressed."""
    noise = b"".join(bytes.fromhex(digest_of(seed + b"%d" % n)[7:]) for n in range(30_000))
    image = make_image([opaque_layer(noise)])
    return Draft.of({NAME: image})


@pytest.fixture
def received(victim: Victim, key: Key) -> Received:
    return Received(victim, key)


@pytest.fixture
def other(key: Key) -> list[bytes]:
    """The parts of another bundle that is as large."""
    whole = draft(b"b").pack(key)
    return cut_at(whole, range(0, len(whole), _SIZE))


class TestB26:
    def test_all_parts_by_any_name(self, received: Received) -> None:
        """What is refused below is accepted when nothing is wrong."""
        for command in received.commands(*received.names):
            succeeded(command())

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_part_is_missing(self, received: Received, number: int) -> None:
        received.part(number).unlink()
        for name in received.names:
            received.refused(
                f"part {number} of 3 is missing", f"shop.tar.zst.part-00{number}", given=name
            )

    def test_all_but_one_are_missing(self, received: Received) -> None:
        received.part(1).unlink()
        received.part(3).unlink()
        received.refused("part 1 of 3 is missing", "part 3 of 3 is missing", FIRST, THIRD)

    @pytest.mark.parametrize(("one", "two"), [(1, 2), (2, 3), (1, 3)])
    def test_two_parts_are_swapped(self, received: Received, one: int, two: int) -> None:
        parts = [received.part(number) for number in (one, two)]
        contents = [part.read_bytes() for part in parts]
        for part, content in zip(parts, reversed(contents), strict=True):
            part.write_bytes(content)
        received.refused(
            f"part {one} of 3 holds what belongs into {parts[1].name}",
            f"part {two} of 3 holds what belongs into {parts[0].name}",
        )

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_part_of_another_bundle(
        self, received: Received, other: list[bytes], number: int
    ) -> None:
        received.part(number).write_bytes(other[number - 1])
        # The last part is as long as its bundle makes it, and may be told by that already.
        told = "" if number == 3 else "is of another bundle, or damaged"
        received.refused(f"part {number} of 3 {told}")

    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("size", [0, 1, 70_000, -1])
    def test_a_part_that_was_cut_off(self, received: Received, number: int, size: int) -> None:
        content = received.part(number).read_bytes()
        received.part(number).write_bytes(content[:size])
        kept = len(content[:size])
        said = "is of another bundle" if size == 1 else f"it has {kept} of {len(content)} bytes"
        received.refused(f"part {number} of 3", said, f"part-00{number}")

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_part_that_has_grown(self, received: Received, number: int) -> None:
        with received.part(number).open("ab") as file:
            file.write(b"x")
        received.refused(f"part {number} of 3 has", "1 more than it should")

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_copy_that_stopped_in_a_file_of_full_size(
        self, received: Received, number: int
    ) -> None:
        content = received.part(number).read_bytes()
        half = len(content) // 2
        received.part(number).write_bytes(content[:half] + bytes(len(content) - half))
        received.refused(f"part {number} of 3 ends with other bytes than it should")

    @pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
    def test_what_is_no_file(self, received: Received, make: Callable[[Path], None]) -> None:
        received.part(2).unlink()
        make(received.part(2))
        done = refused(received.victim.verify(received.bundle), 10, "PartMissing")
        assert "part 2 of 3 is missing: what has its name is no regular file" in done.err

    @pytest.mark.parametrize("number", [2, 3])
    def test_a_byte_in_the_middle_of_a_part(self, received: Received, number: int) -> None:
        """Seen when it is read; what was sent before is signed for, and is named by nothing."""
        content = bytearray(received.part(number).read_bytes())
        content[len(content) // 2] ^= 1
        received.part(number).write_bytes(content)
        victim = received.victim
        before = victim.scene()
        for done in (victim.verify(received.bundle), victim.apply(received.bundle)):
            refused(done, (10, 13), "DigestMismatch", "BundleCorrupt")
            assert f"the damage is in {FIRST} or {SECOND} or {THIRD}" in done.err
            judge_failure(done, before, victim.scene(), received.draft.digests)

    def test_a_part_that_shrinks_while_it_is_read(
        self, received: Received, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, reads = os.pread, iter(range(100))

        def shrinking(descriptor: int, size: int, offset: int) -> bytes:
            if next(reads) == 12:
                os.truncate(received.part(3), 10)
            return real(descriptor, size, offset)

        monkeypatch.setattr(os, "pread", shrinking)
        done = received.victim.verify(received.bundle)
        refused(done, 10, "BundleTruncated", "BundleCorrupt")

    def test_the_index_is_missing(self, received: Received) -> None:
        index_path(received.bundle).unlink()
        before = received.victim.scene()
        received.victim.proxy.clear()
        for name in ("shop.tar.zst", FIRST, SECOND, "shop.tar.zst.parts.json"):
            done = refused(received.victim.apply(Path(name)), 10, "PartMissing")
            assert "shop.tar.zst.parts.json" in done.err
            assert "cat shop.tar.zst.part-* > shop.tar.zst" in done.err
        assert received.victim.proxy.requests() == []
        assert received.victim.scene() == before
        received.bundle.write_bytes(joined(received.bundle))
        succeeded(received.victim.apply(received.bundle))

    def test_an_index_of_another_bundle(self, received: Received, other: list[bytes]) -> None:
        payload = json.dumps(draft(b"b").statement()).encode()
        write_index(received.bundle, index_of("shop.tar.zst", other, payload))
        received.refused(
            "part 1 of 3 is of another bundle", "make sure that shop.tar.zst.parts.json belongs"
        )

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("size", 1),
            ("size", 0),
            ("size", 2**62),
            ("size", _SIZE + 1),
            ("head", digest_of(b"")),
            ("tail", digest_of(b"")),
        ],
    )
    def test_an_index_that_says_something_else_of_a_part(
        self, received: Received, field: str, value: object
    ) -> None:
        def change(index: Index) -> None:
            index["parts"][1][field] = value
            index["size"] = sum(part["size"] for part in index["parts"])

        received.lie(change)
        received.refused(
            *(() if value == 0 else ("part 2 of 3", SECOND)),
            name="PartIndexInvalid" if value == 0 else "PartMissing",
        )

    @pytest.mark.parametrize(
        "change",
        [
            lambda index: index.update(format=2),
            lambda index: index.update(format="1"),
            lambda index: index.pop("format"),
            lambda index: index.update(size=index["size"] + 1),
            lambda index: index.update(size=-1),
            lambda index: index.pop("size"),
            lambda index: index.update(statement=digest_of(b"")),
            lambda index: index.update(statement="sha256:../../etc/passwd"),
            lambda index: index.update(statement="md5:" + "0" * 32),
            lambda index: index.pop("statement"),
            lambda index: index.update(parts={}),
            lambda index: index.update(parts=[]),
            lambda index: index.update(parts=[None]),
            lambda index: index["parts"].pop(),
            lambda index: index["parts"].append(index["parts"][0]),
            lambda index: index["parts"].reverse(),
            lambda index: index["parts"][1].update(index["parts"][0]),
            lambda index: index["parts"][1].update(name=FIRST),
            lambda index: index["parts"][1].update(name="../shop.tar.zst.part-002"),
            lambda index: index["parts"][1].update(name="/etc/passwd"),
            lambda index: index["parts"][1].update(name="shop.tar.zst.part-2"),
            lambda index: index["parts"][1].update(name="SHOP.tar.zst.part-002"),
            lambda index: index["parts"][1].update(name="\x1b[2Jshop.tar.zst.part-002"),
            lambda index: index["parts"][1].update(name=2),
            lambda index: index["parts"][1].pop("name"),
            lambda index: index["parts"][1].update(size=True),
            lambda index: index["parts"][1].update(size=1.5),
            lambda index: index["parts"][1].update(size=-5),
            lambda index: index["parts"][1].update(digest="sha256:x"),
            lambda index: index["parts"][1].update(digest="sha512:" + "0" * 128),
            lambda index: index["parts"][1].pop("digest"),
            lambda index: index["parts"][1].pop("head"),
            lambda index: index["parts"][1].pop("tail"),
        ],
    )
    def test_an_index_that_is_none(
        self, received: Received, change: Callable[[Index], object]
    ) -> None:
        received.lie(change)
        received.refused("shop.tar.zst.parts.json", name="PartIndexInvalid")

    def test_an_index_with_a_million_parts(self, received: Received) -> None:
        received.lie(lambda index: index.update(parts=[{}] * 100_000))
        received.refused("100000 parts, not 1 to 500", name="PartIndexInvalid")
        path = index_path(received.bundle)
        path.write_bytes(b'{"format":1,"parts":[' + b"{}," * 10**6 + b"{}]}")
        received.refused("over 1048576 bytes", name="PartIndexInvalid")

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x00" * 100,
            b"[]",
            b"null",
            b'{"format":1,"format":1}',
            b'{"format":NaN}',
            b"[" * 100_000,
            b'{"format":1,"size":"\xff"}',
        ],
    )
    def test_an_index_of_other_bytes(self, received: Received, raw: bytes) -> None:
        index_path(received.bundle).write_bytes(raw)
        received.refused("shop.tar.zst.parts.json", name="PartIndexInvalid")

    def test_an_index_that_never_ends(self, received: Received) -> None:
        index_path(received.bundle).unlink()
        index_path(received.bundle).symlink_to("/dev/zero")
        done = refused(received.victim.verify(received.bundle), 10, "PartMissing")
        assert "no regular file" in done.err

    def test_a_digest_of_a_whole_part_is_for_people(self, received: Received) -> None:
        """Nothing is decided by it: the signed statement has the digests that count."""
        received.lie(lambda index: index["parts"][1].update(digest=digest_of(b"")))
        succeeded(received.victim.verify(received.bundle))

    def test_parts_of_an_earlier_bundle_beside_these_are_not_read(
        self, received: Received, other: list[bytes]
    ) -> None:
        received.part(4).write_bytes(other[0])
        succeeded(received.victim.verify(received.part(4)))


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """As on a file system that takes no larger files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_k13_a_file_system_that_takes_no_large_files(vendor: Vendor) -> None:
    vendor.push(make_image([generated_layer(3_500_000, 1)]))
    vendor.create("team/app:1", options=["--dry-run"])
    before = set(tree_of(vendor.folder))
    vendor.proxy.clear()
    with _largest_file(1_300_000):
        done = refused(vendor.create("team/app:1"), 30, "DiskFull")
    assert "takes no file this large" in done.err
    assert "--split" in done.err
    assert not _blobs(vendor.proxy), "it is told before anything large is fetched"
    assert set(tree_of(vendor.folder)) == before

    with _largest_file(1_300_000):
        succeeded(vendor.create("team/app:1", options=["--split", "1200K"]))
    names = {path.name for path in vendor.folder.glob("shop.tar.zst*")}
    assert names == {FIRST, SECOND, THIRD, "shop.tar.zst.parts.json"}
    assert [part_path(vendor.bundle, n).stat().st_size for n in (1, 2)] == [1_200_000] * 2
    succeeded(vendor.verify())


def _blobs(proxy: FaultProxy) -> list[object]:
    """Requests for a layer."""
    digest = generated_layer(3_500_000, 1).digest
    return list(proxy.requests("GET", digest))


@pytest.mark.parametrize("size", ["4.5G", "G", "-1M", "4 G", "", "999999", "1Gi", "0x10M"])
def test_k13_a_size_that_is_none(vendor: Vendor, size: str) -> None:
    done = refused(vendor.create("team/app:1", options=["--split", size]), 2, "UsageError")
    assert "--split" in done.err
