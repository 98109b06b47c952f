"""What import-linter cannot see: who prints, opens files, reads the environment and exits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("shared/airgap_shared", "bundler/airgap_bundler", "importer/airgap_importer")
CORE = tuple(ROOT / "shared/airgap_shared" / room for room in ("oci", "kube", "trust", "bundle"))
CONSOLE = ROOT / "shared/airgap_shared/console"
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base", "core"}
LINES = 420
#: One list on purpose: a reader looks up a name or an exit code in one place.
ERROR_TREE = "shared/airgap_shared/errors.py"

MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
#: What only a command line does.
TERMINAL = {"print", "input", "sys.exit", "sys.argv", "os.environ", "os.getenv", "exit", "quit"}
#: What the core never does; the import contracts forbid the modules behind the rest.
IMPURE = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def names_used(path: Path) -> Iterator[tuple[str, int]]:
    """Plain names and ``module.attribute`` that a module reads, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def found(path: Path, forbidden: set[str]) -> list[str]:
    return [
        f"{relative(path)}:{line}: {name}" for name, line in names_used(path) if name in forbidden
    ]


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 60
    assert all(room.is_dir() for room in CORE)


@pytest.mark.parametrize("room", CORE, ids=lambda room: room.name)
def test_the_core_neither_opens_nor_prints(room: Path) -> None:
    assert [line for path in room.rglob("*.py") for line in found(path, IMPURE)] == []


def test_only_the_command_lines_print_exit_and_read_the_environment() -> None:
    quiet = [path for path in MODULES if path.name != "cli.py" and CONSOLE not in path.parents]
    assert [line for path in quiet for line in found(path, TERMINAL)] == []


def test_modules_are_named_after_what_is_in_them() -> None:
    assert [relative(path) for path in MODULES if path.stem in NAMELESS] == []


def test_modules_stay_readable() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in MODULES}
    lengths.pop(ERROR_TREE)
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_every_module_says_what_it_is() -> None:
    assert [relative(p) for p in MODULES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_nobody_leaves_work_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    texts = {relative(path): path.read_text() for path in MODULES}
    assert [name for name, text in texts.items() if any(mark in text for mark in marks)] == []
