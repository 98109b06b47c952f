"""Single members and the end of the archive, by both media."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from airgap_shared.bundle.names import ENVELOPE
from airgap_shared.bundle.statement import Member, Role
from airgap_shared.errors import (
    AirgapError,
    BadPadding,
    BundleCorrupt,
    BundleTruncated,
    MemberMismatch,
    NotABundle,
    TrailingData,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.medium import FileMedium, Medium, StreamMedium
from airgap_shared.trust.envelope import ENVELOPE_LIMIT
from support.hostile import assemble, frame_of, header_of, pack, segment_of, stored_frame

CONTENT = b"content"
MEMBER = Member("oci-layout", len(CONTENT), Digest.of(CONTENT), Role.LAYOUT)
FIRST, SEGMENT, END = segment_of(ENVELOPE, b"{}"), segment_of("oci-layout", CONTENT), bytes(1024)
Open = Callable[[bytes], Medium]


@pytest.fixture(params=["file", "pipe"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open these bytes as a bundle."""
    with ExitStack() as stack:

        def enter(raw: bytes) -> Medium:
            if request.param == "pipe":
                return StreamMedium(io.BytesIO(raw))
            (tmp_path / "bundle").write_bytes(raw)
            return stack.enter_context(FileMedium(tmp_path / "bundle"))

        yield enter


def read(medium: Medium) -> bytes:
    """Everything in a bundle of one member."""
    assert medium.read_envelope() == b"{}"
    medium.expect([MEMBER])
    content = b"".join(medium.read(0))
    medium.finish()
    return content


def framed(*segments: Sequence[bytes]) -> bytes:
    """A file whose segments are made of these pieces, each in a frame of its own."""
    pieces = [piece for segment in segments for piece in segment]
    return assemble([(frame_of(piece), len(piece)) for piece in pieces])


@pytest.mark.parametrize(
    "raw",
    [
        pack([FIRST, SEGMENT, END]),
        framed([FIRST[:7], FIRST[7:]], [SEGMENT[:512], SEGMENT[512:520], SEGMENT[520:]], [END]),
        framed([FIRST], [SEGMENT], [END[:1], END[1:]]),
        assemble([(stored_frame(part), len(part)) for part in (FIRST, SEGMENT, END)]),
    ],
)
def test_segments_may_span_frames_of_any_kind(opened: Open, raw: bytes) -> None:
    assert read(opened(raw)) == CONTENT


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (pack([FIRST[:-1] + b"x", SEGMENT, END]), BadPadding),
        (pack([FIRST, SEGMENT[:-1] + b"x", END]), BadPadding),
        (pack([FIRST, SEGMENT[:520] + b"x" + SEGMENT[521:], END]), BadPadding),
        (pack([FIRST, SEGMENT, END[:-1] + b"x"]), BadPadding),
        (pack([FIRST, SEGMENT, b"x" + END[1:]]), BadPadding),
        (pack([FIRST, segment_of("oci-layouT", CONTENT), END]), MemberMismatch),
        (
            pack([FIRST, header_of("oci-layout", 7, mode=b"0004755") + SEGMENT[512:], END]),
            MemberMismatch,
        ),
        (pack([FIRST, header_of("oci-layout", 7, b"2") + SEGMENT[512:], END]), MemberMismatch),
        (pack([FIRST, header_of("oci-layout", 8) + SEGMENT[512:], END]), MemberMismatch),
        (framed([FIRST], [SEGMENT + END]), BundleCorrupt),
        (framed([FIRST + SEGMENT], [END]), BundleCorrupt),
        (framed([FIRST], [SEGMENT[:600]], [SEGMENT[600:] + END]), BundleCorrupt),
        (pack([segment_of("other.json", b"{}"), SEGMENT, END]), NotABundle),
        (pack([header_of(ENVELOPE, ENVELOPE_LIMIT + 1), SEGMENT, END]), NotABundle),
        (b"PK\x03\x04" + bytes(100), NotABundle),
        (b"", BundleTruncated),
    ],
)
def test_an_archive_that_is_not_as_signed_is_refused(
    opened: Open, raw: bytes, error: type[AirgapError]
) -> None:
    with pytest.raises(error) as caught:
        read(opened(raw))
    assert type(caught.value) is error


def test_what_follows_the_end_is_told(opened: Open) -> None:
    whole = pack([FIRST, SEGMENT, END])
    with pytest.raises(TrailingData):
        read(opened(whole + b"x"))


@pytest.mark.parametrize("extra", [SEGMENT, END, b"x"])
def test_a_frame_too_many_is_refused(opened: Open, extra: bytes) -> None:
    with pytest.raises((TrailingData, BundleCorrupt)):
        read(opened(pack([FIRST, SEGMENT, END, extra])))


def test_a_file_is_cut_short_at_every_byte(opened: Open) -> None:
    whole = pack([FIRST, SEGMENT, END])
    for cut in range(len(whole)):
        with pytest.raises(BundleTruncated):
            read(opened(whole[:cut]))


def test_a_seek_table_that_lies_is_refused(opened: Open) -> None:
    frames = [(frame_of(part), len(part)) for part in (FIRST, SEGMENT, END)]
    body = b"".join(frame for frame, _ in frames)
    sizes = [(len(frame), content) for frame, content in frames]
    for number in range(3):
        for change in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            lying = list(sizes)
            lying[number] = (sizes[number][0] + change[0], sizes[number][1] + change[1])
            table = assemble([(bytes(length), content) for length, content in lying])
            raw = body + table[sum(length for length, _ in lying) :]
            with pytest.raises((BundleCorrupt, BundleTruncated, TrailingData)):
                read(opened(raw))
