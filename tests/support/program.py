"""Tiny static Linux programs, written as machine code, to be run from an image."""

from __future__ import annotations

import struct
from collections.abc import Callable

_BASE = 0x400000
_HEADERS = 64 + 56


def static_program(message: str, architecture: str = "amd64") -> bytes:
    """An ELF file that writes ``message`` to its output and exits with 0.

    It needs no libc, no loader and no other file (elf(5); two system calls).
    """
    machine, assemble = {"amd64": (62, _amd64), "arm64": (183, _arm64)}[architecture]
    data = message.encode()
    code = assemble(len(data))
    size = _HEADERS + len(code) + len(data)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        2,
        machine,
        1,
        _BASE + _HEADERS,
        64,
        0,
        0,
        64,
        56,
        1,
        64,
        0,
        0,
    )
    readable_executable = 5
    segment = struct.pack("<IIQQQQQQ", 1, readable_executable, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + code + data


_Assembler = Callable[[int], bytes]


def _amd64(length: int) -> bytes:
    before = b"\xbf" + struct.pack("<i", 1)  # mov edi, 1
    after = (
        b"\xba"
        + struct.pack("<i", length)  # mov edx, length
        + b"\xb8"
        + struct.pack("<i", 1)  # mov eax, write
        + b"\x0f\x05"  # syscall
        + b"\x31\xff"  # xor edi, edi
        + b"\xb8"
        + struct.pack("<i", 60)  # mov eax, exit
        + b"\x0f\x05"  # syscall
    )
    return before + b"\x48\x8d\x35" + struct.pack("<i", len(after)) + after  # lea rsi, [rip + …]


def _arm64(length: int) -> bytes:
    words = [
        _mov(0, 1),
        0x10000001 | (7 * 4 // 4) << 5,  # adr x1, seven instructions on
        _mov(2, length),
        _mov(8, 64),  # write
        0xD4000001,  # svc 0
        _mov(0, 0),
        _mov(8, 93),  # exit
        0xD4000001,
    ]
    return b"".join(struct.pack("<I", word) for word in words)


def _mov(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register
