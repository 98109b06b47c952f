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
class Application:
    """Files with relative paths, bytes as given; their objects in order; what was left out."""

    files: tuple[ManifestFile, ...]
    objects: tuple[KubeObject, ...]
    skipped: tuple[SkippedFile, ...]
