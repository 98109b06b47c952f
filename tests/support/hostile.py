"""Bundles by somebody who has a key and no scruples: anything signed, anything packed.

Written from bundle-spec.md alone; it shares no code with the tool.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import zstandard
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from support.images import BuiltImage, Content, digest_of, size_of

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "https://airgap-bundle.dev/attestation/bundle/v1"
ENVELOPE = "airgap-bundle.dsse.json"
END = bytes(1024)
BLOCK = 512
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Key:
    """A P-256 key: a new one, or the one with this secret number."""

    scheme = "ecdsa-p256-sha256"

    def __init__(self, secret: int | None = None) -> None:
        curve = ec.SECP256R1()
        self._key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(curve)
            if secret is None
            else ec.derive_private_key(secret, curve)
        )

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def key_id(self) -> str:
        """The fingerprint that OpenSSH prints."""
        line = self._key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def sign(self, message: bytes) -> bytes:
        """ASN.1 DER, and another one each time."""
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


class RsaKey(Key):
    """An RSA key of 3,072 bits, or of any other size."""

    scheme = "rsa-pkcs1v15-sha256"

    def __init__(self, bits: int = 3072) -> None:
        self._key = rsa.generate_private_key(65537, bits)

    def sign(self, message: bytes) -> bytes:
        """PKCS#1 v1.5."""
        assert isinstance(self._key, rsa.RSAPrivateKey)
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Member:
    """A member as it is packed, and as it is signed for; both the same unless said otherwise."""

    path: str
    content: bytes
    role: str
    media_type: str | None = None
    signed: Mapping[str, object] = field(default_factory=dict)

    @property
    def segment(self) -> bytes:
        """Header, content and padding."""
        return segment_of(self.path, self.content)

    @property
    def entry(self) -> dict[str, object]:
        """What the statement says of it."""
        entry: dict[str, object] = {
            "path": self.path,
            "size": len(self.content),
            "digest": digest_of(self.content),
            "role": self.role,
        }
        if self.media_type is not None:
            entry["mediaType"] = self.media_type
        return {**entry, **self.signed}


@dataclass(frozen=True, slots=True)
class Draft:
    """A bundle to be; honest when made by :meth:`of`, and anything after ``replace``.

    ``predicate`` overrides fields of the predicate; an override may be any JSON value.
    """

    members: tuple[Member, ...]
    images: tuple[Mapping[str, object], ...]
    predicate: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Mapping[str, BuiltImage], files: Mapping[str, str] | None = None) -> Draft:
        """A bundle of these images by canonical reference, and of these files.

        Manifests are packed as they are, whatever they say.
        """
        manifests, blobs = _all_of(images.values())
        members = (
            Member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', "layout"),
            Member("index.json", _index_of(images), "index"),
            *(
                Member(f"application/upstream/{path}", text.encode(), "application")
                for path, text in (files or {}).items()
            ),
            *manifests.values(),
            *(
                Member(blob_path(digest), _bytes_of(content), "blob")
                for digest, content in blobs.items()
            ),
        )
        return cls(members, tuple(_image(name, image) for name, image in images.items()))

    @classmethod
    def with_attached(
        cls,
        images: Mapping[str, BuiltImage],
        files: Mapping[str, str],
        entries: Mapping[str, Sequence[Mapping[str, object]]],
        attached: Sequence[BuiltImage],
    ) -> Draft:
        """The same with entries of attachments by image; what is attached is packed after all."""
        draft = cls.of({**images, **{one.digest: one for one in attached}}, files)
        unnamed = [one for one in attached if one.digest not in {i.digest for i in images.values()}]
        index = json.loads(_index_of(images))
        index["manifests"] += [
            {"mediaType": one.media_type, "digest": one.digest, "size": len(one.raw)}
            for one in unnamed
        ]
        members = list(draft.members)
        members[1] = Member("index.json", json.dumps(index).encode(), "index")
        described = [
            {**_image(name, image), "attached": list(entries.get(name, ()))}
            for name, image in images.items()
        ]
        return cls(tuple(members), tuple(described))

    @property
    def digests(self) -> frozenset[str]:
        """All content that is signed for."""
        return frozenset(str(member.entry["digest"]) for member in self.members)

    def changed(self, number: int, **changes: object) -> Draft:
        """The same with other fields for the member at ``number``."""
        members = list(self.members)
        members[number] = replace(members[number], **changes)  # type: ignore[arg-type]
        return replace(self, members=tuple(members))

    def statement(self) -> dict[str, object]:
        """The statement as JSON."""
        entries = [member.entry for member in self.members]
        index = next((one for one in self.members if one.role == "index"), None)
        predicate: dict[str, object] = {
            "format": 1,
            "critical": [],
            "base": None,
            "app": "shop",
            "version": "1.0.0",
            "channel": "stable",
            "sequence": 1_767_225_600,
            "created": "2026-01-01T00:00:00Z",
            "expires": "2099-01-01T00:00:00Z",
            "tool": "hostile/1",
            "platforms": ["linux/amd64"],
            "members": entries,
            "images": list(self.images),
            "totals": {
                "members": len(entries),
                "bytes": sum(size for e in entries if isinstance(size := e["size"], int)),
            },
            **self.predicate,
        }
        subject = index.entry["digest"] if index is not None else digest_of(b"")
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                {"name": "index.json", "digest": {"sha256": str(subject).partition(":")[2]}}
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }

    def segments(self, key: Key) -> list[bytes]:
        """Everything that goes into frames: the envelope, the members, the end."""
        envelope = seal(json.dumps(self.statement()).encode(), key)
        return [
            segment_of(ENVELOPE, envelope),
            *(member.segment for member in self.members),
            END,
        ]

    def pack(self, key: Key) -> bytes:
        """The whole file."""
        return pack(self.segments(key))


def blob_path(digest: str) -> str:
    """Where the layout has content with this digest."""
    return "blobs/" + digest.replace(":", "/", 1)


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The pre-authentication encoding of DSSE."""
    kind = payload_type.encode()
    return b" ".join((b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload))


def seal(
    payload: bytes, *keys: Key, payload_type: str = PAYLOAD_TYPE, key_id: str | None = None
) -> bytes:
    """An envelope signed by these keys."""
    message = pae(payload, payload_type)
    return envelope_of(
        payload,
        [(key.key_id if key_id is None else key_id, key.sign(message)) for key in keys],
        payload_type,
    )


def envelope_of(
    payload: bytes, signatures: Sequence[tuple[str, bytes]], payload_type: str = PAYLOAD_TYPE
) -> bytes:
    """An envelope with these key ids and signatures."""
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [
                {"keyid": key_id, "sig": base64.b64encode(value).decode()}
                for key_id, value in signatures
            ],
        }
    ).encode()


def segment_of(path: str, content: bytes) -> bytes:
    """A member of the archive as bundle-spec.md 3.1 to 3.3 have it."""
    return header_of(path, len(content)) + padded(content)


def padded(content: bytes) -> bytes:
    """Content and zero bytes up to a block."""
    return content + bytes(-len(content) % BLOCK)


def header_of(path: str, size: int, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header; ``fields`` override its fields by name, the size as ``size_field``."""
    if len(path) > 100:
        record = f" path={path}\n"
        length = len(record) + 3
        extended = f"{length}{record}".encode()
        assert len(extended) == length
        start = header_of("pax-header", length, b"x") + padded(extended)
        return start + header_of(path[:100], size, kind, **fields)
    layout = (
        (100, path.encode("utf-8", "surrogateescape")),
        (8, fields.get("mode", b"0000644")),
        (8, fields.get("uid", b"0000000")),
        (8, fields.get("gid", b"0000000")),
        (12, fields.get("size_field", b"%011o" % size)),
        (12, fields.get("mtime", b"%011o" % 315532800)),
        (8, b" " * 8),
        (1, kind),
        (100, fields.get("linkname", b"")),
        (8, fields.get("magic", b"ustar\x0000")),
        (32, fields.get("uname", b"")),
        (32, b""),
        (8, b"0000000"),
        (8, b"0000000"),
        (167, fields.get("prefix", b"")),
    )
    header = b"".join(value.ljust(length, b"\x00") for length, value in layout)
    assert len(header) == BLOCK
    return with_checksum(header)


def with_checksum(header: bytes) -> bytes:
    """The same block with a checksum that fits."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\x00 " % sum(blank) + header[156:]


def frame_of(content: bytes, level: int = 3) -> bytes:
    """One zstd frame with a checksum."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(content)


def stored_frame(content: bytes) -> bytes:
    """One frame of raw blocks, as bundle-spec.md 2.4 has it but for the first block's length."""
    blocks = [content[at : at + 131_072] for at in range(0, len(content), 131_072)]
    last = len(blocks) - 1
    return (
        ZSTD_MAGIC
        + b"\xc0\x38"
        + struct.pack("<Q", len(content))
        + b"".join(
            (len(block) << 3 | (number == last)).to_bytes(3, "little") + block
            for number, block in enumerate(blocks)
        )
    )


def seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """The skippable frame for frames of these lengths: in the file, and of their content."""
    entries = b"".join(struct.pack("<II", *pair) for pair in sizes)
    footer = struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(entries) + len(footer)) + entries + footer


def assemble(frames: Sequence[tuple[bytes, int]]) -> bytes:
    """A file of frames, each with the length of its content, and the table that lists them."""
    table = seek_table([(len(frame), content) for frame, content in frames])
    return b"".join(frame for frame, _ in frames) + table


def pack(segments: Sequence[bytes]) -> bytes:
    """A file with one frame for each segment."""
    return assemble([(frame_of(segment), len(segment)) for segment in segments])


def _all_of(images: Iterable[BuiltImage]) -> tuple[dict[str, Member], dict[str, Content]]:
    """The manifests, children before parents, and the blobs of these images, however deep."""
    ordered: list[BuiltImage] = []
    ahead = [*images]
    while ahead:
        ordered.append(ahead.pop())
        ahead += ordered[-1].children
    manifests: dict[str, Member] = {}
    blobs: dict[str, Content] = {}
    for image in reversed(ordered):
        blobs.update(image.blobs)
        path = blob_path(image.digest)
        manifests.setdefault(image.digest, Member(path, image.raw, "manifest", image.media_type))
    return manifests, blobs


def _image(name: str, image: BuiltImage) -> dict[str, object]:
    return {
        "source": name,
        "literals": [name],
        "root": image.digest,
        "mediaType": image.media_type,
        "upstream": image.digest,
        "platforms": ["linux/amd64"],
        "attached": [],
        "signedBy": [],
    }


def _index_of(images: Mapping[str, BuiltImage]) -> bytes:
    manifests = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": len(image.raw),
            "annotations": {"org.opencontainers.image.ref.name": name},
        }
        for name, image in images.items()
    ]
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


def _bytes_of(content: Content) -> bytes:
    assert isinstance(content, bytes), f"{size_of(content)} generated bytes"
    return content
