"""References that are spread over several fields: registry, repository, image, name, tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from airgap_shared.kube.imagenames import PieceKind, piece_of_name, speaks_of_image
from airgap_shared.kube.imagetokens import (
    PLACEHOLDER_REASON,
    is_placeholder,
    names_registry,
    read_reference,
    scheme_length,
    serves_code,
)
from airgap_shared.kube.uses import Piece, PieceRole
from airgap_shared.kube.yamlscalars import scalar_text, sent_text

_REGISTRY_KEYS = ("registry", "hub", "imageRegistry", "image_registry")
_SHARED_BLOCKS = ("defaults", "default", "global", "images")
_IMAGE_KEYS = ("image", "imageName", "image_name", "baseImage")
_REPOSITORY_KEYS = ("repository", "imageRepository", "image_repository")
_TAG_KEYS = ("tag", "imageTag", "image_tag")
_VERSION_KEYS = ("version", "imageVersion", "image_version", "defaultImageVersion")
_DIGEST_KEYS = ("digest", "sha", "imageDigest", "image_digest")
_NO_TAG: Final = "composed of several fields; its tag is not among them"
_COMPLETED: Final = "a single word; a field beside it may say in which registry"
_MAYBE_VERSION: Final = "a single word beside a version, which may be that of something else"
_KINDS: Final = {
    PieceKind.IMAGE: PieceRole.REPOSITORY,
    PieceKind.REPOSITORY: PieceRole.REPOSITORY,
    PieceKind.REGISTRY: PieceRole.REGISTRY,
    PieceKind.TAG: PieceRole.TAG,
    PieceKind.VERSION: PieceRole.TAG,
    PieceKind.DIGEST: PieceRole.DIGEST,
}


@dataclass(frozen=True, slots=True)
class Part:
    """A field that holds a part of a reference.

    ``level`` says from which mapping ``keys`` lead to it: 0 is the innermost one. ``text`` is what
    the field holds after its first ``skipped`` characters, the scheme of a URL. ``written`` is how
    it is written, where that is a number that is another text to whoever reads it.
    """

    role: PieceRole
    level: int
    keys: tuple[str | int, ...]
    text: str
    skipped: int = 0
    written: str = ""


@dataclass(frozen=True, slots=True)
class SplitReference:
    """A composed reference and its parts; ``doubt`` says why it may be none, empty when sure."""

    text: str
    parts: tuple[Part, ...]
    doubt: str

    @property
    def retyped(self) -> str:
        """What is a number in the text and another one to its readers; empty where nothing is."""
        found = (f"{part.written} is the number {part.text}" for part in self.parts if part.written)
        return next(found, "")


def compose_texts(texts: Mapping[PieceRole, str]) -> str:
    """The reference that parts make, joined the way Helm charts and operators join them."""
    path = texts.get(PieceRole.REPOSITORY, "")
    name = texts.get(PieceRole.NAME, "")
    if name and path.rpartition("/")[2] != name:
        path = f"{path}/{name}" if path else name
    registry = texts.get(PieceRole.REGISTRY, "")
    if registry and not path.startswith(f"{registry}/"):
        path = f"{registry}/{path}"
    tag, digest = texts.get(PieceRole.TAG, ""), texts.get(PieceRole.DIGEST, "")
    digest = digest if not digest or ":" in digest else f"sha256:{digest}"
    return path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def compose_pieces(pieces: Iterable[Piece]) -> str:
    """The reference that the pieces of a use make; of a role that stands twice, the first counts.

    The search composes with it, and rewriting checks with it what the pieces it set will make.
    """
    texts: dict[PieceRole, str] = {}
    for piece in pieces:
        texts.setdefault(piece.role, piece.text)
    return compose_texts(texts)


def compose_reference(
    mapping: Mapping[str, object], key: str, ancestors: Sequence[Mapping[str, object]]
) -> SplitReference | None:
    """The reference whose pieces a mapping holds, or None.

    ``key`` is the name that the mapping itself stands under; ``ancestors`` are the mappings
    around it, outermost first: a registry or tag is often said once for several images.
    """
    # A Helm chart has a repository, a name and a version too.
    if "chart" in key.lower():
        return None
    url = sent_text(mapping.get("url")) or ""
    if scheme_length(url):
        return _from_url(mapping, url)
    parts = _path_parts(mapping, key)
    if not parts:
        return None
    registry = _first(mapping, _REGISTRY_KEYS, PieceRole.REGISTRY)
    if any(_has_tag(part.text) for part in parts):
        return _composed([*registry, *parts], mapping) if registry else None
    tag = [*_tag(mapping), *_first(mapping, _DIGEST_KEYS, PieceRole.DIGEST)]
    if not (tag or registry or len(parts) > 1):
        return _from_above(parts, ancestors)
    registry = registry or _shared_registry(ancestors)
    return _composed([*registry, *parts, *tag], mapping)


def part_of(
    role: PieceRole, keys: tuple[str | int, ...], value: object, level: int = 0
) -> Part | None:
    """The part that a field's value is; None where it is no text, and none to its readers."""
    text = sent_text(value)
    if not text:
        return None
    written = scalar_text(value) or ""
    return Part(role, level, keys, text, written=written if written != text else "")


def compose_families(values: Mapping[str, object]) -> Iterator[SplitReference]:
    """The references in flat fields that begin alike: ``X_IMAGE`` and ``X_TAG``, ``xRepository``.

    The keys of their parts are those of ``values``.
    """
    fields = {name: text for name, value in values.items() if (text := sent_text(value))}
    families: dict[tuple[str, ...], dict[PieceKind, str]] = {}
    for name in fields:
        piece = piece_of_name(name)
        if piece is not None:
            families.setdefault(piece.family, {}).setdefault(piece.kind, name)
    for family, names in families.items():
        main = names.get(PieceKind.IMAGE) or names.get(PieceKind.REPOSITORY)
        if not family or main is None or _has_tag(fields[main]):
            continue
        if speaks_of_image(main) or names_registry(fields[main]):
            split = _composed(_family_parts(names, values), {})
            if split is not None and _has_tag(split.text):
                yield split


def _family_parts(names: Mapping[PieceKind, str], values: Mapping[str, object]) -> list[Part]:
    found = (part_of(_KINDS[kind], (name,), values[name]) for kind, name in names.items())
    parts = [part for part in found if part is not None]
    if PieceKind.IMAGE in names and PieceKind.REPOSITORY in names:
        parts = [_renamed(part, names[PieceKind.IMAGE]) for part in parts]
    return parts


def _renamed(part: Part, image: str) -> Part:
    if part.keys != (image,):
        return part
    return replace(part, role=PieceRole.NAME)


def _first(
    mapping: Mapping[str, object],
    keys: Sequence[str],
    role: PieceRole,
    level: int = 0,
    before: tuple[str, ...] = (),
) -> list[Part]:
    for key in keys:
        part = part_of(role, (*before, key), mapping.get(key), level)
        if part is not None:
            return [part]
    return []


def _path_parts(mapping: Mapping[str, object], key: str) -> list[Part]:
    """The repository: one field, or a repository and an image or name below it."""
    image = _first(mapping, _IMAGE_KEYS, PieceRole.NAME)
    repository = _first(mapping, _REPOSITORY_KEYS, PieceRole.REPOSITORY)
    if image and _has_tag(image[0].text):
        repository = []
    if not image and (speaks_of_image(key) or repository):
        image = _first(mapping, ("name",), PieceRole.NAME)
    if repository or not image:
        return [*repository, *image]
    (only,) = image
    return [replace(only, role=PieceRole.REPOSITORY)]


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _has_tag(text: str) -> bool:
    return "@" in text or ":" in _last(text)


def _tag(mapping: Mapping[str, object]) -> list[Part]:
    tag = _first(mapping, _TAG_KEYS, PieceRole.TAG)
    if tag or {"repository", *_IMAGE_KEYS}.isdisjoint(mapping):
        return tag
    return _first(mapping, _VERSION_KEYS, PieceRole.TAG)


def _shared_registry(ancestors: Sequence[Mapping[str, object]]) -> list[Part]:
    for level, ancestor in enumerate(reversed(ancestors), 1):
        found = _first(ancestor, _REGISTRY_KEYS, PieceRole.REGISTRY, level)
        for key in _SHARED_BLOCKS:
            block = ancestor.get(key)
            if not found and isinstance(block, Mapping):
                found = _first(block, _REGISTRY_KEYS, PieceRole.REGISTRY, level, (key,))
        if found:
            return found
    return []


def _from_above(
    parts: list[Part], ancestors: Sequence[Mapping[str, object]]
) -> SplitReference | None:
    """``{hub, tag, proxy: {image: name}}``: registry and tag stand together, further out."""
    (path,) = parts
    if "/" in path.text or path.keys[-1] not in _IMAGE_KEYS:
        return None
    for level, ancestor in enumerate(reversed(ancestors), 1):
        registry = _first(ancestor, _REGISTRY_KEYS, PieceRole.REGISTRY, level)
        tag = _first(ancestor, _TAG_KEYS, PieceRole.TAG, level)
        if registry and tag:
            name = Part(PieceRole.NAME, 0, path.keys, path.text)
            return _composed([*registry, name, *tag], {})
    return None


def _from_url(mapping: Mapping[str, object], url: str) -> SplitReference | None:
    """``{url: oci://…, ref: {tag: …}}``, as sources of charts and manifests are given."""
    ref = mapping.get("ref")
    fields = ref if isinstance(ref, Mapping) else {}
    tag = [
        *_first(fields, _TAG_KEYS, PieceRole.TAG, 0, ("ref",)),
        *_first(fields, _DIGEST_KEYS, PieceRole.DIGEST, 0, ("ref",)),
    ]
    skipped = scheme_length(url)
    path = Part(PieceRole.REPOSITORY, 0, ("url",), url[skipped:], skipped)
    return _composed([path, *tag], {}) if tag else None


def _composed(parts: list[Part], mapping: Mapping[str, object]) -> SplitReference | None:
    text = compose_texts({part.role: part.text for part in parts})
    order = list(PieceRole)
    in_order = tuple(sorted(parts, key=lambda part: order.index(part.role)))
    if is_placeholder(text):
        return SplitReference(text, in_order, PLACEHOLDER_REASON)
    reference = read_reference(text)
    if reference is None or scheme_length(text) or serves_code(reference):
        return None
    return SplitReference(text, in_order, _doubt(text, parts, mapping))


def _doubt(text: str, parts: Sequence[Part], mapping: Mapping[str, object]) -> str:
    if not _has_tag(text):
        return _NO_TAG
    if "/" in text:
        return ""
    if any(part.keys[-1] in _VERSION_KEYS for part in parts):
        return _MAYBE_VERSION
    return _COMPLETED if any(key in mapping for key in _REGISTRY_KEYS) else ""
