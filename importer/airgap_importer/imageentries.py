"""Which uses of images ``images:`` can rewrite: where it provably reaches, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airgap_importer.imagestransformer import (
    ImageEntry,
    Path,
    certain_reach,
    possible_reach,
    why_refused,
)
from airgap_importer.relocation import RelocatedImage
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.uses import ImageUse
from airgap_shared.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Planned:
    """A use of an image, the reference it is, and where the image goes."""

    use: ImageUse
    reference: Reference
    target: RelocatedImage

    @property
    def is_whole(self) -> bool:
        """Whether one value of the object is the reference and nothing else."""
        return not self.use.inside and not self.use.pieces and self.use.text == str(self.reference)

    @property
    def place(self) -> tuple[KubeObject, Path]:
        """The object and the way to the value."""
        return self.use.object, self.use.path.parts


@dataclass(frozen=True, slots=True)
class ImageEntries:
    """The entries of ``images:`` by name, whom they rewrite, and why there are none."""

    entries: Mapping[str, ImageEntry]
    reach: frozenset[tuple[KubeObject, Path]]
    notes: tuple[str, ...] = ()

    def rewrite(self, plan: Planned) -> bool:
        """Whether every kustomize rewrites this use as planned."""
        return (
            plan.is_whole
            and plan.reference.literal_name in self.entries
            and plan.place in self.reach
        )


def find_entries(objects: Iterable[KubeObject], planned: Iterable[Planned]) -> ImageEntries:
    """The entries of ``images:`` that every kustomize applies as meant."""
    whole = [plan for plan in planned if plan.is_whole]
    wanted = {plan.place for plan in whole}
    others: set[str] = set()
    certain: set[tuple[KubeObject, Path]] = set()
    for obj in objects:
        refused = why_refused(obj)
        if refused:
            note = f"patches only, no images: in {obj}, {refused}"
            return ImageEntries({}, frozenset(), (note,))
        certain.update((obj, path) for path in certain_reach(obj))
        others.update(
            text
            for path, text in possible_reach(obj)
            if isinstance(text, str) and (obj, path) not in wanted
        )
    by_name: dict[str, list[Planned]] = defaultdict(list)
    for plan in whole:
        if plan.place in certain:
            by_name[plan.reference.literal_name].append(plan)
    target_names = {plan.target.name for plan in whole}
    entries = {
        name: _entry(name, plans[0])
        for name, plans in sorted(by_name.items())
        # An entry that matches a target would change what another one has put there.
        if _is_uniform(plans) and name not in target_names
    }
    return ImageEntries(
        {name: entry for name, entry in entries.items() if not any(map(entry.matches, others))},
        frozenset(certain),
    )


def _is_uniform(plans: Sequence[Planned]) -> bool:
    """Whether one entry suits all uses of a name; kustomize 2.0.3 matches no digests."""
    first = plans[0]
    return first.reference.digest is None and all(
        plan.use.text == first.use.text and plan.target == first.target for plan in plans
    )


def _entry(name: str, plan: Planned) -> ImageEntry:
    target = plan.target
    tag = f":{target.tag}" if target.tag is not None else ""
    return ImageEntry(name, target.name + tag, target.digest)
