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
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap_importer.filetree import (
    Tree,
    is_safe_component,
    is_safe_path,
    kind_of,
    names_in,
    open_directory,
    sync,
    tree_of,
    write_file,
    write_tree,
)
from airgap_importer.kustomization import FILE_NAME, downstream_text, interlock_text
from airgap_importer.rewriting import Overlay
from airgap_importer.switching import Swap, carry_out
from airgap_shared.errors import (
    DiskFull,
    Locked,
    OverlayNotOurs,
    OverlayNotWritable,
    OverlayRefused,
)
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.oci.fields import Fields, parse_json

DEFAULT_DOWNSTREAM = "this-cluster"
FORMAT = 1

_STATE = ".airgap"
_MARKER = "marker.json"
_STAGED = "staged"
_INTERLOCK = "interlock"
_PARTIAL = ".partial"
_TOOL = "airgap-import"
_LARGEST_MARKER = 64 * 1024
_NOTHING = "nothing was changed"
# Where a directory must be, if there is anything at all.
_OURS: Final = (
    "upstream",
    "base",
    "overlays",
    "overlays/midstream",
    "overlays/downstreams",
)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOG = logging.getLogger(__name__)
_LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class StagedOverlay:
    """An overlay that is written but not in place; ``midstream`` can be rendered."""

    midstream: Path


def check_overlay_directory(path: Path, app: str) -> None:
    """See, without changing anything, whether ``path`` is ours or free to be taken.

    Raises:
        OverlayNotOurs: it holds something else, another application, or a link in the wrong place.
        OverlayNotWritable: it cannot be read.

    """
    with _told(path), ExitStack() as stack:
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        stack.callback(os.close, folder)
        _check(folder, path, app)


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
            _check(folder, path, app)
            state = _state_of(folder)
            stack.callback(os.close, state)
            _lock(state, path)
            _tidy(state)
            if kind_of(state, _MARKER) == "absent":
                _write_record(state, _MARKER, _marker(app))
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
        with _told(self.path, changed=_NOTHING):
            _remove(self._state, _STAGED)
            write_tree(self._state, _STAGED, tree)
            sync(self._state)
        return StagedOverlay(self.path / _STATE / _STAGED / "overlays" / "midstream")

    def switch(self, downstream: str = DEFAULT_DOWNSTREAM) -> None:
        """Put the staged tree in place; all of it or, when that fails, nothing.

        A kill in between leaves a midstream that refuses to be deployed, never a mixture.

        Raises:
            OverlayNotOurs: a link or file stands where a directory of ours must be.
            OverlayNotWritable, DiskFull: something could not be moved; the old state is back.

        """
        if not is_safe_component(downstream):
            raise OverlayRefused(f"{downstream[:120]!r} cannot name a downstream")
        with _told(self.path, changed=_NOTHING), self.planned_switch() as swaps:
            carry_out(swaps)
        with _told(self.path, changed="the overlay was replaced"):
            self._make_downstream(downstream)
            _remove(self._state, _STAGED)

    @contextmanager
    def planned_switch(self) -> Iterator[tuple[Swap, ...]]:
        """The steps of :meth:`switch`, in order, each of them durable when it is done."""
        _check_places(self._folder, self.path)
        if kind_of(self._folder, "overlays") == "absent":
            os.mkdir("overlays", dir_fd=self._folder)
        with ExitStack() as stack:
            tree = _opened(stack, self._state, _STAGED)
            tree_overlays = _opened(stack, tree, "overlays")
            overlays = _opened(stack, self._folder, "overlays")
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
        if not is_safe_component(name) or name in (_MARKER, _STAGED):
            raise ValueError(f"{name!r} cannot name a record")
        with _told(self.path):
            _write_record(self._state, name, content)

    def _make_downstream(self, name: str) -> None:
        with ExitStack() as stack:
            overlays = _opened(stack, self._folder, "overlays")
            if kind_of(overlays, "downstreams") == "absent":
                os.mkdir("downstreams", dir_fd=overlays)
                sync(overlays)
            downstreams = _opened(stack, overlays, "downstreams")
            if kind_of(downstreams, name) != "absent":
                return
            staged = _opened(stack, self._state, _STAGED)
            write_tree(staged, "downstream", {FILE_NAME: downstream_text()})
            Swap(staged, "downstream", downstreams, name).apply()


def _check(folder: int, path: Path, app: str) -> None:
    names = names_in(folder)
    if not names:
        return
    if kind_of(folder, _STATE) != "directory":
        raise _not_ours("holds something that airgap-import did not make", path)
    with ExitStack() as stack:
        state = _opened(stack, folder, _STATE)
        if kind_of(state, _MARKER) == "absent":
            # A run that was killed at its very beginning.
            if names == {_STATE} and names_in(state) <= {_MARKER + _PARTIAL}:
                return
            raise _not_ours("holds something that airgap-import did not make", path)
        _check_marker(state, path, app)
    _check_places(folder, path)


def _check_marker(state: int, path: Path, app: str) -> None:
    where = f"{path}/{_STATE}/{_MARKER}"
    if kind_of(state, _MARKER) != "other":
        raise _not_ours("has a marker that is no file", path)
    marker = os.open(_MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=state)
    with os.fdopen(marker, "rb") as file:
        text = file.read(_LARGEST_MARKER)
    fields = Fields(parse_json(text, where, OverlayNotOurs), where, OverlayNotOurs)
    if fields.count("format") != FORMAT:
        fields.refuse("the overlay was made by another version of this tool", "format")
    if fields.text("tool") != _TOOL:
        fields.refuse("the overlay was made by another tool", "tool")
    if fields.text("app") != app:
        raise _not_ours(f"belongs to the application {fields.text('app')[:100]!r}", path)


def _check_places(folder: int, path: Path) -> None:
    for place in _OURS:
        if _kind_below(folder, place) == "other":
            raise _not_ours(f"has something else than a directory at {place}", path)


def _kind_below(folder: int, place: str) -> str:
    """As kind_of, for a path of several names; never through a link."""
    parent, _, name = place.rpartition("/")
    if not parent:
        return kind_of(folder, name)
    kind = kind_of(folder, parent)
    if kind != "directory":
        return "absent"
    with ExitStack() as stack:
        return kind_of(_opened(stack, folder, parent), name)


def _not_ours(what: str, path: Path) -> OverlayNotOurs:
    return OverlayNotOurs(
        f"the directory {what}",
        where=str(path),
        changed=_NOTHING,
        next_step="choose an empty or new directory",
    )


def _state_of(folder: int) -> int:
    if kind_of(folder, _STATE) == "absent":
        os.mkdir(_STATE, dir_fd=folder)
        sync(folder)
    return open_directory(folder, _STATE)


def _lock(state: int, path: Path) -> None:
    try:
        fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked(
            "another run is at work on this directory", where=str(path), changed=_NOTHING
        ) from None
    except OSError as error:
        # Some network file systems lock no directories; better no lock than no overlay.
        _LOG.warning("%s cannot be locked: %s", path, error.strerror)


def _tidy(state: int) -> None:
    """Remove what a killed run left."""
    _remove(state, _STAGED)
    for name in names_in(state):
        if name.endswith(_PARTIAL):
            _remove(state, name)


def _remove(parent: int, name: str) -> None:
    match kind_of(parent, name):
        case "directory":
            shutil.rmtree(name, dir_fd=parent)
        case "other":
            os.unlink(name, dir_fd=parent)


def _write_record(state: int, name: str, content: bytes) -> None:
    partial = name + _PARTIAL
    _remove(state, partial)
    write_file(state, partial, content)
    os.replace(partial, name, src_dir_fd=state, dst_dir_fd=state)
    sync(state)


def _marker(app: str) -> bytes:
    marker = {"format": FORMAT, "tool": _TOOL, "app": app}
    return (json.dumps(marker, indent=2) + "\n").encode()


def _tree(overlay: Overlay, upstream: Iterable[ManifestFile]) -> Tree:
    files = dict(overlay.files)
    for file in upstream:
        if not is_safe_path(file.path):
            raise OverlayRefused(f"{file.path[:200]!r} is no safe path", changed=_NOTHING)
        files[f"upstream/{file.path}"] = file.content
    try:
        return tree_of(files)
    except ValueError as error:
        raise OverlayRefused(
            f"the files of the application do not fit together: {error}", changed=_NOTHING
        ) from error


def _opened(stack: ExitStack, parent: int, name: str) -> int:
    folder = open_directory(parent, name)
    stack.callback(os.close, folder)
    return folder


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
            raise _not_ours(f"has a link or file in the way: {error.strerror}", path) from error
        raise OverlayNotWritable(
            f"the overlay cannot be written: {error.strerror or error}",
            where=where,
            changed=changed,
        ) from error
