"""Media and the one verifier on whole bundles; hostile files are in tests/adversarial."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.bundle import names
from airgap_shared.bundle.statement import Member, Role
from airgap_shared.errors import (
    AirgapError,
    BundleTruncated,
    DocumentInvalid,
    KeyUntrusted,
    LimitExceeded,
    MediaReadError,
    MemberMismatch,
    UsageError,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.medium import FileMedium, Medium, StreamMedium
from airgap_shared.stores.opening import open_bundle, read_statement, verify_blobs
from airgap_shared.stores.progress import NoProgress
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.privatekey import PrivateKey
from support.bundles import GATE, KEY, Contents, make_contents
from support.images import generated_layer, make_image, platform_index, tar_layer

MADE = make_contents(
    {
        "large:1": make_image([generated_layer((3 << 20) + 11, 1)]),
        "app:1": platform_index("app", "linux/amd64", "linux/arm64"),
        "tar:1": make_image([tar_layer({"text": b"some text " * 5_000})]),
    },
    {"deploy.yaml": b"kind: Deployment\n", "more/service.yaml": b"kind: Service\n"},
)


class Counted(NoProgress):
    """Adds up what it was told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.tasks: list[str] = []
        self._lock = threading.Lock()

    def begin(self, task: str, total: int, unit: str) -> None:
        self.tasks.append(f"{task} in {unit}")
        self.total = total

    def advance(self, amount: int) -> None:
        with self._lock:
            self.done += amount

    def end(self) -> None:
        self.tasks.append("end")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MADE.write(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(params=["file", "pipe"])
def medium(request: pytest.FixtureRequest, path: Path) -> Iterator[Medium]:
    if request.param == "pipe":
        with path.open("rb") as stream:
            yield StreamMedium(stream)
    else:
        with FileMedium(path) as opened:
            yield opened


def verified(medium: Medium, jobs: int = 3) -> None:
    verify_blobs(open_bundle(medium, GATE), jobs, NoProgress())


def test_a_bundle_is_verified_and_everything_is_at_hand(medium: Medium) -> None:
    bundle = open_bundle(medium, GATE)
    assert bundle.statement == MADE.statement
    assert bundle.candidate.signers == (KEY.public_key,)
    assert [(file.path, file.content) for file in bundle.files] == [
        ("deploy.yaml", b"kind: Deployment\n"),
        ("more/service.yaml", b"kind: Service\n"),
    ]
    assert {str(digest) for digest in bundle.graph.manifests} == {
        str(m.digest) for m in MADE.statement.members if m.role is Role.MANIFEST
    }
    for position, member in bundle.blobs():
        assert b"".join(bundle.blob_chunks(position)) == MADE.content(member)
    medium.finish()


def test_verifying_counts_every_byte_of_every_blob(medium: Medium) -> None:
    progress = Counted()
    bundle = open_bundle(medium, GATE)
    verify_blobs(bundle, 3, progress)
    assert progress.done == progress.total == sum(member.size for _, member in bundle.blobs())
    assert progress.tasks == ["verify in bytes", "end"]


def test_a_statement_is_read_without_trust(medium: Medium) -> None:
    assert read_statement(medium) == MADE.statement


def test_a_stranger_is_refused_before_anything_else_is_read(medium: Medium) -> None:
    policy = TrustPolicy.of_keys((PrivateKey.generate().public_key,))
    with pytest.raises(KeyUntrusted):
        open_bundle(medium, replace(GATE, policy=policy))


def test_metadata_is_limited(medium: Medium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "METADATA_LIMIT", 100)
    with pytest.raises(LimitExceeded, match="bytes of metadata"):
        open_bundle(medium, GATE)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_one_bit_anywhere_is_told_or_harmless(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        verified(StreamMedium(io.BytesIO(raw)))
    except AirgapError as problem:
        assert problem.exit_code in (10, 11, 13, 14)
    else:
        # A bit of a frame's header that changes no content.
        assert open_bundle(StreamMedium(io.BytesIO(raw)), GATE).statement == MADE.statement


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_a_pipe_that_ends_early_is_told(path: Path, data: st.DataObject) -> None:
    raw = path.read_bytes()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(BundleTruncated):
        verified(StreamMedium(io.BytesIO(raw[:cut])))


@pytest.mark.parametrize(
    "change",
    [
        {names.LAYOUT: b'{"imageLayoutVersion":"1.0.1"}'},
        {names.INDEX: b'{"schemaVersion":2,"manifests":[]}'},
    ],
)
def test_the_layout_is_as_it_must_be(tmp_path: Path, change: dict[str, bytes]) -> None:
    with FileMedium(changed(change).write(tmp_path / "bundle")) as medium:
        with pytest.raises(MemberMismatch) as caught:
            open_bundle(medium, GATE)
        assert caught.value.where in change


def changed(content: dict[str, bytes]) -> Contents:
    """A bundle that is signed and whole, with other content in some members."""
    members = tuple(
        replace(m, size=len(content[m.path]), digest=Digest.of(content[m.path]))
        if m.path in content
        else m
        for m in MADE.statement.members
    )
    statement = replace(MADE.statement, members=members)
    return replace(MADE, statement=statement, metadata={**MADE.metadata, **content})


@pytest.mark.parametrize("inventory", [b"garbage", b"[]", b"{}", b'{"format": 2}'])
def test_an_inventory_is_a_document_of_format_1(tmp_path: Path, inventory: bytes) -> None:
    with pytest.raises((MemberMismatch, DocumentInvalid)) as caught:
        open_with_inventory(tmp_path, inventory)
    assert caught.value.where.startswith(names.INVENTORY)


def test_an_inventory_is_handed_out_as_it_is(tmp_path: Path) -> None:
    assert open_with_inventory(tmp_path, b'{"format": 1}') == b'{"format": 1}'


def open_with_inventory(folder: Path, inventory: bytes) -> bytes:
    """What a bundle with this inventory hands out as such."""
    member = Member(names.INVENTORY, len(inventory), Digest.of(inventory), Role.INVENTORY)
    members = MADE.statement.members
    statement = replace(MADE.statement, members=(*members[:2], member, *members[2:]))
    made = replace(
        MADE, statement=statement, metadata={**MADE.metadata, names.INVENTORY: inventory}
    )
    with FileMedium(made.write(folder / "bundle")) as medium:
        return open_bundle(medium, GATE).inventory


def test_a_pipe_is_read_once_and_in_order(path: Path) -> None:
    with path.open("rb") as stream:
        medium = StreamMedium(stream)
        bundle = open_bundle(medium, GATE)
        first, second = (position for position, _ in bundle.blobs()[:2])
        with pytest.raises(UsageError, match="only once, in order"):
            list(medium.read(second))
        list(medium.read(first))
        with pytest.raises(UsageError):
            list(medium.read(first))


def test_a_file_is_opened_once(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.write_bytes(path.read_bytes())
    with FileMedium(copy) as medium:
        bundle = open_bundle(medium, GATE)
        copy.unlink()
        copy.write_bytes(b"something else entirely")
        verify_blobs(bundle, 2, NoProgress())


@pytest.mark.parametrize("name", ["missing", "n" * 300, "."])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaReadError) as caught, FileMedium(tmp_path / name) as medium:
        medium.read_envelope()
    assert caught.value.where
    assert caught.value.exit_code == 30


class Broken(io.RawIOBase):
    """A drive that gives up after some bytes."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if len(self._rest) < size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


@pytest.mark.parametrize("good", [0, 10, 5000, 1 << 20])
def test_a_drive_that_fails_is_told(path: Path, good: int) -> None:
    stream = Broken(path.read_bytes()[:good])
    with pytest.raises(MediaReadError, match="cannot read the bundle"):
        verified(StreamMedium(stream, "/dev/tape"))  # type: ignore[arg-type]


def test_a_medium_is_closed_after_use(path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    with FileMedium(path) as medium:
        verified(medium)
    assert len(list(descriptors.iterdir())) == before
