"""Writing, checking and swapping directories so that a crash leaves them old or new.

Everything works on names below an open directory and follows no symbolic link.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from airgap_shared.bundle.names import is_safe_component

PARTIAL = ".partial"
ASIDE = ".aside"

_DEEPEST = 16
_OUR_DEPTH = 4
_RENAME_EXCHANGE = 2  # renameat2(2)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_TO_BE_HAD = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})

# A directory to be written: its files as bytes, its directories as trees.
Tree = dict[str, "bytes | Tree"]


def _is_safe(path: str, deepest: int) -> bool:
    parts = path.split("/")
    return len(parts) <= deepest and all(map(is_safe_component, parts))


def tree_of(files: Mapping[str, bytes]) -> Tree:
    """Files by relative path as a tree.

    Raises:
        ValueError: a path is not safe, or is both a file and a directory; it says which.

    """
    root: Tree = {}
    for path, content in files.items():
        if not _is_safe(path, _DEEPEST + _OUR_DEPTH):
            raise ValueError(f"{path[:200]!r} is no safe path")
        *parents, name = path.split("/")
        folder = root
        for parent in parents:
            below = folder.setdefault(parent, {})
            if isinstance(below, bytes):
                raise ValueError(f"{path!r} lies below a file")
            folder = below
        if name in folder:
            raise ValueError(f"{path!r} is both a file and a directory")
        folder[name] = content
    return root


def write_tree(parent: int, name: str, tree: Tree) -> None:
    """Make a new directory with everything in it, on the disk when this returns (fsync)."""
    os.mkdir(name, dir_fd=parent)
    folder = open_directory(parent, name)
    try:
        for child, content in tree.items():
            if isinstance(content, bytes):
                write_file(folder, child, content)
            else:
                write_tree(folder, child, content)
        sync(folder)
    finally:
        os.close(folder)


def make_directories(path: Path) -> None:
    """Make a directory and those above it that are missing, their names on the disk afterwards."""
    if path.is_dir():
        return
    make_directories(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the names in the directory at a path on the disk, where we may read it."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        sync(folder)
    finally:
        os.close(folder)


def write_file(parent: int, name: str, content: bytes) -> None:
    """Make a new file, its content on the disk when this returns."""
    with os.fdopen(os.open(name, _NEW_FILE, 0o644, dir_fd=parent), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(parent: int, name: str, content: bytes) -> None:
    """Write a file whole or not at all: old or new, on the disk when this returns."""
    partial = name + PARTIAL
    remove(parent, partial)
    write_file(parent, partial, content)
    os.replace(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
    sync(parent)


def replace_tree(parent: int, name: str, tree: Tree) -> None:
    """Put a directory in the place of what is there, whole; an empty one is not written at all."""
    partial = name + PARTIAL
    if not tree and kind_of(parent, name) == "absent":
        return
    remove(parent, partial)
    if not tree:
        remove(parent, name)
    else:
        write_tree(parent, partial, tree)
        if kind_of(parent, name) == "directory":
            exchange(parent, partial, parent, name)
        else:
            remove(parent, name)
            os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
        remove(parent, partial)
    sync(parent)


def remove(parent: int, name: str) -> None:
    """Remove a file, a link or a whole directory; nothing where there is nothing."""
    match kind_of(parent, name):
        case "directory":
            shutil.rmtree(name, dir_fd=parent)
        case "other":
            os.unlink(name, dir_fd=parent)


def sync(folder: int) -> None:
    """Have the names in a directory on the disk, on file systems that can promise it."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise


def names_in(folder: int) -> set[str]:
    """The names in an open directory."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def open_directory(parent: int, name: str) -> int:
    """Open a directory that is no symbolic link."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def opened(stack: ExitStack, parent: int, name: str) -> int:
    """Open a directory that is no symbolic link until the stack ends."""
    folder = open_directory(parent, name)
    stack.callback(os.close, folder)
    return folder


def kind_of(parent: int, name: str) -> str:
    """``absent``, ``directory``, or ``other`` (a file, a symbolic link, ...)."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return "absent"
    return "directory" if stat.S_ISDIR(mode) else "other"


def exchange(parent: int, name: str, other_parent: int, other: str) -> None:
    """Swap two existing names in one step, or in three where the kernel cannot."""
    try:
        _exchange_at_once(parent, name, other_parent, other)
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise
        exchange_by_renames(parent, name, other_parent, other)


def exchange_by_renames(parent: int, name: str, other_parent: int, other: str) -> None:
    """Swap two existing names in three steps; for a moment ``other`` is not there."""
    aside = name + ASIDE
    os.rename(other, aside, src_dir_fd=other_parent, dst_dir_fd=parent)
    try:
        os.rename(name, other, src_dir_fd=parent, dst_dir_fd=other_parent)
    except OSError:
        os.rename(aside, other, src_dir_fd=parent, dst_dir_fd=other_parent)
        raise
    os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)


def _exchange_at_once(parent: int, name: str, other_parent: int, other: str) -> None:
    renameat2: Callable[..., int] | None = getattr(
        ctypes.CDLL(None, use_errno=True), "renameat2", None
    )
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    done = renameat2(
        ctypes.c_int(parent),
        os.fsencode(name),
        ctypes.c_int(other_parent),
        os.fsencode(other),
        ctypes.c_uint(_RENAME_EXCHANGE),
    )
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), other)
