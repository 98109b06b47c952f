"""Whose an overlay directory is: the marker in it, and what may stand where."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from airgap_importer.filetree import PARTIAL, kind_of, names_in, opened
from airgap_shared.bundle.names import is_application_name
from airgap_shared.errors import OverlayNotOurs
from airgap_shared.oci.fields import Fields, parse_json

FORMAT = 1
STATE = ".airgap"
MARKER = "marker.json"

_TOOL = "airgap-import"
_LARGEST_MARKER = 64 * 1024
# Where a directory must be, if there is anything at all.
_OURS: Final = (
    "upstream",
    "base",
    "overlays",
    "overlays/midstream",
    "overlays/downstreams",
)


def marker_of(app: str) -> bytes:
    """The content of the marker of an application."""
    marker = {"format": FORMAT, "tool": _TOOL, "app": app}
    return (json.dumps(marker, indent=2) + "\n").encode()


def check_ownership(folder: int, path: Path, app: str) -> None:
    """See whether an open directory is empty, or an overlay of this application and in order.

    Raises:
        OverlayNotOurs: it is neither; ``path`` is what messages call it.
        OSError: it cannot be read.

    """
    names = names_in(folder)
    if not names:
        return
    if kind_of(folder, STATE) != "directory":
        raise not_ours("holds something that airgap-import did not make", path)
    with ExitStack() as stack:
        state = opened(stack, folder, STATE)
        if kind_of(state, MARKER) == "absent":
            # A run that was killed at its very beginning.
            if names == {STATE} and names_in(state) <= {MARKER + PARTIAL}:
                return
            raise not_ours("holds something that airgap-import did not make", path)
        _check_marker(state, path, app)
    check_places(folder, path)


def application_of(path: Path) -> str:
    """The application that an overlay directory belongs to.

    Raises:
        OverlayNotOurs: it is none of ours, or cannot be read.

    """
    try:
        with ExitStack() as stack:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            app = _marked(opened(stack, folder, STATE), path)
    except OSError as problem:
        raise _no_overlay(f"{problem.strerror}", path) from problem
    if not is_application_name(app):
        raise _no_overlay("its marker names no application", path)
    return app


def _no_overlay(why: str, path: Path) -> OverlayNotOurs:
    return OverlayNotOurs(
        f"the directory is no overlay of airgap-import: {why}",
        where=str(path),
        next_step="name a directory that apply has written",
    )


def _check_marker(state: int, path: Path, app: str) -> None:
    marked = _marked(state, path)
    if marked != app:
        raise not_ours(f"belongs to the application {marked[:100]!r}", path)


def _marked(state: int, path: Path) -> str:
    """The application that the marker names."""
    where = f"{path}/{STATE}/{MARKER}"
    if kind_of(state, MARKER) != "other":
        raise not_ours("has a marker that is no file", path)
    marker = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=state)
    with os.fdopen(marker, "rb") as file:
        text = file.read(_LARGEST_MARKER)
    fields = Fields(parse_json(text, where, OverlayNotOurs), where, OverlayNotOurs)
    if fields.count("format") != FORMAT:
        fields.refuse("the overlay was made by another version of this tool", "format")
    if fields.text("tool") != _TOOL:
        fields.refuse("the overlay was made by another tool", "tool")
    return fields.text("app")


def check_places(folder: int, path: Path) -> None:
    """Raise OverlayNotOurs where a link or a file stands instead of a directory of ours."""
    for place in _OURS:
        if _kind_below(folder, place) == "other":
            raise not_ours(f"has something else than a directory at {place}", path)


def _kind_below(folder: int, place: str) -> str:
    """As kind_of, for a path of several names; never through a link."""
    parent, _, name = place.rpartition("/")
    if not parent:
        return kind_of(folder, name)
    kind = kind_of(folder, parent)
    if kind != "directory":
        return "absent"
    with ExitStack() as stack:
        return kind_of(opened(stack, folder, parent), name)


def not_ours(what: str, path: Path) -> OverlayNotOurs:
    """The error that says why a directory is left alone."""
    return OverlayNotOurs(
        f"the directory {what}",
        where=str(path),
        next_step="choose an empty or new directory",
    )
