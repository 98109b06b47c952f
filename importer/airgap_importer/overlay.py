"""The overlay directory on disk: whose it is, what may be replaced, and how.

DIR/upstream/                    replaced
DIR/base/                        replaced
DIR/overlays/midstream/          replaced
DIR/overlays/downstreams/NAME/   created once
DIR/.airgap/                     marker, records, and the staged tree while apply is at work
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.filetree import (
    PARTIAL,
    Tree,
    kind_of,
    names_in,
    open_directory,
    opened,
    remove,
    replace_file,
    sync,
    tree_of,
    write_tree,
)
from airgap_importer.kustomization import FILE_NAME, downstream_text, interlock_text
from airgap_importer.overlaymarker import (
    MARKER,
    STATE,
    check_ownership,
    check_places,
    marker_of,
    not_ours,
)
from airgap_importer.rewriting import Overlay
from airgap_importer.switching import Swap, carry_out
from airgap_shared.bundle.names import is_safe_component, is_safe_path
from airgap_shared.errors import (
    DiskFull,
    Locked,
    OverlayNotWritable,
    OverlayRefused,
    UsageError,
)
from airgap_shared.kube.objects import ManifestFile

DEFAULT_DOWNSTREAM = "this-cluster"

_LOG = logging.getLogger(__name__)
_STAGED = "staged"
_INTERLOCK = "interlock"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class StagedOverlay:
    """An overlay that is written but not in place; ``midstream`` can be rendered."""

    midstream: Path


def check_overlay_directory(path: Path, app: str) -> None:
    """See, without changing anything, whether ``path`` is ours or free to be taken.

    Raises:
        OverlayNotOurs: it holds something else, another application, or a link in the wrong place.
        OverlayNotWritable: it cannot be read or written.

    """
    _check_writable(path)
    with _told(path), ExitStack() as stack:
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        stack.callback(os.close, folder)
        check_ownership(folder, path, app)


def _check_writable(path: Path) -> None:
    """Raise OverlayNotWritable where the kernel would not let us write, or make, the directory."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
        raise OverlayNotWritable(
            "the overlay cannot be written: the file system is read-only, or not yours to write",
            where=str(place),
            next_step="choose another --output, or have it made writable",
        )


def check_overlay(overlay: Overlay, upstream: Iterable[ManifestFile], downstream: str) -> None:
    """See, without a directory, whether an overlay can be written and a downstream be named so.

    Raises:
        OverlayRefused: two paths of the application exclude each other, or one is not safe.
        UsageError: the name is no plain folder name.

    """
    _tree(overlay, upstream)
    if not is_safe_component(downstream):
        raise UsageError(
            f"{downstream[:120]!r} cannot name a folder",
            where="--downstream",
            next_step="use letters, digits, dot, dash and underscore",
        )


@contextmanager
def open_overlay_directory(path: Path, app: str) -> Iterator[OverlayDirectory]:
    """Take an overlay directory for the application ``app``; make it if need be.

    What a killed run left is removed. Nobody else can open the directory meanwhile.

    Raises:
        OverlayNotOurs: it holds something else, another application, or a link in the wrong place.
        OverlayNotWritable, DiskFull: it cannot be made or written.
        Locked: another run is at work on it.

    """
    with ExitStack() as stack:
        with _told(path):
            path.mkdir(parents=True, exist_ok=True)
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            check_ownership(folder, path, app)
            state = _state_of(folder)
            stack.callback(os.close, state)
            _lock(state, path)
            _tidy(state)
            if kind_of(state, MARKER) == "absent":
                replace_file(state, MARKER, marker_of(app))
                sync(folder)
        yield OverlayDirectory(path, folder, state)


class OverlayDirectory:
    """An overlay directory that is ours; made by :func:`open_overlay_directory`."""

    def __init__(self, path: Path, folder: int, state: int) -> None:
        self.path = path
        self._folder = folder
        self._state = state

    def stage(self, overlay: Overlay, upstream: Iterable[ManifestFile]) -> StagedOverlay:
        """Write the whole new tree below ``.airgap``, where nobody deploys from.

        Raises:
            OverlayRefused: a path of the application is not safe.
            OverlayNotWritable, DiskFull: it cannot be written.

        """
        tree = _tree(overlay, upstream)
        tree.setdefault("upstream", {})
        tree[_INTERLOCK] = {FILE_NAME: interlock_text()}
        with _told(self.path):
            remove(self._state, _STAGED)
            write_tree(self._state, _STAGED, tree)
            sync(self._state)
        return StagedOverlay(self.path / STATE / _STAGED / "overlays" / "midstream")

    def switch(self, downstream: str = DEFAULT_DOWNSTREAM) -> None:
        """Put the staged tree in place; all of it or, when that fails, nothing.

        A kill in between leaves a midstream that refuses to be deployed, never a mixture.

        Raises:
            OverlayNotOurs: a link or file stands where a directory of ours must be.
            OverlayNotWritable, DiskFull: something could not be moved; the old state is back.

        """
        with _told(self.path), self.planned_switch() as swaps:
            carry_out(swaps)
        with _told(self.path, changed="everything was imported and the overlay was replaced"):
            self._make_downstream(downstream)
            remove(self._state, _STAGED)

    @contextmanager
    def planned_switch(self) -> Iterator[tuple[Swap, ...]]:
        """The steps of :meth:`switch`, in order, each of them durable when it is done."""
        check_places(self._folder, self.path)
        if kind_of(self._folder, "overlays") == "absent":
            os.mkdir("overlays", dir_fd=self._folder)
        with ExitStack() as stack:
            tree = opened(stack, self._state, _STAGED)
            tree_overlays = opened(stack, tree, "overlays")
            overlays = opened(stack, self._folder, "overlays")
            swaps = [
                Swap(tree, "upstream", self._folder, "upstream"),
                Swap(tree, "base", self._folder, "base"),
                Swap(tree_overlays, "midstream", overlays, "midstream"),
            ]
            if kind_of(overlays, "midstream") == "directory":
                swaps.insert(0, Swap(tree, _INTERLOCK, overlays, "midstream"))
            yield tuple(swaps)

    def write_record(self, name: str, content: bytes) -> None:
        """Write a file in ``.airgap``, whole or not at all.

        Raises:
            OverlayNotWritable, DiskFull: it cannot be written.

        """
        if not is_safe_component(name) or name in (MARKER, _STAGED):
            raise ValueError(f"{name!r} cannot name a record")
        with _told(self.path):
            replace_file(self._state, name, content)

    def _make_downstream(self, name: str) -> None:
        with ExitStack() as stack:
            overlays = opened(stack, self._folder, "overlays")
            if kind_of(overlays, "downstreams") == "absent":
                os.mkdir("downstreams", dir_fd=overlays)
                sync(overlays)
            downstreams = opened(stack, overlays, "downstreams")
            if kind_of(downstreams, name) != "absent":
                return
            staged = opened(stack, self._state, _STAGED)
            write_tree(staged, "downstream", {FILE_NAME: downstream_text()})
            Swap(staged, "downstream", downstreams, name).apply()


def _state_of(folder: int) -> int:
    if kind_of(folder, STATE) == "absent":
        os.mkdir(STATE, dir_fd=folder)
        sync(folder)
    return open_directory(folder, STATE)


def _lock(state: int, path: Path) -> None:
    try:
        fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked("another run is at work on this directory", where=str(path)) from None
    except OSError as error:
        # Some network file systems lock no directories; better no lock than no overlay.
        _LOG.warning("%s cannot be locked: %s", path, error.strerror)


def _tidy(state: int) -> None:
    """Remove what a killed run left."""
    remove(state, _STAGED)
    for name in names_in(state):
        if name.endswith(PARTIAL):
            remove(state, name)


def _tree(overlay: Overlay, upstream: Iterable[ManifestFile]) -> Tree:
    files = dict(overlay.files)
    for file in upstream:
        if not is_safe_path(file.path):
            raise OverlayRefused(f"{file.path[:200]!r} is no safe path")
        files[f"upstream/{file.path}"] = file.content
    try:
        return tree_of(files)
    except ValueError as error:
        raise OverlayRefused(
            f"the files of the application do not fit together: {error}"
        ) from error


@contextmanager
def _told(path: Path, changed: str = "") -> Iterator[None]:
    """Say in our words what the system says."""
    try:
        yield
    except OSError as error:
        where = f"{path}: {error.filename}" if isinstance(error.filename, str) else str(path)
        if error.errno in _NO_SPACE:
            raise DiskFull("no space is left for the overlay", where=where, changed=changed) from (
                error
            )
        if error.errno in _LINK_IN_THE_WAY:
            raise not_ours(f"has a link or file in the way: {error.strerror}", path) from error
        raise OverlayNotWritable(
            f"the overlay cannot be written: {error.strerror or error}",
            where=where,
            changed=changed,
        ) from error
