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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.filetree import (
    ASIDE,
    PARTIAL,
    Tree,
    kind_of,
    make_directories,
    names_in,
    open_directory,
    opened,
    remove,
    replace_file,
    replace_tree,
    sync,
    tree_of,
    write_tree,
)
from airgap_importer.kustomization import FILE_NAME, bridge_text, downstream_text
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
    OverlayNotOurs,
    OverlayNotWritable,
    OverlayRefused,
    UsageError,
)
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.stores.places import is_folder, is_there

DEFAULT_DOWNSTREAM = "this-cluster"

_LOG = logging.getLogger(__name__)
#: Where a new tree is written; the second where the bridge in place leads to the first.
_STAGED = ("staged", "staged-again")
_BRIDGE = "bridge"
_NEXT_BASE = "next-base"
_LONGEST_BRIDGE = 4096
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class StagedOverlay:
    """An overlay that is written but not in place; ``midstream`` can be rendered."""

    midstream: Path


def check_overlay_directory(path: Path, app: str) -> Path:
    """See, without changing anything, whether ``path`` is ours or free to be taken.

    Gives the place that it is, past all symbolic links: what is written later goes there.

    Raises:
        OverlayNotOurs: it holds something else, another application, or a link in the wrong place.
        OverlayNotWritable: it cannot be read or written.

    """
    with _told(path), ExitStack() as stack:
        _check_writable(path)
        place = _real(path)
        try:
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return place
        stack.callback(os.close, folder)
        check_ownership(folder, path, app)
    return place


def _check_writable(path: Path) -> None:
    """Raise OverlayNotWritable where the kernel would not let us write, or make, the directory."""
    place = path.absolute()
    while not is_there(place) and place != place.parent:
        place = place.parent
    if is_folder(place) and not os.access(place, os.W_OK | os.X_OK):
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
def open_overlay_directory(
    path: Path, app: str, place: Path | None = None
) -> Iterator[OverlayDirectory]:
    """Take an overlay directory for the application ``app``; make it if need be.

    What a killed run left is removed. Nobody else can open the directory meanwhile. ``place`` is
    what :func:`check_overlay_directory` gave; a path that leads elsewhere by now is not followed.

    Raises:
        OverlayNotOurs: it holds something else, another application, or a link in the wrong place.
        OverlayNotWritable, DiskFull: it cannot be made or written.
        Locked: another run is at work on it.

    """
    with ExitStack() as stack:
        with _told(path):
            place = place or _real(path)
            if _real(place) != place:
                raise _replaced(path)
            make_directories(place)
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            _check_same(folder, place, path)
            check_ownership(folder, path, app)
            state = _state_of(folder)
            stack.callback(os.close, state)
            _lock(state, path)
            bridged = _bridged(folder)
            _tidy(state, bridged)
            if kind_of(state, MARKER) == "absent":
                replace_file(state, MARKER, marker_of(app))
                sync(folder)
        staged = _STAGED[bridged == _STAGED[0]]
        yield OverlayDirectory(path, place, (folder, state), staged)


class OverlayDirectory:
    """An overlay directory that is ours; made by :func:`open_overlay_directory`."""

    def __init__(self, path: Path, place: Path, opened: tuple[int, int], staged: str) -> None:
        self.path = path
        self._place = place
        self._folder, self._state = opened
        self._staged = staged

    def stage(self, overlay: Overlay, upstream: Iterable[ManifestFile]) -> StagedOverlay:
        """Write the whole new tree below ``.airgap``, where nobody deploys from.

        Raises:
            OverlayRefused: a path of the application is not safe.
            OverlayNotWritable, DiskFull: it cannot be written.

        """
        tree = _tree(overlay, upstream)
        tree.setdefault("upstream", {})
        midstream = f"{STATE}/{self._staged}/overlays/midstream"
        tree[_BRIDGE] = {**_below(tree, "overlays", "midstream"), FILE_NAME: bridge_text(midstream)}
        tree[_NEXT_BASE] = _below(tree, "base")
        with _told(self.path):
            remove(self._state, self._staged)
            write_tree(self._state, self._staged, tree)
            sync(self._state)
        return StagedOverlay(self._place / midstream)

    def check_place(self) -> None:
        """See whether the path still leads to the directory that was opened.

        Raises:
            OverlayNotOurs: something else was put there meanwhile.

        """
        _check_same(self._folder, self._place, self.path)

    def switch(self, downstream: str = DEFAULT_DOWNSTREAM) -> None:
        """Put the staged tree in place; all of it or, when that fails, nothing.

        At every moment the midstream deploys the old or the new release, whole: while the trees
        are replaced it is a bridge to the staged one. A kill in between leaves that, too.

        Raises:
            OverlayNotOurs: a link or file stands where a directory of ours must be.
            OverlayNotWritable, DiskFull: something could not be moved; the old state is back.

        """
        self.check_place()
        with _told(self.path), self.planned_switch() as swaps:
            carry_out(swaps)
        with _told(self.path, changed="everything was imported and the overlay was replaced"):
            self._make_downstream(downstream)
            _tidy(self._state, "")

    @contextmanager
    def planned_switch(self) -> Iterator[tuple[Swap, ...]]:
        """The steps of :meth:`switch`, in order, each of them durable when it is done.

        What the bridge leads to stays untouched until the last step, which replaces the bridge.
        """
        check_places(self._folder, self.path)
        with ExitStack() as stack:
            tree = opened(stack, self._state, self._staged)
            tree_overlays = opened(stack, tree, "overlays")
            opened(stack, tree_overlays, "midstream")
            swaps = [
                Swap(tree, "upstream", self._folder, "upstream"),
                Swap(tree, _NEXT_BASE, self._folder, "base"),
            ]
            if kind_of(self._folder, "overlays") == "absent":
                yield (*swaps, Swap(tree, "overlays", self._folder, "overlays"))
                return
            overlays = opened(stack, self._folder, "overlays")
            if kind_of(overlays, "midstream") == "directory":
                swaps.insert(0, Swap(tree, _BRIDGE, overlays, "midstream"))
            yield (*swaps, Swap(tree_overlays, "midstream", overlays, "midstream"))

    def write_record(self, name: str, content: bytes) -> None:
        """Write a file in ``.airgap``, whole or not at all.

        Raises:
            OverlayNotWritable, DiskFull: it cannot be written.

        """
        if not is_safe_component(name) or name in (MARKER, *_STAGED):
            raise ValueError(f"{name!r} cannot name a record")
        with _told(self.path):
            replace_file(self._state, name, content)

    def write_folder(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a folder of these files into ``.airgap`` in place of the one there; none for none.

        Raises:
            OverlayRefused: a path is not safe, or two exclude each other.
            OverlayNotWritable, DiskFull: it cannot be written.

        """
        if not is_safe_component(name) or name in (MARKER, *_STAGED):
            raise ValueError(f"{name!r} cannot name a folder of records")
        try:
            tree = tree_of(files)
        except ValueError as error:
            raise OverlayRefused(f"records do not fit together: {error}") from error
        with _told(self.path):
            replace_tree(self._state, name, tree)

    def _make_downstream(self, name: str) -> None:
        with ExitStack() as stack:
            overlays = opened(stack, self._folder, "overlays")
            if kind_of(overlays, "downstreams") == "absent":
                os.mkdir("downstreams", dir_fd=overlays)
                sync(overlays)
            downstreams = opened(stack, overlays, "downstreams")
            if kind_of(downstreams, name) != "absent":
                return
            staged = opened(stack, self._state, self._staged)
            write_tree(staged, "downstream", {FILE_NAME: downstream_text()})
            Swap(staged, "downstream", downstreams, name).apply()


def _check_same(folder: int, place: Path, path: Path) -> None:
    """Raise OverlayNotOurs where an open directory is not, or no more, what stands in its place."""
    try:
        same = os.path.samestat(place.stat(), os.fstat(folder)) and _real(place) == place
    except OSError:
        same = False
    if not same:
        raise _replaced(path)


def _real(path: Path) -> Path:
    """The path without symbolic links; of a loop of links, the loop, which cannot be opened."""
    return Path(os.path.realpath(path))


def _replaced(path: Path) -> OverlayNotOurs:
    return not_ours("was replaced by something else while apply was at work", path)


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


def _bridged(folder: int) -> str:
    """The staged tree that a killed run left in use; empty when there is none."""
    with ExitStack() as stack:
        place = folder
        for name in ("overlays", "midstream"):
            if kind_of(place, name) != "directory":
                return ""
            place = opened(stack, place, name)
        try:
            file = os.open(FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError:
            return ""
        with os.fdopen(file, "rb") as text:
            found = text.read(_LONGEST_BRIDGE)
    bridges = {bridge_text(f"{STATE}/{name}/overlays/midstream"): name for name in _STAGED}
    return bridges.get(found, "")


def _tidy(state: int, bridged: str) -> None:
    """Remove what a killed run left, but for the staged tree that is in use."""
    for name in names_in(state):
        if name.endswith((PARTIAL, ASIDE)) or (name in _STAGED and name != bridged):
            remove(state, name)


def _below(tree: Tree, *names: str) -> Tree:
    """A directory in a tree; empty where there is none."""
    for name in names:
        found = tree.get(name, {})
        tree = found if isinstance(found, dict) else {}
    return tree


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
