"""The application as it was given: its files, the objects in them, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass

from airgap_shared.kube.objects import KubeObject, ManifestFile


@dataclass(frozen=True, slots=True, order=True)
class SkippedFile:
    """A file, folder or document that is no part of the application, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnappliedKustomization:
    """A kustomization inside a folder that changes objects: which of its fields do.

    ``images`` are the names that it replaces, ``patches`` the files that it patches with, by their
    paths in the application; ``patches_images`` says whether one of its patches is of an image.
    """

    path: str
    fields: tuple[str, ...]
    images: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    patches_images: bool = False

    @property
    def loss(self) -> str:
        """What is not done to the objects."""
        return f"{', '.join(self.fields)}: NOT applied"


@dataclass(frozen=True, slots=True)
class Application:
    """Files with relative paths, bytes as given; their objects in order; what was left out."""

    files: tuple[ManifestFile, ...]
    objects: tuple[KubeObject, ...]
    skipped: tuple[SkippedFile, ...]
    unapplied: tuple[UnappliedKustomization, ...] = ()
