"""A bundle with one large layer, written to disk piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from support.bundles import KEY, make_contents
from support.images import GeneratedContent, make_image, opaque_layer
from support.journey import deployment

_NAME = "docker.io/team/large:1"
_MIB = 1 << 20
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class LargeBundle:
    """A finished file, and the digests of all that was signed for; ``layer`` is the large one."""

    path: Path
    layer: str
    size: int
    signed: frozenset[str]

    def position_of(self, at: int) -> int:
        """Where in the file the byte ``at`` of the layer stands; stored members are not changed."""
        content = GeneratedContent(self.size)
        start = at - at % _SAMPLE  # blocks of the file are multiples of it
        sample = _slice(content, start, _SAMPLE)
        with self.path.open("rb") as file:
            file.seek(start)
            found = file.read(_MIB).find(sample)
        assert found >= 0
        return start + found + (at - start)

    def flip(self, position: int) -> None:
        """Change a byte of the file; again, and it is as before."""
        with self.path.open("r+b") as file:
            file.seek(position)
            changed = file.read(1)[0] ^ 1
            file.seek(position)
            file.write(bytes([changed]))


def write_large_bundle(folder: Path, size: int) -> LargeBundle:
    """``large.tar.zst`` and the key ``vendor.pub``, in a folder that exists."""
    layer = opaque_layer(GeneratedContent(size))
    image = make_image([layer, b"a small one"])
    contents = make_contents({_NAME: image}, {"app.yaml": deployment("web", _NAME).encode()})
    release = replace(contents.statement.release, expires=datetime(2099, 1, 1, tzinfo=UTC))
    contents = replace(contents, statement=replace(contents.statement, release=release))
    (folder / "vendor.pub").write_bytes(KEY.public_key.pem)
    path = contents.write(folder / "large.tar.zst")
    signed = frozenset(str(member.digest) for member in contents.statement.members)
    return LargeBundle(path, layer.digest, size, signed)


def _slice(content: GeneratedContent, start: int, length: int) -> bytes:
    found = b""
    for number, chunk in enumerate(content.chunks()):
        if number >= start // _MIB:
            found += chunk
        if len(found) >= start % _MIB + length:
            break
    return found[start % _MIB :][:length]
