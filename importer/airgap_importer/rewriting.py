"""From an application and a relocation to the overlay that points at the target. Pure."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from airgap_importer.arranging import Arrangement, arrange
from airgap_importer.basefiles import base_files, create_files
from airgap_importer.imageentries import ImageEntries, Planned, find_entries
from airgap_importer.kustomization import (
    FILE_NAME,
    base_text,
    create_text,
    file_names,
    midstream_text,
    patch_text,
)
from airgap_importer.patching import Field, Patches, make_patches, make_secret_patches
from airgap_importer.pullsecrets import NO_SECRETS, PullSecrets, find_references, with_references
from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_importer.splitting import PieceField, SplitUse, field_of, set_pieces
from airgap_shared.errors import UnrewrittenImage
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.replacing import Change, Edit, changes_of, with_changes
from airgap_shared.kube.uses import ImageUse, Piece, Verdict

BASE = "base"
MIDSTREAM = "overlays/midstream"
CREATE = "create"


class Means(enum.StrEnum):
    """How a use of an image is made to name the target."""

    IMAGES = "images"
    PATCH = "patch"
    SPLIT = "split"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What was decided for one use of an image; ``file`` is the generated file that does it.

    ``fields`` are those of a split reference, each with what it will hold.
    """

    use: ImageUse
    target: RelocatedImage
    means: Means
    file: str
    fields: tuple[tuple[Piece, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Overlay:
    """The generated files by path (``base/…``, ``overlays/midstream/…``) and what they promise.

    ``objects`` are those to be deployed, as shipped; ``changes`` says what will be different in
    them. ``created`` are the objects that kubectl can only create, already changed. ``notes`` say
    in words what a reader of the overlay may wonder about. ``secrets`` are the references to pull
    secrets that there will be.
    """

    files: Mapping[str, bytes]
    rewrites: tuple[Rewrite, ...]
    objects: tuple[KubeObject, ...]
    changes: Mapping[KubeObject, tuple[Change, ...]]
    created: tuple[KubeObject, ...]
    notes: tuple[str, ...]
    secrets: PullSecrets = NO_SECRETS

    def changed_objects(self) -> Iterator[KubeObject]:
        """The objects with something different in them, as they shall come out."""
        for obj in self.objects:
            if obj in self.changes:
                yield _changed(obj, self.changes[obj])
        yield from self.created


def compose_overlay(
    files: Sequence[ManifestFile],
    objects: Iterable[KubeObject],
    uses: Iterable[ImageUse],
    relocation: Relocation,
    pull_secrets: Sequence[str] = (),
) -> Overlay:
    """Write the overlay under which every use of an image points at the target.

    ``uses`` are those found in ``objects``; only the ones with the verdict ``image`` are
    rewritten. ``pull_secrets`` are names that pods with rewritten images, and service accounts,
    shall refer to. The result depends on nothing but the arguments.

    Raises:
        UnrewrittenImage: an image is used that the relocation does not know, or at a place where
            its reference cannot be replaced.
        OverlayRefused: kustomize cannot tell two objects apart.

    """
    arrangement = arrange(objects)
    known = frozenset((*arrangement.deployed, *arrangement.created))
    in_place = [use for use in uses if use.object in known]
    planned = _plan(in_place, relocation)
    entries = find_entries(arrangement.deployed, planned)
    edits = _edits_of(planned)
    changes = edits.changes()
    patches = make_patches(
        arrangement.deployed, _not_by(entries, changes, planned), edits.split, edits.remarks
    )
    secrets = find_references(
        (*arrangement.deployed, *arrangement.created), (plan.use for plan in planned), pull_secrets
    )
    secret_patches = make_secret_patches(arrangement.deployed, secrets)
    all_patches = (*patches.patches, *secret_patches.patches)
    created = tuple(
        with_references(_changed(obj, changes.get(obj, ())), secrets) for obj in arrangement.created
    )
    create = _created_files(files, created, edits)
    generated = {
        **_base(files, arrangement),
        f"{MIDSTREAM}/{FILE_NAME}": midstream_text(entries.entries.values(), all_patches),
        **{f"{MIDSTREAM}/{patch.file}": patch_text(patch) for patch in all_patches},
        **{f"{MIDSTREAM}/{name}": create_text(file.content) for name, file in create},
    }
    to_create = {file.path: name for name, file in create}
    deployed = frozenset(arrangement.deployed)
    return Overlay(
        generated,
        tuple(
            replace(_rewrite(plan, entries, patches, to_create), fields=edits.fields_of(plan.use))
            for plan in planned
        ),
        arrangement.deployed,
        {obj: found for obj, found in changes.items() if obj in deployed},
        created,
        tuple(
            dict.fromkeys(
                (
                    *arrangement.notes,
                    *entries.notes,
                    *patches.notes,
                    *secret_patches.notes,
                    *_bystanders(in_place, edits),
                )
            )
        ),
        secrets,
    )


def _plan(uses: Iterable[ImageUse], relocation: Relocation) -> list[Planned]:
    planned = []
    unknown = []
    for use in uses:
        if use.verdict is not Verdict.IMAGE:
            continue
        reference = read_reference(use.text)
        target = None if reference is None else relocation.target_of(reference)
        if reference is None or target is None:
            unknown.append(f"{use.place}: {use.text}")
        else:
            planned.append(Planned(use, reference, target))
    if unknown:
        raise UnrewrittenImage(
            "an image is used that the bundle does not hold", where=unknown[0], details=unknown
        )
    return planned


@dataclass(frozen=True, slots=True)
class _Edits:
    """The edits by object, and where split references are among them.

    ``texts`` are what the fields of those will hold, where that is something new.
    """

    by_object: Mapping[KubeObject, Sequence[Edit]]
    split: frozenset[Field]
    remarks: Mapping[KubeObject, Sequence[str]]
    texts: Mapping[PieceField, str]

    def fields_of(self, use: ImageUse) -> tuple[tuple[Piece, str], ...]:
        """The fields of a split reference, each with what it will hold."""
        return tuple(
            (piece, self.texts.get(field_of(use, piece), piece.text)) for piece in use.pieces
        )

    def changes(self) -> dict[KubeObject, tuple[Change, ...]]:
        """The changes of whole values, by object; objects without one are left out."""
        found = {
            obj: changes_of(obj.value, edits, str(obj)) for obj, edits in self.by_object.items()
        }
        return {obj: changes for obj, changes in found.items() if changes}


def _edits_of(planned: Iterable[Planned]) -> _Edits:
    by_object: dict[KubeObject, list[Edit]] = defaultdict(list)
    remarks: dict[KubeObject, list[str]] = defaultdict(list)
    split = []
    for plan in planned:
        use = plan.use
        if use.pieces:
            split.append(SplitUse(use, plan.target))
            remarks[use.object].append(f"{use.place}: {use.text} → {plan.target.reference}")
        else:
            by_object[use.object].append(Edit(use.path, use.inside, use.text, _after(plan)))
    pieces = set_pieces(split)
    for obj, edits in pieces.items():
        by_object[obj].extend(edits)
    fields = frozenset((obj, edit.path) for obj, edits in pieces.items() for edit in edits)
    texts = {
        (obj, edit.path, edit.inside): edit.after for obj, edits in pieces.items() for edit in edits
    }
    return _Edits(by_object, fields, remarks, texts)


def _after(plan: Planned) -> str:
    """The new text of a use: its reference, behind the scheme that a URL has."""
    text = plan.use.text
    scheme = text.removesuffix(str(plan.reference)) if text.endswith(str(plan.reference)) else ""
    return scheme + plan.target.reference


def _not_by(
    entries: ImageEntries,
    changes: Mapping[KubeObject, Sequence[Change]],
    planned: Iterable[Planned],
) -> dict[KubeObject, list[Change]]:
    """The changes that ``images:`` does not make."""
    by_images = {plan.place for plan in planned if entries.rewrite(plan)}
    return {
        obj: [change for change in found if (obj, change.path.parts) not in by_images]
        for obj, found in changes.items()
    }


def _rewrite(
    plan: Planned, entries: ImageEntries, patches: Patches, to_create: Mapping[str, str]
) -> Rewrite:
    use = plan.use
    if use.object.file in to_create and not use.object.identity.name:
        file = to_create[use.object.file]
        return Rewrite(use, plan.target, Means.CREATE, f"{MIDSTREAM}/{file}")
    if entries.rewrite(plan):
        return Rewrite(use, plan.target, Means.IMAGES, f"{MIDSTREAM}/{FILE_NAME}")
    paths = [piece.path for piece in use.pieces] or [use.path]
    files = [
        patches.files[use.object, path] for path in paths if (use.object, path) in patches.files
    ]
    means = Means.SPLIT if use.pieces else Means.PATCH
    return Rewrite(use, plan.target, means, f"{MIDSTREAM}/{files[0]}" if files else "")


def _base(files: Sequence[ManifestFile], arrangement: Arrangement) -> dict[str, bytes]:
    resources = list(base_files(files, arrangement.deployed))
    return {
        f"{BASE}/{FILE_NAME}": base_text(file.path for file in resources),
        **{f"{BASE}/{file.path}": file.content for file in resources},
    }


def _created_files(
    files: Sequence[ManifestFile], created: Sequence[KubeObject], edits: _Edits
) -> list[tuple[str, ManifestFile]]:
    """The files of objects to be created, each with its path below the midstream."""
    found = list(create_files(files, created, edits.by_object))
    names = file_names(CREATE, [(file.path.rpartition(".")[0] or file.path,) for file in found])
    return list(zip(names, found, strict=True))


def _bystanders(uses: Iterable[ImageUse], edits: _Edits) -> Iterator[str]:
    """What is not rewritten itself, but shares a field with something that is."""
    for use in uses:
        if use.verdict is not Verdict.IMAGE and use.pieces:
            edited = {
                (use.object, edit.path, edit.inside) for edit in edits.by_object.get(use.object, ())
            }
            if any(field_of(use, piece) in edited for piece in use.pieces):
                yield f"{use.place}: {use.text} is {use.verdict}, but shares fields that change"


def _changed(obj: KubeObject, changes: Iterable[Change]) -> KubeObject:
    return replace(obj, value=cast(Mapping[str, object], with_changes(obj.value, changes)))
