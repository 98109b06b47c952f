"""The signed statement: an in-toto Statement v1 whose predicate lists every member."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airgap_shared.bundle import names
from airgap_shared.bundle.attachments import (
    Attachment,
    CheckedSignature,
    attachment_document,
    checked_document,
    parse_attachments,
    parse_checked,
)
from airgap_shared.errors import (
    ContentRefused,
    FormatUnsupported,
    PredicateTypeUnsupported,
    StatementInvalid,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.moment import format_time, parse_time
from airgap_shared.oci.platform import ALL, is_platform
from airgap_shared.oci.reference import Reference, parse_reference

_WHERE = "signed statement"


class Role(enum.StrEnum):
    """What a member is; members come in this order."""

    LAYOUT = "layout"
    INDEX = "index"
    INVENTORY = "inventory"
    RULES = "rules"
    APPLICATION = "application"
    MANIFEST = "manifest"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the archive; ``media_type`` is set for manifests only."""

    path: str
    size: int
    digest: Digest
    role: Role
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class BundledImage:
    """One image of the application.

    ``source`` is the canonical reference, ``literals`` every spelling the application uses;
    ``root`` is the manifest or index that the bundle holds for it. ``upstream`` is what the
    registry named when the bundle was made: another digest where platforms were left out.
    ``attached`` are signatures and the like, each after what it is about; ``signed_by`` are the
    signatures of the image that were checked when the bundle was made.
    """

    source: Reference
    literals: tuple[str, ...]
    root: Digest
    media_type: str
    upstream: Digest
    platforms: tuple[str, ...]
    attached: tuple[Attachment, ...] = ()
    signed_by: tuple[CheckedSignature, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """Which application this is, which release of it, and when and by what it was bundled."""

    app: str
    version: str
    channel: str
    sequence: int
    created: datetime
    expires: datetime
    tool: str


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything a reader needs to know before it reads on."""

    release: Release
    platforms: tuple[str, ...]
    members: tuple[Member, ...]
    images: tuple[BundledImage, ...]

    @property
    def total_size(self) -> int:
        """The sizes of all members together, in bytes."""
        return sum(member.size for member in self.members)

    @property
    def index(self) -> Member:
        """The member that is the subject of the statement."""
        return next(member for member in self.members if member.role is Role.INDEX)

    def to_json(self) -> bytes:
        """The statement's bytes: sorted keys, no white space, ASCII."""
        document = {
            "_type": names.STATEMENT_TYPE,
            "subject": [{"name": names.INDEX, "digest": {"sha256": self.index.digest.hex}}],
            "predicateType": names.PREDICATE_TYPE,
            "predicate": self._predicate(),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    def _predicate(self) -> dict[str, object]:
        release = self.release
        return {
            "format": names.FORMAT,
            "critical": [],
            "app": release.app,
            "version": release.version,
            "channel": release.channel,
            "sequence": release.sequence,
            "created": format_time(release.created),
            "expires": format_time(release.expires),
            "tool": release.tool,
            "base": None,
            "platforms": list(self.platforms),
            "members": [_member_document(member) for member in self.members],
            "images": [_image_document(image) for image in self.images],
            "totals": {"members": len(self.members), "bytes": self.total_size},
        }


def parse_statement(payload: bytes) -> Statement:
    """Read a statement whose signature has been verified (bundle-spec.md, Verification, 7–9).

    Raises:
        StatementInvalid: it does not follow the specification.
        FormatUnsupported: it asks for something newer than this tool.
        PredicateTypeUnsupported: a statement about something else.

    """
    try:
        return _parse(payload)
    except ContentRefused as problem:
        raise StatementInvalid(problem.what, where=problem.where) from problem


def _parse(payload: bytes) -> Statement:
    document = parse_json(payload, _WHERE, StatementInvalid, values=names.VALUE_LIMIT)
    fields = Fields(document, _WHERE, StatementInvalid)
    if fields.text("_type") != names.STATEMENT_TYPE:
        fields.refuse("not an in-toto Statement v1", "_type")
    kind = fields.text("predicateType")
    if kind != names.PREDICATE_TYPE:
        raise PredicateTypeUnsupported(f"signed content is about {kind[:100]!r}, not a bundle")
    predicate = fields.record("predicate")
    _check_format(predicate)
    statement = Statement(
        _release(predicate),
        _platforms(predicate),
        _members(predicate),
        tuple(_image(entry) for entry in predicate.records("images")),
    )
    _check_subject(fields, statement)
    _check_totals(predicate, statement)
    _check_images(predicate, statement)
    return statement


def _check_format(predicate: Fields) -> None:
    found = predicate.count("format")
    if found != names.FORMAT:
        raise _newer(f"bundle format {found}; this tool reads {names.FORMAT}")
    critical = predicate.texts("critical")
    if "base" not in predicate.mapping:
        predicate.refuse("expected null, found nothing", "base")
    if critical or predicate.mapping["base"] is not None:
        wanted = ", ".join(critical)[:200] or "base"
        raise _newer(f"the bundle needs features unknown here: {wanted}")


def _newer(what: str) -> FormatUnsupported:
    return FormatUnsupported(what, where=_WHERE, next_step="use a newer airgap-import")


def _release(predicate: Fields) -> Release:
    app, version, channel = (predicate.text(key) for key in ("app", "version", "channel"))
    if not names.is_application_name(app):
        predicate.refuse("not an application name", "app")
    for key, value in (
        ("version", version),
        ("channel", channel),
        ("tool", predicate.text("tool")),
    ):
        if not names.is_label(value):
            predicate.refuse("not 1–128 printable characters", key)
    created, expires = _time(predicate, "created"), _time(predicate, "expires")
    if expires <= created:
        predicate.refuse("not after the time of creation", "expires")
    return Release(
        app,
        version,
        channel,
        predicate.count("sequence"),
        created,
        expires,
        predicate.text("tool"),
    )


def _platforms(predicate: Fields) -> tuple[str, ...]:
    platforms = predicate.texts("platforms")
    if platforms != (ALL,) and not (platforms and all(map(is_platform, platforms))):
        predicate.refuse("neither platforms nor the one word 'all'", "platforms")
    return platforms


def _time(fields: Fields, key: str) -> datetime:
    moment = parse_time(fields.text(key))
    if moment is None:
        fields.refuse("not a time like 2026-01-01T00:00:00Z", key)
    return moment


def _members(predicate: Fields) -> tuple[Member, ...]:
    entries = predicate.records("members")
    if len(entries) > names.MEMBER_LIMIT:
        predicate.refuse(f"{len(entries)} members, over {names.MEMBER_LIMIT}", "members")
    members = tuple(_member(entry) for entry in entries)
    order = list(Role)
    ranks = [order.index(member.role) for member in members]
    if ranks != sorted(ranks) or ranks[:2] != [0, 1] or ranks.count(0) + ranks.count(1) != 2:
        predicate.refuse("the members are not in the order of their roles", "members")
    if len({member.path for member in members}) != len(members):
        predicate.refuse("two members have one path", "members")
    clash = names.conflicting_path(m.path for m in members if m.role is Role.APPLICATION)
    if clash is not None:
        predicate.refuse(f"{clash} cannot stand beside the other files", "members")
    return members


def _member(entry: Fields) -> Member:
    try:
        role = Role(entry.text("role"))
    except ValueError:
        entry.refuse("an unknown role", "role")
    member = Member(
        entry.text("path"),
        entry.count("size"),
        entry.digest("digest"),
        role,
        entry.text("mediaType") if role is Role.MANIFEST else None,
    )
    if role is Role.MANIFEST and member.digest.algorithm != "sha256":
        entry.refuse("a manifest has to be named by its sha256", "digest")
    if not _path_fits(member):
        entry.refuse("a path that such a member cannot have", "path")
    if role is not Role.MANIFEST and "mediaType" in entry.mapping:
        entry.refuse("manifests have a media type, other members have none", "mediaType")
    return member


def _path_fits(member: Member) -> bool:
    match member.role:
        case Role.LAYOUT:
            return member.path == names.LAYOUT
        case Role.INDEX:
            return member.path == names.INDEX and member.digest.algorithm == "sha256"
        case Role.INVENTORY:
            return member.path == names.INVENTORY
        case Role.RULES:
            return member.path == names.RULES
        case Role.APPLICATION:
            inside = member.path.removeprefix(names.APPLICATION)
            return inside != member.path and names.is_safe_path(inside)
        case Role.MANIFEST | Role.BLOB:
            return member.path == names.blob_path(member.digest)


def _image(entry: Fields) -> BundledImage:
    source = parse_reference(entry.text("source"), f"{entry.place}.source")
    if source.canonical != source.literal:
        entry.refuse("not written in full", "source")
    image = BundledImage(
        source,
        _literals(entry, source),
        entry.digest("root"),
        entry.text("mediaType"),
        entry.digest("upstream"),
        entry.texts("platforms"),
        parse_attachments(entry),
        parse_checked(entry),
    )
    if source.digest not in (None, image.upstream):
        entry.refuse("not the digest that the source names", "upstream")
    if not all(map(is_platform, image.platforms)):
        entry.refuse("not a list of platforms", "platforms")
    return image


def _literals(entry: Fields, source: Reference) -> tuple[str, ...]:
    literals = entry.texts("literals")
    if not literals or len(set(literals)) != len(literals):
        entry.refuse("no spelling, or one that stands twice", "literals")
    for literal in literals:
        if parse_reference(literal, f"{entry.place}.literals").canonical != source.canonical:
            entry.refuse("a spelling of another image", "literals")
    return literals


def _check_subject(fields: Fields, statement: Statement) -> None:
    subjects = fields.records("subject")
    if (
        len(subjects) != 1
        or subjects[0].text("name") != names.INDEX
        or subjects[0].text_map("digest").get("sha256") != statement.index.digest.hex
    ):
        fields.refuse("the subject is not the index", "subject")


def _check_totals(predicate: Fields, statement: Statement) -> None:
    totals = predicate.record("totals")
    if (totals.count("members"), totals.count("bytes")) != (
        len(statement.members),
        statement.total_size,
    ):
        predicate.refuse("the totals are not those of the members", "totals")


def _check_images(predicate: Fields, statement: Statement) -> None:
    manifests = {
        member.digest: member.media_type
        for member in statement.members
        if member.role is Role.MANIFEST
    }
    sources = [str(image.source) for image in statement.images]
    if len(set(sources)) != len(sources):
        predicate.refuse("one image stands twice", "images")
    for number, image in enumerate(statement.images):
        roots = [(image.root, image.media_type)]
        roots += [(one.root, one.media_type) for one in image.attached]
        for root, kind in roots:
            if manifests.get(root) != kind:
                predicate.refuse("its root is no member of that type", f"images[{number}]")
    _check_attached_tags(predicate, statement)


def _check_attached_tags(predicate: Fields, statement: Statement) -> None:
    """A tag of an attachment stands for one thing in its repository, and never for an image."""
    named: dict[tuple[str, str | None], Digest | None] = {
        (image.source.name, image.source.effective_tag): None for image in statement.images
    }
    for number, image in enumerate(statement.images):
        for one in image.attached:
            name = (image.source.name, one.tag)
            if one.tag is not None and named.setdefault(name, one.root) != one.root:
                predicate.refuse(f"the tag {one.tag} stands twice", f"images[{number}].attached")


def _member_document(member: Member) -> dict[str, object]:
    document: dict[str, object] = {
        "path": member.path,
        "size": member.size,
        "digest": str(member.digest),
        "role": member.role.value,
    }
    if member.media_type is not None:
        document["mediaType"] = member.media_type
    return document


def _image_document(image: BundledImage) -> Mapping[str, Any]:
    return {
        "source": image.source.canonical,
        "literals": list(image.literals),
        "root": str(image.root),
        "mediaType": image.media_type,
        "upstream": str(image.upstream),
        "platforms": list(image.platforms),
        "attached": [attachment_document(one) for one in image.attached],
        "signedBy": [checked_document(one) for one in image.signed_by],
    }
