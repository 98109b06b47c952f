from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import DigestMismatch, DigestUnsupported, SizeMismatch
from airgap_shared.oci.digest import Digest, ProvenChunks, verified_chunks

HEX = "0123456789abcdef" * 4
CHUNKINGS = st.lists(st.binary(max_size=40), max_size=8)


def collected(chunks: Iterator[bytes]) -> tuple[list[bytes], Exception | None]:
    """What was passed on, and what ended it."""
    passed: list[bytes] = []
    try:
        for chunk in chunks:
            passed.append(chunk)
    except (DigestMismatch, SizeMismatch) as problem:
        return passed, problem
    return passed, None


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha512:{HEX * 2}"])
def test_a_digest_is_read_and_printed(text: str) -> None:
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        HEX,
        f"sha256:{HEX[1:]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"sha512:{HEX}",
        f"sha256:{HEX[:-1]}g",
        f"sha256:{HEX}\n",
        f"sha256:{HEX[:-1]}\n",
        f" sha256:{HEX}",
        f"sha256:{HEX[:-1]}１",
        f"md5:{HEX[:32]}",
        f"sha384:{HEX}{HEX[:32]}",
        f"sha256+b64:{HEX}",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DigestUnsupported) as caught:
        Digest.parse(text, "manifests[0]")
    assert caught.value.where == "manifests[0]"


@given(st.binary(max_size=200))
def test_the_digest_of_bytes_is_theirs_and_nobody_elses(data: bytes) -> None:
    digest = Digest.of(data)
    assert digest.hex == hashlib.sha256(data).hexdigest()
    digest.check(data)
    Digest("sha512", hashlib.sha512(data).hexdigest()).check(data)
    with pytest.raises(DigestMismatch, match="not sha256:"):
        digest.check(data + b"x", "there")


@given(CHUNKINGS)
def test_right_content_passes_unchanged(chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    passed = list(verified_chunks(chunks, Digest.of(content), len(content)))
    assert passed == chunks


@given(CHUNKINGS.filter(any), st.data())
def test_of_wrong_content_the_last_chunk_is_withheld(
    chunks: list[bytes], data: st.DataObject
) -> None:
    content = b"".join(chunks)
    position = data.draw(st.integers(0, len(content) - 1))
    wrong = bytearray(content)
    wrong[position] ^= 1 << data.draw(st.integers(0, 7))
    passed, problem = collected(verified_chunks(chunks, Digest.of(bytes(wrong)), len(content)))
    assert isinstance(problem, DigestMismatch)
    assert passed == chunks[:-1]


@given(CHUNKINGS, st.integers(0, 400))
def test_a_wrong_size_is_told_before_the_digest(chunks: list[bytes], size: int) -> None:
    content = b"".join(chunks)
    passed, problem = collected(verified_chunks(chunks, Digest.of(b"other"), size, "blob"))
    expected = DigestMismatch if size == len(content) else SizeMismatch
    assert type(problem) is expected
    assert getattr(problem, "where", None) == "blob"
    assert len(b"".join(passed)) <= size
    assert len(passed) < max(1, len(chunks))


@given(CHUNKINGS.filter(any))
def test_no_byte_beyond_the_size_is_read_for_long(chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    pulled: list[bytes] = []

    def endless() -> Iterator[bytes]:
        for chunk in chunks:
            pulled.append(chunk)
            yield chunk
        while True:
            pulled.append(b"more")
            yield b"more"

    passed, problem = collected(verified_chunks(endless(), Digest.of(content), len(content)))
    assert isinstance(problem, SizeMismatch)
    assert b"".join(passed) == b"".join(chunks[:-1])
    assert len(pulled) == len(chunks) + 1


def test_nothing_is_passed_on_before_the_next_chunk_is_there() -> None:
    content = [b"one", b"two", b"three"]
    whole = b"".join(content)
    chunks = verified_chunks(content, Digest.of(whole), len(whole))
    assert next(chunks) == b"one"
    broken = verified_chunks([b"all"], Digest.of(b"other"), 3)
    with pytest.raises(DigestMismatch):
        next(broken)


def test_empty_content_is_verified_too() -> None:
    assert list(verified_chunks([], Digest.of(b""), 0)) == []
    with pytest.raises(DigestMismatch):
        list(verified_chunks([], Digest.of(b"x"), 0))
    with pytest.raises(SizeMismatch, match="after 0 of 1 bytes"):
        list(verified_chunks([], Digest.of(b"x"), 1))


def proven(content: bytes, promised: bytes) -> ProvenChunks:
    """Content on its way from somebody who says that it is what was promised."""
    chunks = (content[start : start + 3] for start in range(0, len(content), 3))
    return ProvenChunks(Digest.of(promised), len(promised), chunks)


def test_what_is_proven_already_is_not_hashed_again() -> None:
    passed = verified_chunks(proven(b"whatever", b"promised"), Digest.of(b"promised"), 8)
    assert b"".join(passed) == b"whatever"


@pytest.mark.parametrize("wanted", [b"other", b"promises"])
def test_what_is_proven_to_be_something_else_is_proven_anew(wanted: bytes) -> None:
    with pytest.raises((DigestMismatch, SizeMismatch)):
        list(verified_chunks(proven(b"promised", b"promised"), Digest.of(wanted), len(wanted)))
    same_size = ProvenChunks(Digest.of(b"promised"), 7, iter([b"promise"]))
    assert b"".join(verified_chunks(same_size, Digest.of(b"promise"), 7)) == b"promise"


def test_what_is_proven_can_be_looked_at_on_its_way() -> None:
    seen: list[bytes] = []

    def look(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            seen.append(chunk)
            yield chunk

    passed = proven(b"promised", b"promised").through(look)
    assert (passed.digest, passed.size) == (Digest.of(b"promised"), 8)
    assert b"".join(verified_chunks(passed, passed.digest, passed.size)) == b"promised"
    assert seen == [b"pro", b"mis", b"ed"]
