"""The one tar header that a member can have: POSIX, every field fixed but name and size."""

from __future__ import annotations

import re

from airgap_shared.errors import MemberMismatch, NotABundle

BLOCK = 512
END = bytes(2 * BLOCK)
#: 1980-01-01: the earliest time that no archive tool warns about.
_MTIME = 315_532_800
_NAME_LENGTH = 100
_OCTAL_LIMIT = 8**11


def compose_header(name: str, size: int) -> bytes:
    """Everything before a member's content: 512 bytes, or from 1,536 on for a long name.

    The header is ustar. A name over 100 characters (a sha512 blob, a file deep in the application)
    is given in a pax extended header before it; sizes from 8 GiB are written in base 256. GNU tar,
    bsdtar, Go and Python read both.
    """
    if len(name) <= _NAME_LENGTH:
        return _ustar(name, size, b"0")
    record = _pax_record("path", name)
    extended = _ustar("pax-header", len(record), b"x") + record + bytes(padding_of(len(record)))
    return extended + _ustar(name[:_NAME_LENGTH], size, b"0")


def header_size(name: str) -> int:
    """The length of :func:`compose_header`'s answer."""
    if len(name) <= _NAME_LENGTH:
        return BLOCK
    record = len(_pax_record("path", name))
    return BLOCK + record + padding_of(record) + BLOCK


def padding_of(size: int) -> int:
    """How many zero bytes follow content of this size."""
    return -size % BLOCK


def segment_size(name: str, size: int) -> int:
    """Header, content and padding together."""
    return header_size(name) + size + padding_of(size)


def check_header(found: bytes, name: str, size: int) -> None:
    """Raise :class:`MemberMismatch` unless ``found`` is exactly the header expected here."""
    if found != compose_header(name, size):
        raise MemberMismatch(
            f"the archive's header is not the one the signed statement implies for {name!r}",
            where=name,
        )


def claimed_size(found: bytes, name: str, limit: int) -> int:
    """The size in the header of the first member, whose name alone is known beforehand.

    Raises:
        NotABundle: it is not that member's header, or claims more than ``limit`` bytes.

    """
    text = found[124:135]
    if re.fullmatch(rb"[0-7]{11}", text):
        size = int(text, 8)
        if size <= limit and found == compose_header(name, size):
            return size
    raise NotABundle(f"the archive does not begin with {name}")


def _ustar(name: str, size: int, kind: bytes) -> bytes:
    size_field = b"%011o\x00" % size if size < _OCTAL_LIMIT else _base256(size)
    # Joined, not written next to each other: "\0" before a digit would read as one octal escape.
    fields = [
        name.encode("ascii").ljust(_NAME_LENGTH, b"\x00"),
        b"0000644\x00",
        b"0000000\x00",
        b"0000000\x00",
        size_field,
        b"%011o\x00" % _MTIME,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x00",
        b"00",
        bytes(64),
        b"0000000\x00",
        b"0000000\x00",
        bytes(167),
    ]
    header = b"".join(fields)
    return header[:148] + b"%06o\x00 " % sum(header) + header[156:]


def _pax_record(key: str, value: str) -> bytes:
    """``LENGTH key=value`` and a newline, the length counting itself (POSIX pax)."""
    body = f" {key}={value}\n"
    length = len(body) + len(str(len(body)))
    length = len(body) + len(str(length))
    return f"{length}{body}".encode("ascii")


def _base256(size: int) -> bytes:
    return (size | 1 << 95).to_bytes(12, "big")
