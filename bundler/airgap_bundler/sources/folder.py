"""The manifest files below a folder: sorted, without hidden files, never outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISLNK
from typing import BinaryIO

from airgap_bundler.sources.application import SkippedFile
from airgap_bundler.sources.kustomization import refuse_unsafe
from airgap_shared.errors import AirgapError, LimitExceeded, MediaReadError, UsageError
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.yamltext import SIZE_LIMIT
from airgap_shared.stores.places import is_folder, is_regular, is_there

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
CHART = "Chart.yaml"


@dataclass(slots=True)
class Folder:
    """What a walk through a folder found: files by their path inside it, and the others."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    kustomizations: list[str] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)

    def content(self, path: str) -> bytes | None:
        """The bytes of a file inside the folder; None when there is none that can be read."""
        file = self.root / path
        root = Path(os.path.realpath(self.root))
        if not is_regular(file) or not Path(os.path.realpath(file)).is_relative_to(root):
            return None
        try:
            return read_file(file)
        except AirgapError:
            return None


def walk_folder(root: Path) -> Folder:
    """Find the manifest files of a folder, and those below it, in the order of their paths.

    Raises:
        UsageError: the folder is a kustomization or a chart, or holds a chart.
        RemoteBaseForbidden, PluginForbidden: it is a kustomization that nobody should build.
        MediaReadError: a folder cannot be listed.

    """
    _refuse_kustomization(root)
    folder = Folder(root)
    links: list[tuple[str, Path]] = []
    for path, entry in _entries(root, ""):
        reason = _skip_reason(entry)
        if entry.name in KUSTOMIZATIONS and not is_folder(entry):
            folder.kustomizations.append(path)
        elif reason:
            folder.skipped.append(SkippedFile(path, reason))
        elif entry.is_symlink():
            links.append((path, entry))
        else:
            folder.files[path] = entry
    _follow(links, folder)
    folder.files = dict(sorted(folder.files.items()))
    return folder


def read_file(path: Path) -> bytes:
    """The bytes of a manifest file, bounded.

    Raises:
        LimitExceeded: the file is larger than a manifest may be.
        MediaReadError: the file cannot be read.

    """
    try:
        with path.open("rb") as stream:
            return read_stream(stream, str(path))
    except OSError as error:
        raise MediaReadError(f"cannot read: {error.strerror}", where=str(path)) from error


def read_stream(stream: BinaryIO, name: str) -> bytes:
    """The bytes of a stream to its end, bounded as :func:`read_file` is."""
    content = stream.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise LimitExceeded(f"the file is larger than {SIZE_LIMIT} bytes", where=name)
    return content


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Every entry below a folder but other folders, hidden ones and links among them."""
    try:
        entries = [(entry, S_ISLNK(entry.lstat().st_mode)) for entry in sorted(folder.iterdir())]
    except OSError as error:
        raise MediaReadError(f"cannot list: {error.strerror}", where=str(folder)) from error
    for entry, is_link in entries:
        path = f"{prefix}{entry.name}"
        if is_link or not is_folder(entry) or _is_hidden(entry):
            yield path, entry
            continue
        if is_regular(entry / CHART):
            raise _chart_refused(entry)
        yield from _entries(entry, f"{path}/")


def _is_hidden(entry: Path) -> bool:
    return entry.name.startswith(".")


def _skip_reason(entry: Path) -> str:
    """Why an entry is not read; empty when it is."""
    if _is_hidden(entry):
        return "hidden"
    if is_folder(entry):
        return "a link to a folder"
    if entry.suffix not in SUFFIXES:
        return f"not {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not is_there(entry):
        return "a link to nothing"
    return "" if is_regular(entry) else "not a regular file"


def _follow(links: list[tuple[str, Path]], folder: Folder) -> None:
    """Read links that stay inside the folder and name a file that is not read already."""
    root = Path(os.path.realpath(folder.root))
    seen = {Path(os.path.realpath(entry)): path for path, entry in folder.files.items()}
    for path, entry in links:
        target = Path(os.path.realpath(entry))
        if not target.is_relative_to(root):
            folder.skipped.append(SkippedFile(path, "a link that leads out of the folder"))
        elif target in seen:
            folder.skipped.append(SkippedFile(path, f"the same file as {seen[target]}"))
        else:
            seen[target] = path
            folder.files[path] = entry


def _refuse_kustomization(root: Path) -> None:
    for name in KUSTOMIZATIONS:
        path = root / name
        if not is_regular(path):
            continue
        refuse_unsafe(
            ManifestFile(str(path), read_file(path)), lambda beside: is_there(root / beside)
        )
        raise UsageError(
            "this folder is a kustomization, which is not read yet",
            where=str(root),
            next_step=f"render it first: kubectl kustomize {root} > app.yaml",
        )
    if is_regular(root / CHART):
        raise _chart_refused(root)


def _chart_refused(root: Path) -> UsageError:
    return UsageError(
        "this folder is a Helm chart, which is not read yet",
        where=str(root),
        next_step=f"render it first: helm template NAME {root} > app.yaml",
    )
