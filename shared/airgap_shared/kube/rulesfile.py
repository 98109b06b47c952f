"""The rules file: what a user checks in beside the manifests, read and checked as a whole.

docs/rules.md describes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from airgap_shared.errors import AirgapError, RulesInvalid
from airgap_shared.kube.pathpattern import PathPattern, parse_path_pattern
from airgap_shared.kube.ruleset import (
    DeclaredImage,
    IgnoredText,
    OwnField,
    OwnSplit,
    RuleSet,
    Scope,
)
from airgap_shared.kube.scalartokens import TokenTree
from airgap_shared.kube.uses import FieldPath, PieceRole
from airgap_shared.kube.yamltext import read_documents, read_text
from airgap_shared.oci.reference import parse_reference

FORMAT: Final = 1
_IGNORED: Final = "the rules file says that it is none"
_SECTIONS: Final = frozenset({"format", "images", "ignore", "fields", "split"})
_SCOPE: Final = frozenset({"kind", "group"})
_ROLES: Final = {role.value: role for role in PieceRole}
_Path = tuple[str | int, ...]
_Entry = TypeVar("_Entry")


def parse_rules(content: bytes, where: str) -> RuleSet:
    """Read a rules file.

    Raises:
        RulesInvalid: it is not one; every problem is named with its line.
        ManifestSourceInvalid, YamlTooDeep, YamlAliasLimit, YamlDuplicateKey, LimitExceeded,
            YamlTagUnsupported, TextEncodingInvalid: it is no YAML that is read here.

    """
    text = read_text(content, where)
    documents = [d.value for d in read_documents(text, where) if d.value is not None]
    if not documents:
        return RuleSet()
    reader = _Reader(where, text, TokenTree(text))
    if len(documents) > 1:
        reader.refuse((), "more than one document")
    rules = reader.rules(documents[0])
    if reader.problems:
        raise RulesInvalid(
            "the rules file has mistakes",
            where=where,
            details=reader.problems,
            next_step="docs/rules.md says what may stand in it",
        )
    return rules


@dataclass(slots=True)
class _Reader:
    """Reads one file and collects what is wrong with it."""

    where: str
    text: str
    tokens: TokenTree
    problems: list[str] = field(default_factory=list)

    def refuse(self, path: _Path, what: str) -> None:
        """Note a problem at a place of the file."""
        line = self._line(path)
        at = f"{self.where}:{line}" if line else self.where
        place = f" {FieldPath(path)}" if path else ""
        self.problems.append(f"{at}:{place} {what}")

    def _line(self, path: _Path) -> int:
        """The line of a scalar, counted from 1; 0 for anything else."""
        token = self.tokens.token(0, path)
        return self.text.count("\n", 0, token.span.start) + 1 if token is not None else 0

    def rules(self, document: object) -> RuleSet:
        """The whole file."""
        mapping = self._mapping(document, (), _SECTIONS)
        if mapping.get("format") != FORMAT:
            self.refuse(("format",), f"must be {FORMAT}")
        return RuleSet(
            tuple(self._entries(mapping, "images", self._image)),
            tuple(self._entries(mapping, "ignore", self._ignored)),
            tuple(self._entries(mapping, "fields", self._field)),
            tuple(self._entries(mapping, "split", self._split)),
        )

    def _entries(
        self,
        mapping: Mapping[str, object],
        section: str,
        read: Callable[[object, _Path], _Entry | None],
    ) -> list[_Entry]:
        entries = mapping.get(section)
        if entries is None:
            return []
        if not isinstance(entries, list):
            self.refuse((section,), "must be a list")
            return []
        found = [read(entry, (section, number)) for number, entry in enumerate(entries)]
        return [entry for entry in found if entry is not None]

    def _mapping(self, value: object, path: _Path, keys: frozenset[str]) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            self.refuse(path, "must be a mapping")
            return {}
        for key in value:
            if key not in keys:
                self.refuse((*path, key), f"unknown; known are {', '.join(sorted(keys))}")
        return value

    def _text(self, mapping: Mapping[str, object], key: str, path: _Path) -> str:
        value = mapping.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value:
            self.refuse((*path, key), "must be text")
            return ""
        return value

    def _image(self, entry: object, path: _Path) -> DeclaredImage | None:
        reason = ""
        text = entry if isinstance(entry, str) else ""
        if not isinstance(entry, str):
            mapping = self._mapping(entry, path, frozenset({"image", "reason"}))
            text, reason = self._text(mapping, "image", path), self._text(mapping, "reason", path)
        at = path if isinstance(entry, str) else (*path, "image")
        try:
            parse_reference(text)
        except AirgapError as problem:
            self.refuse(at, problem.what)
            return None
        return DeclaredImage(text, reason, self._line(at))

    def _ignored(self, entry: object, path: _Path) -> IgnoredText | None:
        mapping = self._mapping(entry, path, frozenset({"text", "place", "reason"}))
        text, place = self._text(mapping, "text", path), self._text(mapping, "place", path)
        reason = self._text(mapping, "reason", path)
        if not (text or place):
            self.refuse(path, "needs a text or a place")
            return None
        if not reason:
            self.refuse(path, "needs a reason")
        return IgnoredText(text, place, reason or _IGNORED)

    def _scope(self, mapping: Mapping[str, object], path: _Path) -> Scope:
        group = self._text(mapping, "group", path) if mapping.get("group") else None
        return Scope(self._text(mapping, "kind", path), group)

    def _field(self, entry: object, path: _Path) -> OwnField | None:
        mapping = self._mapping(entry, path, _SCOPE | {"path"})
        pattern = self._pattern(mapping, "path", path)
        if pattern is None:
            if not mapping.get("path"):
                self.refuse(path, "needs a path")
            return None
        return OwnField(pattern, self._scope(mapping, path))

    def _pattern(self, mapping: Mapping[str, object], key: str, path: _Path) -> PathPattern | None:
        text = self._text(mapping, key, path)
        if not text:
            return None
        try:
            return parse_path_pattern(text)
        except ValueError as problem:
            self.refuse((*path, key), str(problem))
            return None

    def _split(self, entry: object, path: _Path) -> OwnSplit | None:
        mapping = self._mapping(entry, path, _SCOPE | _ROLES.keys())
        found = {
            role: pattern
            for name, role in _ROLES.items()
            if (pattern := self._pattern(mapping, name, path)) is not None
        }
        lead = found.get(PieceRole.REPOSITORY) or found.get(PieceRole.NAME)
        if lead is None:
            self.refuse(path, "needs a repository or a name")
            return None
        if any("**" in pattern.text for pattern in found.values()):
            self.refuse(path, "** cannot be used here")
            return None
        ordered = sorted(found.items(), key=lambda item: item[1] is not lead)
        return OwnSplit(tuple(ordered), self._scope(mapping, path))
