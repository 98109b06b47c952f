"""Kubernetes objects as they were read: which file, which document, who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of the application: its path (relative, ``/`` as separator) and its bytes."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True, order=True)
class ObjectIdentity:
    """What Kubernetes knows an object by; ``name`` is empty when only generateName is given."""

    api_version: str
    kind: str
    name: str = ""
    namespace: str = ""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The API version without its group."""
        return self.api_version.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class KubeObject:
    """One object, found as a YAML document or as an item of a ``List`` kind.

    ``document`` counts the documents of the file from 0, empty ones included; ``item`` holds the
    positions inside (nested) lists, outermost first, and is empty for a plain object.
    """

    file: str
    document: int
    item: tuple[int, ...]
    identity: ObjectIdentity
    value: Mapping[str, object] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}#{self.identity}"
