"""The list of adversarial cases, and which test proves which."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: ``@pytest.mark.case("B05")`` for a test whose name does not say so.
MARK = "case"
TESTS = Path(__file__).parents[1]
_LIST = TESTS / "adversarial" / "cases.toml"
_NOT_BUILT = "not-built"
_FUNCTION = re.compile(r"test_((?:[a-l]\d\d_)+)")
_CLASS = re.compile(r"Test((?:[A-L]\d\d)+)")
_ID = re.compile(r"[A-L]\d\d", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that an attacker or bad luck may do, and what must come of it.

    ``not_built`` says why it cannot be tried yet; empty when it can.
    """

    id: str
    about: str
    not_built: str = ""

    @property
    def group(self) -> str:
        """The letter of its group."""
        return self.id[0]


@dataclass(frozen=True, slots=True)
class CaseList:
    """All cases in order, and the titles of their groups by letter."""

    cases: tuple[Case, ...]
    titles: Mapping[str, str]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all cases."""
        return frozenset(case.id for case in self.cases)


@functools.cache
def load_cases() -> CaseList:
    """The list as it is in the test tree."""
    document = tomllib.loads(_LIST.read_text())
    not_built = document.pop(_NOT_BUILT)
    cases = tuple(
        Case(id, about, not_built.get(id, ""))
        for group in document.values()
        for id, about in group["cases"].items()
    )
    return CaseList(cases, {letter: group["title"] for letter, group in document.items()})


def cases_in_name(name: str) -> frozenset[str]:
    """The cases that the name of a test function or class begins with."""
    match = _FUNCTION.match(name) or _CLASS.match(name)
    return frozenset(one.upper() for one in _ID.findall(match[1])) if match else frozenset()


def cases_in_node(node_id: str) -> frozenset[str]:
    """The cases that the names in ``file::class::function[parameters]`` tell."""
    names = node_id.partition("[")[0].split("::")[1:]
    return frozenset().union(*map(cases_in_name, names))


@functools.cache
def proved_cases(folder: Path = TESTS) -> frozenset[str]:
    """The cases that some test in the tree proves, by its name, its class or a mark."""
    return frozenset(
        case for path in sorted(folder.rglob("test_*.py")) for case in _cases_in_file(path)
    )


def _cases_in_file(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.ClassDef) and _has_tests(node)
        ):
            yield from cases_in_name(node.name)
        elif isinstance(node, ast.Call) and _is_mark(node.func):
            yield from _texts(node.args)


def _has_tests(node: ast.ClassDef) -> bool:
    return any(
        isinstance(inner, ast.FunctionDef) and inner.name.startswith("test_") for inner in node.body
    )


def _is_mark(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and ast.unparse(function) == f"pytest.mark.{MARK}"


def _texts(arguments: Iterable[ast.expr]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
