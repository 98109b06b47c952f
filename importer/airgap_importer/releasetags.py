"""Release tags: the names people know, looked at before anything is sent and before one is set.

A registry overwrites a tag without a word, so that only looking tells whether it is ours to set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airgap_importer.lookups import LenientLookup
from airgap_importer.relocation import RelocatedImage
from airgap_shared.errors import (
    AirgapError,
    RegistryAuthError,
    RegistryIntegrity,
    TagConflict,
    TagImmutable,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import Index, Manifest
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageLookup, ImageTarget

_IMMUTABLE = (
    "import into another --image-namespace, or have the tag deleted or exempted from "
    "being immutable"
)


@dataclass(frozen=True, slots=True)
class DueTag:
    """A tag that has to be set, and what it names now."""

    image: RelocatedImage
    found: Digest | None

    @property
    def name(self) -> str:
        """The tag as a reference spells it."""
        return f"{self.image.pushed_name}:{self.image.tag}"


@dataclass(frozen=True, slots=True)
class ReleaseTags:
    """The tags of one import; ``move`` says that they may be taken from other images."""

    images: tuple[RelocatedImage, ...]
    move: bool

    def due(self, registry: ImageLookup, jobs: int) -> tuple[DueTag, ...]:
        """The tags that do not name their image yet; those that do are never written again.

        Raises:
            TagConflict: some name other images, and they may not be moved.

        """
        found = for_each(
            self.images,
            lambda image, _: registry.head_manifest(image.destination, image.tag or ""),
            jobs,
        )
        due = tuple(
            DueTag(image, present.digest if present else None)
            for image, present in zip(self.images, found, strict=True)
            if present is None or present.digest != image.digest
        )
        self._check(due)
        return due

    def _check(self, due: Sequence[DueTag]) -> None:
        conflicts = [
            f"{tag.name} is {tag.found}, would become {tag.image.digest}"
            for tag in due
            if tag.found is not None
        ]
        if conflicts and not self.move:
            raise TagConflict(
                f"{len(conflicts)} tags exist in the target and name something else",
                next_step="add --move-tags to let them name the new images; "
                "what runs now is pinned by digest and stays; "
                "or import into another --image-namespace",
                details=conflicts,
            )


@dataclass(slots=True)
class TagSetter:
    """Sets tags, those first that a registry may refuse to move, and knows which it has set.

    What was sent and not answered as it should be may be set all the same: the answer may have
    been lost, or changed on its way.
    """

    target: ImageTarget
    manifests: Mapping[Digest, Manifest | Index]
    jobs: int
    done: list[str] = field(default_factory=list)
    _unsure: list[str] = field(default_factory=list)

    def set(self, tags: ReleaseTags) -> None:
        """Look at all tags once more, then set those that are due.

        Raises:
            TagConflict: another client set one since the import began; none was set.
            TagImmutable: the registry does not let a tag be moved.
            RegistryIntegrity: a tag does not name what it was set to.

        """
        try:
            due = tags.due(LenientLookup(self.target), self.jobs)
        except TagConflict as conflict:
            conflict.explain(changed="the images are in the registry; no release tag was set")
            raise
        try:
            for moved in (True, False):
                group = [tag for tag in due if (tag.found is not None) is moved]
                for_each(group, lambda tag, _: self._set(tag), self.jobs)
        except AirgapError as problem:
            advice = _IMMUTABLE if isinstance(problem, TagImmutable) else ""
            problem.explain(changed=self._story, next_step=advice)
            raise

    @property
    def _story(self) -> str:
        tags = [
            f"{said} {', '.join(sorted(names))}"
            for said, names in (
                ("the tags set are", self.done),
                ("tags that may be set are", self._unsure),
            )
            if names
        ]
        told = "; ".join(tags) or "no release tag was set"
        return f"the images are in the registry, {told}; the overlay was not changed"

    def _set(self, tag: DueTag) -> None:
        image = tag.image
        manifest = self.manifests[image.digest]
        try:
            self.target.put_manifest(
                image.destination, image.tag or "", manifest.raw, manifest.media_type
            )
        except (TagImmutable, RegistryAuthError):
            raise
        except AirgapError:
            self._unsure.append(tag.name)
            raise
        self.done.append(tag.name)
        found = self.target.head_manifest(image.destination, image.tag or "")
        if found is None or found.digest != image.digest:
            raise RegistryIntegrity(
                f"the tag names {found.digest if found else 'nothing'}, not {image.digest}",
                where=tag.name,
                next_step="run again; another client may be moving the same tag",
            )
