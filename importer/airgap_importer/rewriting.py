"""From an application and a relocation to the overlay that points at the target. Pure."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airgap_importer.basefiles import base_files, is_deployable
from airgap_importer.imagestransformer import (
    ImageEntry,
    Path,
    certain_reach,
    possible_reach,
    why_refused,
)
from airgap_importer.kustomization import (
    FILE_NAME,
    Patch,
    Replacement,
    base_text,
    midstream_text,
    patch_names,
    patch_text,
)
from airgap_importer.patchtarget import PatchTargets
from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_shared.errors import OverlayRefused, UnrewrittenImage
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.oci.reference import Reference, parse_reference

BASE = "base"
MIDSTREAM = "overlays/midstream"


class Means(enum.StrEnum):
    """How kustomize is made to change an image field."""

    IMAGES = "images"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What was decided for one use of an image."""

    use: ImageUse
    target: RelocatedImage
    means: Means


@dataclass(frozen=True, slots=True)
class Overlay:
    """The generated files by path (``base/…``, ``overlays/midstream/…``) and what they promise.

    ``objects`` are those to be deployed. ``notes`` say in words what a reader of the overlay
    may wonder about.
    """

    files: Mapping[str, bytes]
    rewrites: tuple[Rewrite, ...]
    objects: tuple[KubeObject, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Planned:
    use: ImageUse
    reference: Reference
    target: RelocatedImage

    @property
    def place(self) -> tuple[KubeObject, Path]:
        return self.use.object, self.use.path.parts


def compose_overlay(
    files: Iterable[ManifestFile],
    objects: Iterable[KubeObject],
    uses: Iterable[ImageUse],
    relocation: Relocation,
) -> Overlay:
    """Write the overlay under which every use of an image points at the target.

    ``uses`` are those found in ``objects``; only the ones with the verdict ``image`` are
    rewritten. The result depends on nothing but the arguments.

    Raises:
        UnrewrittenImage: an image is used that the relocation does not know.
        OverlayRefused: kustomize cannot hold these objects: one without a name, or two alike.

    """
    deployed = tuple(filter(is_deployable, objects))
    _check_identities(deployed)
    planned = _plan(uses, relocation)
    entries, why_none = _entries(deployed, planned)
    reach = {obj: certain_reach(obj) for obj in {plan.use.object for plan in planned}}
    rewrites = tuple(_decide(plan, entries, reach) for plan in planned)
    patches, unclear = _patches(deployed, rewrites)
    resources = list(base_files(files, deployed))
    generated = {
        f"{BASE}/{FILE_NAME}": base_text(file.path for file in resources),
        **{f"{BASE}/{file.path}": file.content for file in resources},
        f"{MIDSTREAM}/{FILE_NAME}": midstream_text(entries.values(), patches),
        **{f"{MIDSTREAM}/{patch.file}": patch_text(patch) for patch in patches},
    }
    return Overlay(generated, rewrites, deployed, (*why_none, *unclear))


def _check_identities(objects: Iterable[KubeObject]) -> None:
    """Refuse what every kustomize refuses."""
    seen: dict[tuple[str, ...], KubeObject] = {}
    problems = []
    for obj in objects:
        identity = obj.identity
        if not identity.name:
            problems.append(f"{obj}: has no metadata.name")
            continue
        # kustomize 5 takes no namespace and "default" for the same.
        namespace = identity.namespace or "default"
        key = (identity.api_version, identity.kind, identity.name, namespace)
        first = seen.setdefault(key, obj)
        if first is not obj:
            problems.append(f"{obj}: is also in {first.file}")
    if problems:
        raise OverlayRefused(
            "kustomize needs a name for every object, and each object once",
            where=problems[0].partition(": ")[0],
            details=problems,
        )


def _plan(uses: Iterable[ImageUse], relocation: Relocation) -> list[_Planned]:
    planned = []
    unknown = []
    for use in uses:
        if use.verdict is not Verdict.IMAGE or not is_deployable(use.object):
            continue
        reference = parse_reference(use.text, where=use.place)
        target = relocation.target_of(reference)
        if target is None:
            unknown.append(f"{use.place}: {use.text}")
        else:
            planned.append(_Planned(use, reference, target))
    if unknown:
        raise UnrewrittenImage(
            "an image is used that the bundle does not hold", where=unknown[0], details=unknown
        )
    return planned


def _entries(
    objects: Iterable[KubeObject], planned: Sequence[_Planned]
) -> tuple[dict[str, ImageEntry], tuple[str, ...]]:
    """The entries of ``images:`` that every kustomize applies as meant, by name."""
    wanted = {plan.place for plan in planned}
    by_name: dict[str, list[_Planned]] = defaultdict(list)
    others: set[str] = set()
    certain: set[tuple[KubeObject, Path]] = set()
    for obj in objects:
        refused = why_refused(obj)
        if refused:
            return {}, (f"patches only, no images: in {obj}, {refused}",)
        certain.update((obj, path) for path in certain_reach(obj))
        others.update(
            text
            for path, text in possible_reach(obj)
            if isinstance(text, str) and (obj, path) not in wanted
        )
    for plan in planned:
        if plan.place in certain:
            by_name[plan.reference.literal_name].append(plan)
    target_names = {plan.target.name for plan in planned}
    entries = {
        name: _entry(name, plans[0])
        for name, plans in sorted(by_name.items())
        # An entry that matches a target would change what another one has put there.
        if _is_uniform(plans) and name not in target_names
    }
    return {
        name: entry for name, entry in entries.items() if not any(map(entry.matches, others))
    }, ()


def _is_uniform(plans: Sequence[_Planned]) -> bool:
    """Whether one entry suits all uses of a name; kustomize 2.0.3 matches no digests."""
    first = plans[0]
    return first.reference.digest is None and all(
        plan.use.text == first.use.text and plan.target == first.target for plan in plans
    )


def _entry(name: str, plan: _Planned) -> ImageEntry:
    target = plan.target
    tag = f":{target.tag}" if target.tag is not None else ""
    return ImageEntry(name, target.name + tag, target.digest)


def _decide(
    plan: _Planned,
    entries: Mapping[str, ImageEntry],
    reach: Mapping[KubeObject, frozenset[Path]],
) -> Rewrite:
    reached = plan.use.path.parts in reach[plan.use.object]
    by_images = reached and plan.reference.literal_name in entries
    return Rewrite(plan.use, plan.target, Means.IMAGES if by_images else Means.PATCH)


def _patches(
    objects: Sequence[KubeObject], rewrites: Iterable[Rewrite]
) -> tuple[list[Patch], list[str]]:
    """One patch an object, in the order of the objects, and notes on targets."""
    by_object: dict[KubeObject, list[Rewrite]] = defaultdict(list)
    for rewrite in rewrites:
        if rewrite.means is Means.PATCH:
            by_object[rewrite.use.object].append(rewrite)
    patched = [obj for obj in objects if obj in by_object]
    names = patch_names(
        [(obj.identity.kind, obj.identity.namespace, obj.identity.name) for obj in patched]
    )
    targets = PatchTargets(obj.identity for obj in objects)
    patches, notes = [], []
    for obj, file in zip(patched, names, strict=True):
        target, understood = targets.target_of(obj.identity, str(obj))
        if not understood:
            notes.append(f"{obj}: kubectl before 1.21 cannot tell this object from another")
        patches.append(Patch(file, target, tuple(_replacements(by_object[obj]))))
    return patches, notes


def _replacements(rewrites: Iterable[Rewrite]) -> Iterator[Replacement]:
    for rewrite in rewrites:
        yield Replacement(rewrite.use.path, rewrite.use.text, rewrite.target.reference)
