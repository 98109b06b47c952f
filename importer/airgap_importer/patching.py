"""The JSON 6902 patches of an overlay: a file an object, and another for split references."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from airgap_importer.kustomization import Patch, file_names
from airgap_importer.patchtarget import PatchTargets
from airgap_importer.pullsecrets import PullSecrets
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.replacing import Change
from airgap_shared.kube.uses import FieldPath

PATCHES = "patches"
SPLIT_PATCHES = "patches-split"
PULL_PATCHES = "pull-secrets"

Field = tuple[KubeObject, FieldPath]
Changes = Mapping[KubeObject, Sequence[Change]]
_AMBIGUOUS = "{}: kubectl before 1.21 cannot tell this object from another"
_REVIEW = (
    "Please review: programs put these references together from several fields.",
    "What they run cannot be proven here; what they are made to name is in the registry.",
)


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches, the file that changes each field, and notes on what old kubectl makes of them."""

    patches: tuple[Patch, ...]
    files: Mapping[Field, str]
    notes: tuple[str, ...]


def make_patches(
    objects: Sequence[KubeObject],
    changes: Changes,
    split: AbstractSet[Field],
    remarks: Mapping[KubeObject, Sequence[str]],
) -> Patches:
    """One patch an object, in the order of the objects; fields of ``split`` go into their own.

    A field that also holds other references is changed in one go: kustomize 2.0.3 does not let
    one patch test what another one wrote.

    Raises:
        OverlayRefused: no target means one of the objects alone.

    """
    targets = PatchTargets(obj.identity for obj in objects)
    patches: list[Patch] = []
    files: dict[Field, str] = {}
    notes: dict[str, None] = {}
    for folder, is_split in ((PATCHES, False), (SPLIT_PATCHES, True)):
        parts = _with_changes(objects, changes, split, is_split)
        names = file_names(folder, [_words(obj) for obj in parts])
        for (obj, found), file in zip(parts.items(), names, strict=True):
            target, understood = targets.target_of(obj.identity, str(obj))
            if not understood:
                notes[_AMBIGUOUS.format(obj)] = None
            text = (*_REVIEW, *remarks.get(obj, ())) if is_split else ()
            patches.append(Patch(file, target, tuple(found), text))
            files.update({(obj, change.path): file for change in found})
    return Patches(tuple(patches), files, tuple(notes))


def make_secret_patches(objects: Sequence[KubeObject], secrets: PullSecrets) -> Patches:
    """The patches that add references to pull secrets, in files of their own.

    Raises:
        OverlayRefused: no target means one of the objects alone.

    """
    targets = PatchTargets(obj.identity for obj in objects)
    deployed = frozenset(objects)
    changed = [found for found in secrets.references if found.is_new and found.owner in deployed]
    names = file_names(PULL_PATCHES, [_words(found.owner) for found in changed])
    patches = []
    notes: dict[str, None] = {}
    for found, file in zip(changed, names, strict=True):
        target, understood = targets.target_of(found.owner.identity, str(found.owner))
        if not understood:
            notes[_AMBIGUOUS.format(found.owner)] = None
        patches.append(Patch(file, target, (), (), (found,)))
    return Patches(tuple(patches), {}, tuple(notes))


def _with_changes(
    objects: Iterable[KubeObject], changes: Changes, split: AbstractSet[Field], is_split: bool
) -> dict[KubeObject, Collection[Change]]:
    found = {
        obj: [
            change for change in changes.get(obj, ()) if ((obj, change.path) in split) == is_split
        ]
        for obj in objects
    }
    return {obj: chosen for obj, chosen in found.items() if chosen}


def _words(obj: KubeObject) -> tuple[str, ...]:
    return obj.identity.kind, obj.identity.namespace, obj.identity.name
