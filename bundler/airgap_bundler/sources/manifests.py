"""Manifests as a SOURCE: a file, a folder of files, or standard input."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airgap_bundler.sources.application import (
    Application,
    SkippedFile,
    UnappliedKustomization,
)
from airgap_bundler.sources.folder import Folder, read_file, walk_folder
from airgap_bundler.sources.objectnames import refuse_other_than_text
from airgap_bundler.sources.unapplied import parse_unapplied
from airgap_shared.bundle.names import conflicting_path, is_safe_path
from airgap_shared.errors import AirgapError, ManifestSourceInvalid, UsageError
from airgap_shared.kube.documents import load_manifest
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.stores.places import is_folder, is_regular

STDIN = "-"
_STDIN_NAME = "stdin.yaml"
_SUFFIXED = re.compile(r"(?P<stem>.+?)(?P<suffix>\.[^.]*)?")


@dataclass(slots=True)
class _Collection:
    """What the sources have given so far."""

    files: list[ManifestFile] = field(default_factory=list)
    objects: list[KubeObject] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    unapplied: list[UnappliedKustomization] = field(default_factory=list)
    problems: list[AirgapError] = field(default_factory=list)

    def application(self) -> Application:
        """The whole, or the errors of all files together."""
        if len(self.problems) == 1:
            raise self.problems[0]
        if self.problems:
            raise ManifestSourceInvalid(
                f"{len(self.problems)} manifests cannot be read",
                details=[f"{problem.name}: {problem}" for problem in self.problems],
            )
        unsafe = [file.path for file in self.files if not is_safe_path(file.path)]
        if unsafe:
            raise UsageError(
                "file names that cannot be carried everywhere",
                details=unsafe,
                next_step="use letters, digits, dot, dash and underscore, at most 100 characters"
                " a name and 16 levels",
            )
        clash = conflicting_path(file.path for file in self.files)
        if clash is not None:
            raise UsageError(
                "two file names differ only in upper and lower case",
                where=clash,
                next_step="rename one of them",
            )
        return Application(
            *(tuple(self.files), tuple(self.objects), tuple(sorted(self.skipped))),
            tuple(self.unapplied),
        )


def load_application(sources: Sequence[str], stdin: bytes = b"") -> Application:
    """Read the manifests of every source, in the order given.

    A source is a file, a folder (read recursively, sorted) or ``-`` for the bytes of ``stdin``.
    With several sources, the files of a folder are named below the folder's own name.

    Raises:
        UsageError: a source does not exist, is no manifest or needs rendering first.
        ManifestSourceInvalid: files are not what Kubernetes reads; all are named together.
        YamlTooDeep, YamlAliasLimit, YamlDuplicateKey, LimitExceeded: a file is refused.
        MediaReadError: a file cannot be read.

    """
    collection = _Collection()
    prefixes: set[str] = set()
    for source in sources:
        root = Path(source)
        if source == STDIN:
            _add(collection, ManifestFile(_unused(_STDIN_NAME, prefixes), stdin), demanded=True)
        elif is_folder(root):
            prefix = ""
            if len(sources) > 1:
                prefix = f"{_unused(_own_name(root), prefixes)}/"
            _add_folder(collection, root, prefix)
        elif is_regular(root):
            name = _unused(root.name, prefixes)
            _add(collection, ManifestFile(name, read_file(root)), demanded=True)
        else:
            raise UsageError("there is no such file or folder", where=source)
    return collection.application()


def _own_name(root: Path) -> str:
    return root.resolve().name or "root"


def _unused(name: str, taken: set[str]) -> str:
    """The name, numbered when an earlier source has it already."""
    match = _SUFFIXED.fullmatch(name)
    stem, suffix = (match["stem"], match["suffix"] or "") if match else (name, "")
    candidate, number = name, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem}-{number}{suffix}"
    taken.add(candidate.lower())
    return candidate


def _add_folder(collection: _Collection, root: Path, prefix: str) -> None:
    folder = walk_folder(root)
    before = len(collection.objects) + len(collection.problems)
    for path, file in folder.files.items():
        _add(collection, ManifestFile(prefix + path, read_file(file)), demanded=False)
    collection.skipped.extend(
        SkippedFile(prefix + skipped.path, skipped.reason) for skipped in folder.skipped
    )
    for path in folder.kustomizations:
        _add_kustomization(collection, folder, path, prefix)
    if len(collection.objects) + len(collection.problems) == before:
        raise UsageError(
            "no Kubernetes manifest in this folder",
            where=str(root),
            details=[f"{s.path}: {s.reason}" for s in collection.skipped],
        )


def _add_kustomization(collection: _Collection, folder: Folder, path: str, prefix: str) -> None:
    """Leave a kustomization out, and keep what it would have changed."""
    inside = posixpath.dirname(path)
    found = parse_unapplied(
        prefix + path,
        folder.content(path),
        lambda name: folder.content(posixpath.join(inside, name)),
    )
    reason = "a kustomization inside the folder; its files are read as they are"
    if found is not None:
        collection.unapplied.append(found)
        reason += f", {found.loss}"
    collection.skipped.append(SkippedFile(prefix + path, reason))


def _add(collection: _Collection, file: ManifestFile, *, demanded: bool) -> None:
    """Add a file; one that was named on the command line must hold an object."""
    try:
        manifest = load_manifest(file)
        objects = [obj for obj in manifest.objects if not _is_kustomization(obj)]
        refuse_other_than_text(file, objects)
    except AirgapError as problem:
        collection.problems.append(problem)
        return
    if not objects and demanded:
        raise UsageError("no Kubernetes object in this file", where=file.path)
    if not objects:
        reason = "; ".join(sorted({other.reason for other in manifest.others})) or "empty"
        reason = "a kustomization" if manifest.objects else reason
        collection.skipped.append(SkippedFile(file.path, f"not part of the application: {reason}"))
        return
    collection.files.append(file)
    collection.objects.extend(objects)
    collection.skipped.extend(
        SkippedFile(f"{file.path}:{other.line}", f"not part of the application: {other.reason}")
        for other in manifest.others
    )
    collection.skipped.extend(
        SkippedFile(f"{obj} (document {obj.document})", "not part of the application: kustomize's")
        for obj in manifest.objects
        if _is_kustomization(obj)
    )


def _is_kustomization(obj: KubeObject) -> bool:
    return obj.identity.group == "kustomize.config.k8s.io"
