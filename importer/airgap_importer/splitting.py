"""Split references: what each of their fields must hold so that they compose to the target. Pure.

Programs join a registry, a repository, a name, a tag and a digest that stand in fields of their
own, some of them said once for many images. Every field gets one value that suits all its uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from airgap_importer.relocation import RelocatedImage
from airgap_shared.errors import UnrewrittenImage
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.replacing import Edit
from airgap_shared.kube.splitreferences import compose_pieces
from airgap_shared.kube.uses import FieldPath, ImageUse, Piece, PieceRole, Step

_Texts = Mapping[PieceRole, str]
PieceField = tuple[KubeObject, FieldPath, tuple[Step, ...]]


@dataclass(frozen=True, slots=True)
class SplitUse:
    """A use of an image whose reference is split over fields, and where the image goes."""

    use: ImageUse
    target: RelocatedImage

    def fields(self) -> Iterator[PieceField]:
        """The fields that the pieces stand in."""
        for piece in self.use.pieces:
            yield field_of(self.use, piece)


def field_of(use: ImageUse, piece: Piece) -> PieceField:
    """Where a piece stands; two uses that share a piece have the same field."""
    return use.object, piece.path, piece.inside


def set_pieces(uses: Sequence[SplitUse]) -> dict[KubeObject, list[Edit]]:
    """The edits, by object, after which every split reference composes to its target.

    Raises:
        UnrewrittenImage: no values of the fields do that; the details say where and why.

    """
    edits: dict[KubeObject, list[Edit]] = {}
    problems: list[str] = []
    for group in _connected(uses):
        values = _values_of(group, problems)
        for split in group:
            for piece in split.use.pieces:
                after = values.get(field_of(split.use, piece), piece.text)
                edit = Edit(piece.path, piece.inside, piece.text, after)
                known = edits.setdefault(split.use.object, [])
                if after != piece.text and edit not in known:
                    known.append(edit)
    if problems:
        raise UnrewrittenImage(
            "a reference that is split over several fields cannot be made to name the target",
            where=problems[0],
            next_step="ignore it with a rule, or write the reference into one field",
            details=problems,
        )
    return edits


def _connected(uses: Iterable[SplitUse]) -> list[list[SplitUse]]:
    """The uses in groups that share no field with another group."""
    groups: list[tuple[set[PieceField], list[SplitUse]]] = []
    for split in uses:
        fields, members = set(split.fields()), [split]
        apart = []
        for group in groups:
            if fields.isdisjoint(group[0]):
                apart.append(group)
            else:
                fields |= group[0]
                members = [*group[1], *members]
        groups = [*apart, (fields, members)]
    return [members for _, members in groups]


def _values_of(group: Sequence[SplitUse], problems: list[str]) -> dict[PieceField, str]:
    """One value for every field of a group; what stands in the way goes to ``problems``."""
    layouts = []
    for split in group:
        found = list(_layouts(split))
        if not found:
            problems.append(f"{split.use.place}: {split.use.text}: {_why_none(split)}")
            return {}
        layouts.append(found)
    conflict = ""
    for choice in _choices(layouts):
        values, conflict = _united(group, choice)
        if not conflict:
            return values
    problems.append(conflict)
    return {}


def _choices(layouts: Sequence[Sequence[_Texts]]) -> Iterator[list[_Texts]]:
    """The layout that suits each best, then every layout for as many as have it."""
    yield [found[0] for found in layouts]
    for wanted in range(max(map(len, layouts))):
        yield [
            sorted(found, key=_namespace_in_registry)[min(wanted, len(found) - 1)]
            for found in layouts
        ]


def _namespace_in_registry(texts: _Texts) -> bool:
    return "/" in texts.get(PieceRole.REGISTRY, "")


def _united(
    group: Sequence[SplitUse], choice: Sequence[_Texts]
) -> tuple[dict[PieceField, str], str]:
    values: dict[PieceField, str] = {}
    for split, texts in zip(group, choice, strict=True):
        for piece in _joined(split.use.pieces):
            field = field_of(split.use, piece)
            text = texts.get(piece.role, piece.text)
            if values.setdefault(field, text) != text:
                return {}, (
                    f"{split.use.place}: {split.use.text}: its {piece.role} {piece.text!r} serves "
                    f"several images and would have to be {values[field]!r} and {text!r}"
                )
    return values, ""


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces that count: of a role that stands twice, the first and what equals it."""
    first: dict[PieceRole, str] = {}
    for piece in pieces:
        if first.setdefault(piece.role, piece.text) == piece.text:
            yield piece


def _layouts(split: SplitUse) -> Iterator[_Texts]:
    """Every way to spread the target over the pieces that composes to it, the likest first."""
    old = {piece.role: piece.text for piece in reversed(split.use.pieces)}
    version = _version(old, split.target)
    if version is None:
        return
    for names in _names(old, split.target):
        texts = {**names, **version}
        if _composes(split, texts):
            yield texts


def _composes(split: SplitUse, texts: _Texts) -> bool:
    """Whether the search would compose the target of these texts."""
    pieces = [replace(piece, text=texts.get(piece.role, piece.text)) for piece in split.use.pieces]
    found = read_reference(compose_pieces(pieces))
    target = split.target
    if found is None or found.name != target.name:
        return False
    return found.digest == target.digest if found.digest else found.effective_tag == target.tag


def _version(old: _Texts, target: RelocatedImage) -> _Texts | None:
    """Tag and digest: a digest goes where one was; else the tag, which programs show as a label."""
    digest = old.get(PieceRole.DIGEST)
    tag = old.get(PieceRole.TAG)
    if digest is not None:
        text = str(target.digest) if ":" in digest else target.digest.hex
        tags = {} if tag is None else {PieceRole.TAG: target.tag or tag}
        return {PieceRole.DIGEST: text, **tags}
    if tag is not None:
        return {PieceRole.TAG: target.tag or f"{tag}@{target.digest}"}
    return {} if target.tag is not None else None


def _names(old: _Texts, target: RelocatedImage) -> Iterator[_Texts]:
    """Registry, repository and name."""
    host = target.registry
    folder, _, last = target.repository.rpartition("/")
    registry, path, name = (
        old.get(PieceRole.REGISTRY),
        old.get(PieceRole.REPOSITORY),
        old.get(PieceRole.NAME),
    )
    if path is None and name is None:
        return
    if registry is None or (path or "").startswith(f"{registry}/"):
        whole = {} if registry is None else {PieceRole.REGISTRY: host}
        for below in _paths(old, _below(host, folder), last):
            yield {**whole, **below}
        return
    ways = [{PieceRole.REGISTRY: host, **below} for below in _paths(old, folder, last)] + [
        {PieceRole.REGISTRY: _below(host, folder), **below}
        for below in _paths(old, "", last)
        if folder
    ]
    yield from sorted(ways, key=_namespace_in_registry, reverse="/" in registry)


def _paths(old: _Texts, folder: str, last: str) -> Iterator[_Texts]:
    """Repository and name for a path below a registry."""
    path, name = old.get(PieceRole.REPOSITORY), old.get(PieceRole.NAME)
    if path is None:
        yield {PieceRole.NAME: _below(folder, last)}
    elif name is None:
        yield {PieceRole.REPOSITORY: _below(folder, last)}
    elif path.rpartition("/")[2] == name:
        yield {PieceRole.REPOSITORY: _below(folder, last), PieceRole.NAME: last}
    elif folder:
        yield {PieceRole.REPOSITORY: folder, PieceRole.NAME: last}


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name


def _why_none(split: SplitUse) -> str:
    roles = ", ".join(dict.fromkeys(piece.role.value for piece in split.use.pieces))
    return f"its fields ({roles}) cannot hold {split.target.reference}"
