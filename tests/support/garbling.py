"""Bytes and JSON values with something wrong about them, by turns of a random generator."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

from support.hostile import BLOCK, ZSTD_MAGIC

#: What makes a parser of bytes think: ends of numbers, magics, zeros.
_PIECES = (
    b"\x00",
    b"\xff",
    b"\x7f",
    bytes(8),
    b"\xff" * 8,
    bytes(BLOCK),
    ZSTD_MAGIC,
    struct.pack("<I", 0x184D2A5E),
    struct.pack("<I", 0x8F92EAB1),
    b"../",
    b"\r\n",
    "ſ\u202e".encode(),
)
_DIGEST = "sha256:" + "0" * 64
#: What may stand in JSON and is not what should.
_VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**53,
    2**62,
    2**63,
    -(2**63),
    10**400,
    0.5,
    1e300,
    "",
    "0",
    "..",
    "../../etc/passwd",
    "/",
    "a" * 300,
    "blobs/sha256/" + "0" * 64,
    _DIGEST,
    _DIGEST.upper(),
    "sha512:" + "0" * 128,
    "md5:" + "0" * 32,
    "sha256:../../../x",
    "docker.io/library/nginx:1",
    "evil.example/x:1",
    "127.0.0.1:1/x",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "\x00\x1b[31m",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"": None},
)


class Garbler:
    """Makes one change at a time; equal generators make equal changes."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def bytes_like(self, data: bytes) -> bytes:
        """Some bytes with one thing about them changed."""
        random = self._random
        at = random.randint(0, len(data))
        end = min(len(data), at + random.choice((1, 1, 2, 8, 64, BLOCK, len(data))))
        flipped = bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1])
        cut, again = data[:at], data[:end] + data[at:]
        piece, noise = random.choice(_PIECES), random.randbytes(end - at)
        replaced = [data[:at] + one + data[end:] for one in (b"", piece, noise)]
        bit, inserted = data[:at] + flipped + data[at + 1 :], data[:at] + piece + data[at:]
        return random.choice((bit, bit, cut, again, inserted, *replaced))

    def json_like(self, value: object) -> object:
        """A JSON value with one thing about it changed."""
        holders = list(holders_of(value))
        if not holders:
            return self._random.choice(_VALUES)
        holder = self._random.choice(holders)
        if isinstance(holder, dict):
            self._change_mapping(holder)
        else:
            self._change_list(holder)
        return value

    def _change_mapping(self, holder: dict[str, object]) -> None:
        random = self._random
        key = random.choice(list(holder))
        match random.randrange(5):
            case 0:
                del holder[key]
            case 1:
                holder[random.choice(list(holder))] = holder[key]
            case 2:
                holder[random.choice((key.upper(), "urls", "data", "platform", ""))] = holder[key]
            case _:
                holder[key] = self._other(holder[key])

    def _change_list(self, holder: list[object]) -> None:
        random = self._random
        at, other = random.randrange(len(holder)), random.randrange(len(holder))
        match random.randrange(5):
            case 0:
                del holder[at]
            case 1:
                holder.insert(other, holder[at])
            case 2:
                holder[at], holder[other] = holder[other], holder[at]
            case 3:
                holder *= random.choice((2, 3, 50))
            case _:
                holder[at] = self._other(holder[at])

    def _other(self, value: object) -> object:
        random = self._random
        if isinstance(value, int) and random.random() < 0.5:
            return value + random.choice((-1, 1, 512))
        if isinstance(value, str) and value and random.random() < 0.5:
            return self.bytes_like(value.encode(errors="replace")).decode(errors="replace")
        if random.random() < 0.1:
            deep: object = value
            for _ in range(random.choice((3, 60, 70, 300))):
                deep = [deep]
            return deep
        return random.choice(_VALUES)


def holders_of(value: object) -> Iterator[dict[str, object] | list[object]]:
    """Every mapping and list in a value that has something in it."""
    ahead = [value]
    while ahead:
        one = ahead.pop()
        if isinstance(one, dict):
            ahead += one.values()
        elif isinstance(one, list):
            ahead += one
        if isinstance(one, dict | list) and one:
            yield one
