"""What a disk may hold after a power cut, told from the system calls of a run up to then.

The model: a directory is a table of names, a file is its content. A change of names (a name made,
removed or moved; two names exchanged) happens whole or not at all, as journals of file systems
have it, and for certain once a directory it touches was synced. Content is there for certain once
the file was synced; before, it is old, new or cut short. Changes that are not certain may be there
or not, each for itself, in whatever order they were made.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.injection import Call

#: What strace has to record.
CALLS = (
    "fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,rmdir,unlink,unlinkat,openat,write,"
    "pwrite64,ftruncate"
)
Tree = dict[str, "Tree | bytes"]
_ROOT = 0
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\.\.\.)?')
_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>")
_RESULT = re.compile(r"\) += (-?\d+)")


@dataclass(frozen=True, slots=True)
class _Names:
    """Names that change together: the node each stands for from now on, none where it is gone."""

    entries: Mapping[tuple[int, str], int | None]

    @property
    def folders(self) -> set[int]:
        return {folder for folder, _ in self.entries}


@dataclass(frozen=True, slots=True)
class _Content:
    """A file's new content."""

    node: int
    content: bytes


@dataclass
class _Disk:
    """Nodes by number: folders by their names, files by their content."""

    folders: dict[int, dict[str, int]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> _Disk:
        return _Disk({n: dict(names) for n, names in self.folders.items()}, dict(self.files))

    def apply(self, change: _Names | _Content) -> None:
        if isinstance(change, _Content):
            self.files[change.node] = change.content
            return
        for (folder, name), node in change.entries.items():
            if node is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = node

    def tree(self, node: int = _ROOT) -> Tree:
        return {
            name: self.tree(child) if child in self.folders else self.files[child]
            for name, child in sorted(self.folders[node].items())
        }


class Recording:
    """A run's calls, applied one by one to what was in a folder before it."""

    def __init__(self, folder: Path, before: Tree) -> None:
        self._folder = str(folder)
        self._now = _Disk({_ROOT: {}})
        self._nodes = 1
        self._take(_ROOT, before)
        self._certain = self._now.copy()
        self._pending: list[_Names | _Content] = []

    @property
    def now(self) -> Tree:
        """What is there if the power does not fail."""
        return self._now.tree()

    def states(self, calls: Sequence[Call], tries: int, chance: random.Random) -> Iterator[Tree]:
        """What may be there if the power fails before, between or after the calls.

        At each moment up to ``tries`` of the possibilities: nothing uncertain is there, all of
        it, and others at random.
        """
        yield self._certain.tree()
        for call in calls:
            results = _RESULT.findall(call.rest)
            if results and int(results[-1]) >= 0:
                self._do(call.name, call.rest)
                yield from self._possible(tries, chance)

    def _possible(self, tries: int, chance: random.Random) -> Iterator[Tree]:
        yield self._certain.tree()
        yield self._now.tree()
        for _ in range(tries if self._pending else 0):
            disk = self._certain.copy()
            for change in self._pending:
                if chance.random() < 0.5:
                    disk.apply(_cut(change, disk, chance))
            yield disk.tree()

    def _do(self, call: str, rest: str) -> None:
        # Content may look like anything; the arguments before it do not.
        folders = _FOLDER.findall(rest)
        texts = [ast.literal_eval(f'b"{text}"') for text in _TEXT.findall(rest)]
        match call:
            case "fsync" | "fdatasync":
                self._sync(self._node(folders[0]))
            case "write" | "pwrite64" | "ftruncate":
                self._write(call, rest, self._node(folders[0]), texts)
            case "openat":
                self._open(self._place(folders[0], texts[0].decode()), rest)
            case _:
                places = [
                    self._place(folders[number] if folders else self._folder, text.decode())
                    for number, text in enumerate(texts)
                ]
                self._rename(call, rest, places)

    def _rename(self, call: str, rest: str, places: Sequence[tuple[int, str] | None]) -> None:
        if places[0] is None:
            return
        if "mkdir" in call:
            self._make(places[0], folder=True)
        elif "rename" in call:
            assert places[1] is not None, "moved out of sight"
            first, second = (self._lookup(*place) for place in places if place is not None)
            left = second if "RENAME_EXCHANGE" in rest else None
            self._change(_Names({places[0]: left, places[1]: first}))
        else:
            self._change(_Names({places[0]: None}))

    def _open(self, place: tuple[int, str] | None, rest: str) -> None:
        if place is None or "O_CREAT" not in rest:
            return
        node = self._lookup(*place)
        if node is None:
            self._make(place, folder=False)
        elif "O_TRUNC" in rest:
            self._change(_Content(node, b""))

    def _write(self, call: str, rest: str, node: int | None, texts: Sequence[bytes]) -> None:
        if node is None:
            return
        content = self._now.files[node]
        if call == "ftruncate":
            length = re.search(r">, (\d+)\)", rest)
            assert length is not None
            content = content[: int(length[1])]
        else:
            # Everything is written at the end, but for the lock, which is emptied before.
            content += texts[0]
        self._change(_Content(node, content))

    def _make(self, place: tuple[int, str], *, folder: bool) -> None:
        node, self._nodes = self._nodes, self._nodes + 1
        for disk in (self._now, self._certain):
            if folder:
                disk.folders[node] = {}
            else:
                disk.files[node] = b""
        self._change(_Names({place: node}))

    def _change(self, change: _Names | _Content) -> None:
        self._now.apply(change)
        self._pending.append(change)

    def _sync(self, node: int | None) -> None:
        """Make certain what concerns a file or folder."""
        left: list[_Names | _Content] = []
        for change in self._pending:
            about = change.folders if isinstance(change, _Names) else {change.node}
            if node in about:
                self._certain.apply(change)
            else:
                left.append(change)
        self._pending = left

    def _node(self, path: str) -> int | None:
        """The node at a path; none for what is not in the folder."""
        if path == self._folder:
            return _ROOT
        place = self._place(self._folder, path)
        return None if place is None else self._lookup(*place)

    def _place(self, folder: str, name: str) -> tuple[int, str] | None:
        """The folder's node and the name in it; none for what is not in our folder."""
        path = name if name.startswith("/") else f"{folder}/{name}"
        if not path.startswith(f"{self._folder}/"):
            return None
        node = _ROOT
        *parents, last = path.removeprefix(f"{self._folder}/").split("/")
        for parent in parents:
            below = self._lookup(node, parent)
            if below is None:
                return None
            node = below
        return node, last

    def _lookup(self, folder: int, name: str) -> int | None:
        return self._now.folders.get(folder, {}).get(name)

    def _take(self, node: int, tree: Tree) -> None:
        for name, value in tree.items():
            child, self._nodes = self._nodes, self._nodes + 1
            self._now.folders[node][name] = child
            if isinstance(value, dict):
                self._now.folders[child] = {}
                self._take(child, value)
            else:
                self._now.files[child] = value


def _cut(change: _Names | _Content, disk: _Disk, chance: random.Random) -> _Names | _Content:
    """The same, or only a part of what was added to a file."""
    if isinstance(change, _Names) or chance.random() < 0.5:
        return change
    before = len(disk.files[change.node])
    if len(change.content) <= before:
        return change
    return _Content(change.node, change.content[: chance.randint(before, len(change.content))])


def read_tree(folder: Path) -> Tree:
    """A folder as it is."""
    return {
        path.name: read_tree(path) if path.is_dir() else path.read_bytes()
        for path in folder.iterdir()
    }


def write_tree(folder: Path, tree: Tree) -> None:
    """Make a folder like that."""
    folder.mkdir()
    for name, value in tree.items():
        if isinstance(value, dict):
            write_tree(folder / name, value)
        else:
            (folder / name).write_bytes(value)
