"""References in texts: by their form, by the name they stand under, by the command that pulls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from airgap_shared.kube.imagecommands import find_pulled, find_targets
from airgap_shared.kube.imagenames import (
    is_simple_image_name,
    names_image,
    speaks_of_image,
    speaks_of_repository,
)
from airgap_shared.kube.imagerules import NAMED, REPOSITORY
from airgap_shared.kube.imagetokens import (
    Finding,
    find_full_references,
    is_placeholder,
    names_registry,
    placeholder_reason,
    read_reference,
    scheme_length,
)
from airgap_shared.kube.uses import Verdict

# Every pattern here reads a text once, without going back: the texts may be hostile.
_LIST_TOKEN = re.compile(r"(?:\{\{[^{}]{0,200}\}\}|[^\s,;=\"'\[\]])+")
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]{1,100})[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
    r"(?P<value>[^\s\"'`;=()\[\]{}<>|\\$]{1,2000})"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://")
_PART = re.compile(r"[^,]+")
_WORDS_THAT_SET: Final = frozenset(
    {
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "none",
        "always",
        "never",
        "ifnotpresent",
        "auto",
        "default",
        "enabled",
        "disabled",
        "latest",
    }
)
_NEAR: Final = 80
_LONGEST_LINE: Final = 1000
_DIGITS = re.compile(r"[0-9.]+")
_BUILD_FLAGS: Final = frozenset({"t", "tag", "destination"})
_NO_REPOSITORY_HOSTS: Final = frozenset(
    {"git", "gitlab", "github", "bitbucket", "charts", "helm", "maven", "pypi", "npm", "repo"}
)
TARGET_REASON: Final = "what a build makes, not what it needs"
PATTERN_REASON: Final = "a pattern of names, not an image"
_PORT_REASON: Final = "a host and its port"
_URL_REASON: Final = "written like an image behind a scheme that is none of an image"
_COMMENT_REASON: Final = "a comment"
_WORD_REASON: Final = "a single word under a name that may mean something else"
_NO_TAG_REASON: Final = "a repository; its tag is said elsewhere or by the program"


def find_references(text: str, name: str = "", *, variable: bool = False) -> tuple[Finding, ...]:
    """The references in a text that stands under ``name``, in order, none overlapping.

    ``name`` is the key, variable, flag or parameter that the text belongs to; ``variable`` says
    that it is not the key of a field.
    """
    sources: list[Callable[[], Iterator[Finding]]] = [
        lambda: _named(text, name),
        lambda: find_full_references(text),
        lambda: _assigned(text),
        lambda: find_pulled(text, is_plausible),
        lambda: _repositories(text, name, variable=variable),
    ]
    found: list[Finding] = []
    taken = bytearray()
    for source in sources:
        for finding in source():
            taken = taken or bytearray(len(text))
            if not any(taken[finding.start : finding.end]):
                taken[finding.start : finding.end] = b"\1" * len(finding.text)
                found.append(finding)
    found.sort(key=lambda finding: finding.start)
    is_target = variable and name in _BUILD_FLAGS
    return tuple(_in_context(text, found, is_target=is_target)) if found else ()


def _in_context(text: str, found: list[Finding], *, is_target: bool) -> Iterator[Finding]:
    """The findings, with those that a comment holds or a build makes told apart."""
    targets = find_targets(text)
    for finding in found:
        if is_target or finding.text in targets:
            yield replace(finding, verdict=Verdict.IGNORED, reason=TARGET_REASON)
        elif _in_comment(text, finding.start):
            yield replace(finding, verdict=Verdict.IGNORED, reason=_COMMENT_REASON)
        else:
            yield finding


def _in_comment(text: str, start: int) -> bool:
    nearest = max(0, start - _LONGEST_LINE)
    begin = text.rfind("\n", nearest, start) + 1
    if not begin and nearest:
        return False
    before = text[begin : min(start, begin + _NEAR)].lstrip()
    return before.startswith(("#", "//"))


def _named(text: str, name: str) -> Iterator[Finding]:
    """The values of a field whose name speaks of an image: one, or a list or map of them."""
    if not speaks_of_image(name) or any(" " in line.strip() for line in text.split("\n")):
        if names_image(name) and is_placeholder(text):
            yield _unsure(text, 0, placeholder_reason(text))
        return
    tokens = list(_LIST_TOKEN.finditer(text))
    for match in tokens:
        skipped = scheme_length(match.group())
        token, start = match.group()[skipped:], match.start() + skipped
        if is_placeholder(token):
            if names_image(name):
                yield _unsure(token, start, placeholder_reason(token))
        elif is_plausible(token, bare=names_image(name) and len(tokens) == 1):
            yield _judged(token, start, name)
        else:
            yield from _near_misses(token, start)


def _near_misses(token: str, start: int) -> Iterator[Finding]:
    url = _URL.match(token)
    if _is_pattern(token):
        yield _ignored(token, start, PATTERN_REASON)
    elif _is_host_and_port(token):
        yield _ignored(token, start, _PORT_REASON)
    elif url is not None and _has_version(token[url.end() :]):
        yield _unsure(token, start, _URL_REASON)


def _has_version(text: str) -> bool:
    reference = read_reference(text)
    return reference is not None and bool(reference.tag or reference.digest)


def _judged(token: str, start: int, name: str) -> Finding:
    has_tag = "@" in token or ":" in token.rpartition("/")[2]
    if not has_tag and "/" not in token and not is_simple_image_name(name):
        return _unsure(token, start, _WORD_REASON)
    if not has_tag and speaks_of_repository(name):
        return _unsure(token, start, _NO_TAG_REASON)
    return Finding(token, start, start + len(token), NAMED, NAMED.why)


def _unsure(token: str, start: int, reason: str) -> Finding:
    return Finding(token, start, start + len(token), NAMED, reason, Verdict.UNDECIDED)


def _ignored(token: str, start: int, reason: str) -> Finding:
    return Finding(token, start, start + len(token), NAMED, reason, Verdict.IGNORED)


def _is_pattern(token: str) -> bool:
    return "*" in token and (len(token) == 1 or "/" in token or ":" in token)


def _is_host_and_port(token: str) -> bool:
    host, colon, port = token.partition(":")
    return bool(colon) and port.isdigit() and read_reference(host) is not None


def is_plausible(token: str, *, bare: bool) -> bool:
    """Whether a text under a name that speaks of images is one; ``bare`` admits single words."""
    reference = read_reference(token)
    if reference is None or reference.repository.removeprefix("library/") in _WORDS_THAT_SET:
        return False
    if _DIGITS.fullmatch(token):
        return False
    if "/" not in token and "@" not in token:
        return bare or (reference.tag is not None and not reference.tag.isdigit())
    return True


def _assigned(text: str) -> Iterator[Finding]:
    """``--some-image=x``, ``SOME_IMAGES=x,y`` and ``image: x`` inside a longer text."""
    for match in _ASSIGNMENT.finditer(text):
        if not speaks_of_image(match["name"]):
            continue
        bare = _is_setting(match, text)
        for part in _PART.finditer(match["value"]):
            value, start = part.group().rstrip(".:"), match.start("value") + part.start()
            if is_plausible(value, bare=bare):
                yield _judged_setting(value, start, match["name"], text)


def _judged_setting(value: str, start: int, name: str, text: str) -> Finding:
    """A word behind ``image =`` in a program is one only when nothing follows it there."""
    finding = _judged(value, start, name)
    is_word = "/" not in value and ":" not in value and "@" not in value
    if is_word and not _is_yaml_line(text, start):
        return _unsure(value, start, _WORD_REASON)
    return finding


def _is_yaml_line(text: str, start: int) -> bool:
    before = text[max(0, start - _NEAR) : start].rpartition("\n")[2]
    return ":" in before and "=" not in before


def _is_setting(match: re.Match[str], text: str) -> bool:
    """Whether ``name: word`` stands alone on its line, as in a configuration, not in prose."""
    rest = text[match.end() : match.end() + _NEAR].partition("\n")[0]
    before = text[max(0, match.start() - _NEAR) : match.start()].rpartition("\n")[2]
    return (
        names_image(match["name"]) and not before.strip(" \t-\"'{") and not rest.strip(" \t\"',}")
    )


def _repositories(text: str, name: str, *, variable: bool) -> Iterator[Finding]:
    if not speaks_of_repository(name):
        return
    for match in _LIST_TOKEN.finditer(text):
        token = match.group()
        if not names_registry(token) or read_reference(token) is None:
            continue
        finding = Finding(token, match.start(), match.end(), REPOSITORY, REPOSITORY.why)
        if variable and _is_deep(token):
            yield finding
        else:
            yield replace(finding, verdict=Verdict.UNDECIDED, reason=_NO_TAG_REASON)


def _is_deep(token: str) -> bool:
    """``host/owner/name``, and the host is not one that serves source code or packages."""
    host = token.partition("/")[0]
    return token.count("/") > 1 and _NO_REPOSITORY_HOSTS.isdisjoint(host.split("."))
