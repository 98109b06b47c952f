"""An honest bundle taken apart, changed at random at any depth, and put together again.

Whoever forges has the key: what is changed before signing is signed, and checksums, sizes and
digests are made to fit again more often than not, so that a change gets past the first check.
Written from bundle-spec.md alone, as support.hostile is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import zstandard

from support.garbling import Garbler, holders_of
from support.hostile import (
    BLOCK,
    END,
    ENVELOPE,
    Key,
    frame_of,
    header_of,
    pack,
    seal,
    seek_table,
    segment_of,
    stored_frame,
    with_checksum,
)

_LARGEST = 1 << 22


@dataclass(frozen=True, slots=True)
class Workpiece:
    """A bundle in parts: the signed document, its bytes if they are no such document, the rest.

    ``segments`` are the members after the envelope and the end of the archive.
    """

    statement: object
    segments: tuple[bytes, ...]
    payload: bytes | None = None

    @classmethod
    def of(cls, data: bytes) -> Workpiece | None:
        """What a file is made of, if it can be taken apart."""
        try:
            envelope, *rest = _contents(data)
            size = int(envelope[124:135], 8)
            sealed = json.loads(envelope[BLOCK : BLOCK + size])
            payload = base64.b64decode(sealed["payload"])
        except (ValueError, LookupError, TypeError, RecursionError, struct.error):
            return None
        except zstandard.ZstdError:
            return None
        try:
            return cls(json.loads(payload), tuple(rest))
        except (ValueError, RecursionError):
            return cls(None, tuple(rest), payload)

    @property
    def signed_bytes(self) -> bytes:
        """What is signed."""
        return self.payload if self.payload is not None else json.dumps(self.statement).encode()

    def pack(self, key: Key) -> bytes:
        """The file, one frame for each segment."""
        return pack([segment_of(ENVELOPE, seal(self.signed_bytes, key)), *self.segments])


@dataclass(slots=True)
class Forged:
    """A forged file: its bytes, what was signed, and what was done to it, in order."""

    data: bytes
    signed: bytes
    changes: list[str] = field(default_factory=list)

    @property
    def digests(self) -> frozenset[str]:
        """The content that is signed for."""
        try:
            members = json.loads(self.signed)["predicate"]["members"]
            return frozenset(str(member["digest"]) for member in members)
        except (ValueError, LookupError, TypeError, RecursionError):
            return frozenset()


class Forger:
    """Changes workpieces by turns of a random generator, and signs with ``key``."""

    def __init__(self, key: Key, random: Random) -> None:
        self._key = key
        self._random = random
        self._garbler = Garbler(random)

    def forge(self, work: Workpiece, most: int = 4) -> Forged:
        """From one to ``most`` changes."""
        chosen = self._random.choices(
            range(6), (12, 5, 4, 2, 1, 1), k=self._random.randint(1, most)
        )
        changes: list[str] = []
        for stage in sorted(chosen)[: chosen.count(0) + chosen.count(1)]:
            change = self._content if stage == 0 else self._statement
            work = change(work, changes)
        envelope = self._envelope(work, changes)
        segments = [segment_of(ENVELOPE, envelope), *work.segments]
        for _ in range(chosen.count(2)):
            segments = self._rearranged(segments, changes)
        frames = [(self._frame(segment, changes), len(segment)) for segment in segments]
        for _ in range(chosen.count(3)):
            frames = self._reframed(frames, changes)
        table = self._table(frames, changes, chosen.count(4))
        data = b"".join(frame for frame, _ in frames) + table
        for _ in range(chosen.count(5)):
            data = self._noted(changes, "file", self._garbler.bytes_like(data))
        return Forged(data, work.signed_bytes, changes)

    def _content(self, work: Workpiece, changes: list[str]) -> Workpiece:
        """Other content for one member; mostly everything that names it follows."""
        if not work.segments:
            return work
        at = self._random.randrange(len(work.segments))
        name, content = _member(work.segments[at])
        if not name:
            return work
        after = self._changed_content(content)
        segments = list(work.segments)
        segments[at] = segment_of(name, after)
        changes.append(f"content of {name}")
        changed = replace(work, segments=tuple(segments))
        return _following(changed, content, after) if self._random.random() < 0.7 else changed

    def _changed_content(self, content: bytes) -> bytes:
        if self._random.random() < 0.7:
            try:
                return json.dumps(self._garbler.json_like(json.loads(content))).encode()
            except (ValueError, RecursionError):
                pass
        return self._garbler.bytes_like(content)

    def _statement(self, work: Workpiece, changes: list[str]) -> Workpiece:
        if work.payload is not None or self._random.random() < 0.1:
            return replace(
                work,
                payload=self._noted(
                    changes, "payload", self._garbler.bytes_like(work.signed_bytes)
                ),
            )
        changes.append("statement")
        copy = json.loads(json.dumps(work.statement))
        return replace(work, statement=self._garbler.json_like(copy))

    def _envelope(self, work: Workpiece, changes: list[str]) -> bytes:
        envelope = seal(work.signed_bytes, self._key)
        if self._random.random() > 0.06:
            return envelope
        if self._random.random() < 0.5:
            return self._noted(changes, "envelope", self._garbler.bytes_like(envelope))
        changed = json.dumps(self._garbler.json_like(json.loads(envelope))).encode()
        return self._noted(changes, "envelope", changed)

    def _rearranged(self, segments: list[bytes], changes: list[str]) -> list[bytes]:
        random = self._random
        at, other = random.randrange(len(segments)), random.randrange(len(segments))
        segment = segments[at]
        found = list(segments)
        match random.randrange(7):
            case 0:
                del found[at]
            case 1:
                found.insert(other, segment)
            case 2:
                found[at], found[other] = found[other], found[at]
            case 3:
                header = with_checksum(
                    self._garbler.bytes_like(segment[:BLOCK])[:BLOCK].ljust(BLOCK, b"0")
                )
                found[at] = header + segment[BLOCK:]
            case 4:
                found.insert(at, segment_of(random.choice(("x", "../x", "index.json")), b"x"))
            case 5:
                kind = random.choice(b"123456789xgLKS\x00").to_bytes(1, "big")
                found.insert(at, header_of("link", 0, kind, linkname=b"/etc"))
            case _:
                found[at] = self._garbler.bytes_like(segment)
        changes.append(f"segments at {at}")
        return [one for one in found if one] or [END]

    def _frame(self, segment: bytes, changes: list[str]) -> bytes:
        chosen = self._random.random()
        if chosen < 0.9:
            return frame_of(segment, self._random.choice((1, 3)))
        changes.append("kind of frame")
        if chosen < 0.96:
            return stored_frame(segment)
        return zstandard.ZstdCompressor(write_checksum=False, write_content_size=False).compress(
            segment
        )

    def _reframed(
        self, frames: list[tuple[bytes, int]], changes: list[str]
    ) -> list[tuple[bytes, int]]:
        random = self._random
        at = random.randrange(len(frames))
        frame, size = frames[at]
        found = list(frames)
        match random.randrange(6):
            case 0:
                found[at] = (self._garbler.bytes_like(frame), size)
            case 1:
                found[at : at + 1] = _split(frame, random.randint(1, max(1, size - 1)))
            case 2:
                found[at : at + 2] = _joined(found[at : at + 2])
            case 3:
                found.insert(at, (struct.pack("<II", 0x184D2A50, 4) + b"skip", 0))
            case 4:
                found.insert(at, (frame_of(b""), 0))
            case _:
                header = bytes((random.randrange(256), random.randrange(256)))
                found[at] = (frame[:4] + header + frame[6:], size)
        changes.append(f"frames at {at}")
        return found

    def _table(self, frames: list[tuple[bytes, int]], changes: list[str], times: int) -> bytes:
        sizes = [(len(frame), content) for frame, content in frames]
        table = seek_table(sizes)
        for _ in range(times):
            if self._random.random() < 0.5:
                table = self._noted(changes, "table", self._garbler.bytes_like(table))
                continue
            at = self._random.randrange(len(sizes))
            step = self._random.choice((-1, 1, -512, 512))
            sizes[at] = (max(0, sizes[at][0] + step), max(0, sizes[at][1] - step))
            table = self._noted(changes, "entry of the table", seek_table(sizes))
        return table

    def _noted(self, changes: list[str], what: str, data: bytes) -> bytes:
        changes.append(what)
        return data


def _contents(data: bytes) -> Iterator[bytes]:
    """What the frames hold that the table at the end lists."""
    count, _, _ = struct.unpack("<IBI", data[-9:])
    start = len(data) - 9 - count * 8
    if count > 1000 or start < 8:
        raise ValueError
    offset = 0
    for compressed, _ in struct.iter_unpack("<II", data[start:-9]):
        frame = data[offset : offset + compressed]
        offset += compressed
        if not frame.startswith(b"\x50\x2a\x4d\x18"):
            yield _unpacked(frame)


def _unpacked(frame: bytes) -> bytes:
    """What a frame holds, a part of it if that is very much."""
    with zstandard.ZstdDecompressor(max_window_size=_LARGEST).stream_reader(frame) as reader:
        return reader.read(_LARGEST)


def _member(segment: bytes) -> tuple[str, bytes]:
    """Name and content of a segment with a plain header; no name for any other."""
    try:
        name = segment[:100].rstrip(b"\x00").decode("ascii")
        size = int(segment[124:135], 8)
    except ValueError:
        return "", b""
    return ("", b"") if name == "pax-header" else (name, segment[BLOCK : BLOCK + size])


def _following(work: Workpiece, before: bytes, after: bytes) -> Workpiece:
    """The statement, and every document in the bundle, naming the new content for the old."""
    segments = list(work.segments)
    ahead = [(before, after)]
    statement = work.statement
    while ahead:
        old, new = ahead.pop()
        change = _renaming(old, new)
        statement = _rewritten(statement, change)
        for at, segment in enumerate(segments):
            name, content = _member(segment)
            if _digest(old) in name or _digest(old).replace(":", "/", 1) in name:
                name = name.replace(_digest(old).partition(":")[2], _digest(new).partition(":")[2])
                segments[at] = segment_of(name, content)
            if name and content != new and _digest(old).encode() in content:
                found = _document(content, change)
                segments[at] = segment_of(name, found)
                if len(ahead) < 20:
                    ahead.append((content, found))
    return replace(work, statement=statement, segments=tuple(segments))


def _document(content: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    try:
        return json.dumps(_rewritten(json.loads(content), change)).encode()
    except (ValueError, RecursionError):
        return content


def _renaming(old: bytes, new: bytes) -> Callable[[dict[str, object]], None]:
    """Puts digest, size and path of the new content where those of the old one stand."""
    before, after = _digest(old), _digest(new)

    def change(mapping: dict[str, object]) -> None:
        for key, value in mapping.items():
            if isinstance(value, str) and before[7:] in value:
                mapping[key] = value.replace(before[7:], after[7:])
        if mapping.get("digest") == after and "size" in mapping:
            mapping["size"] = len(new)

    return change


def _rewritten(value: object, change: Callable[[dict[str, object]], None]) -> object:
    copy: object = json.loads(json.dumps(value))
    for holder in list(holders_of(copy)):
        if isinstance(holder, dict):
            change(holder)
    _total(copy)
    return copy


def _total(statement: object) -> None:
    """Totals that are right again, where there is something to add up."""
    if not isinstance(statement, dict) or not isinstance(statement.get("predicate"), dict):
        return
    predicate = statement["predicate"]
    members, totals = predicate.get("members"), predicate.get("totals")
    if isinstance(members, list) and isinstance(totals, dict):
        sizes = [one.get("size") for one in members if isinstance(one, dict)]
        totals["bytes"] = sum(size for size in sizes if isinstance(size, int))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _split(frame: bytes, at: int) -> Sequence[tuple[bytes, int]]:
    try:
        content = _unpacked(frame)
    except zstandard.ZstdError:
        return [(frame, at)]
    return [(frame_of(part), len(part)) for part in (content[:at], content[at:])]


def _joined(frames: Sequence[tuple[bytes, int]]) -> Sequence[tuple[bytes, int]]:
    try:
        content = b"".join(_unpacked(frame) for frame, _ in frames)
    except zstandard.ZstdError:
        return frames
    return [(frame_of(content), len(content))]
