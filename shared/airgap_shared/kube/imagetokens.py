"""References inside a text: which parts are written like one, and where they begin and end.

Bare words and ``namespace/name`` are never taken from a text that gives no hint: that is where
labels, API groups, roles, media types and services with ports live.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airgap_shared.errors import AirgapError
from airgap_shared.kube.imagenames import names_image, speaks_of_image, speaks_of_repository
from airgap_shared.kube.imagerules import COMMAND, DIGEST, FULL, NAMED, REPOSITORY, URL, Rule
from airgap_shared.oci.reference import Reference, parse_reference

# Every pattern here reads a text once, without going back: the texts may be hostile.
_TOKEN = re.compile(r"[^\s\"'`,;=()\[\]{}<>|\\]+")
_LIST_TOKEN = re.compile(r"(?:\{\{[^{}]{0,200}\}\}|[^\s,;=\"'\[\]])+")
_TEMPLATE = re.compile(r"\{\{|\$\(|\$\{|\$[A-Za-z_]|^ko://|^<[^<>]*>$|%[sv]")
_TEMPLATED_TAG = re.compile(r"(?:\$?\{[^\s\"'`]{0,200}\}|\$\([^\s\"'`()]{0,200}\))")
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]{1,100})[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
    r"(?P<value>[^\s\"'`;=()\[\]{}<>|\\$]{1,2000})"
)
_PART = re.compile(r"[^,]+")
_RUN = re.compile(
    r"\b(?:docker|podman|nerdctl|crictl)[ \t]+(?:run|pull|create)[ \t]+([^\n;|&]{1,600})"
)
_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--platform=\S+[ \t]+)?([^\s]{1,600})", re.MULTILINE)
_VALUE_FLAGS = frozenset(
    {
        "-v",
        "-e",
        "-p",
        "-w",
        "-u",
        "-h",
        "-l",
        "-m",
        "--name",
        "--network",
        "--net",
        "--volume",
        "--env",
        "--publish",
        "--workdir",
        "--user",
        "--entrypoint",
        "--mount",
        "--hostname",
        "--label",
        "--platform",
        "--env-file",
        "--add-host",
        "--cpus",
        "--memory",
    }
)
_SCHEMES = ("docker://", "oci://")
_NO_REGISTRIES = frozenset(
    {"kubernetes.io", "k8s.io", "github.com", "gitlab.com", "bitbucket.org", "golang.org"}
)
_WORDS_THAT_SET = frozenset(
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
_NEAR = 80
_DIGITS = re.compile(r"[0-9.]+")
PLACEHOLDER_REASON = "a template that something replaces later"


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a text that may be a reference, and the rule that says so."""

    text: str
    start: int
    end: int
    rule: Rule
    reason: str


def is_placeholder(text: str) -> bool:
    """Whether a program or person has to fill something in before this is a reference."""
    return text == "auto" or _TEMPLATE.search(text) is not None


def read_reference(text: str) -> Reference | None:
    """The reference that a text is, ``docker://`` and ``oci://`` aside; None if it is none."""
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    try:
        return parse_reference(text)
    except AirgapError:
        return None


def find_references(text: str, name: str = "") -> tuple[Finding, ...]:
    """The references in a text that stands under ``name``, in order, none overlapping.

    ``name`` is the key, variable, flag or parameter that the text belongs to.
    """
    sources: list[Callable[[], Iterator[Finding]]] = [
        lambda: _named(text, name),
        lambda: find_full_references(text),
        lambda: _assigned(text),
        lambda: _commands(text),
        lambda: _repositories(text, name),
    ]
    found: list[Finding] = []
    taken = bytearray()
    for source in sources:
        for finding in source():
            taken = taken or bytearray(len(text))
            if not any(taken[finding.start : finding.end]):
                taken[finding.start : finding.end] = b"\1" * len(finding.text)
                found.append(finding)
    return tuple(sorted(found, key=lambda finding: finding.start))


def find_full_references(text: str) -> Iterator[Finding]:
    """Parts that are references by their form alone: a registry and a tag or digest, or a URL."""
    if "/" not in text and "@sha" not in text:
        return
    for match in _TOKEN.finditer(text):
        token = match.group().rstrip(".:$")
        if ("/" in token or "@" in token) and (":" in match.group() or "@" in token):
            finding = _full(text, match.start(), token)
            if finding is not None:
                yield finding


def _full(text: str, start: int, token: str) -> Finding | None:
    end = start + len(token)
    if "@" in token:
        # user@host and e-mail addresses are not references; name@sha256:... is.
        name = token.partition("@")[0]
        rule = FULL if "/" in name else DIGEST
    else:
        rule = FULL
    if token.startswith(_SCHEMES):
        rule = URL
    reference = read_reference(token)
    if reference is None:
        return None
    if rule is FULL and not _names_registry(token):
        rule = DIGEST
    if rule is URL or (rule is DIGEST and reference.digest) or _is_full(reference):
        return Finding(token, start, end, rule, rule.why)
    template = _TEMPLATED_TAG.match(text, end + 1) if text[end : end + 1] == ":" else None
    if template is not None and _names_registry(token) and reference.tag is None:
        return Finding(
            text[start : template.end()], start, template.end(), rule, PLACEHOLDER_REASON
        )
    return None


def _is_full(reference: Reference) -> bool:
    return _names_registry(reference.literal) and bool(reference.tag or reference.digest)


def _names_registry(text: str) -> bool:
    """Whether the first part of a path is a host: it has a dot, a port, or is localhost."""
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    host, slash, _ = text.partition("/")
    if not slash or host in _NO_REGISTRIES:
        return False
    return host == "localhost" or ":" in host or ("." in host and not host.startswith("."))


def _named(text: str, name: str) -> Iterator[Finding]:
    """The values of a field whose name speaks of an image: one, or a list or map of them."""
    if not speaks_of_image(name) or any(" " in line.strip() for line in text.split("\n")):
        if names_image(name) and is_placeholder(text):
            yield Finding(text, 0, len(text), NAMED, PLACEHOLDER_REASON)
        return
    tokens = list(_LIST_TOKEN.finditer(text))
    for match in tokens:
        token = match.group()
        if is_placeholder(token):
            if names_image(name):
                yield Finding(token, match.start(), match.end(), NAMED, PLACEHOLDER_REASON)
        elif is_plausible(token, bare=names_image(name) and len(tokens) == 1):
            yield Finding(token, match.start(), match.end(), NAMED, NAMED.why)


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
                yield Finding(value, start, start + len(value), NAMED, NAMED.why)


def _is_setting(match: re.Match[str], text: str) -> bool:
    """Whether ``name: word`` stands alone on its line, as in a configuration, not in prose."""
    rest = text[match.end() : match.end() + _NEAR].partition("\n")[0]
    before = text[max(0, match.start() - _NEAR) : match.start()].rpartition("\n")[2]
    return (
        names_image(match["name"]) and not before.strip(" \t-\"'{") and not rest.strip(" \t\"',}")
    )


def _commands(text: str) -> Iterator[Finding]:
    for match in _RUN.finditer(text):
        after_flag = ""
        for word in re.finditer(r"\S+", match.group(1)):
            if word.group().startswith("-") or after_flag in _VALUE_FLAGS:
                after_flag = "" if after_flag in _VALUE_FLAGS else word.group()
                continue
            yield from _command(word.group().strip("\"'"), match.start(1) + word.start())
            break
    for match in _FROM.finditer(text):
        yield from _command(match.group(1), match.start(1))


def _command(token: str, start: int) -> Iterator[Finding]:
    if token.lower() == token and is_plausible(token, bare=True):
        yield Finding(token, start, start + len(token), COMMAND, COMMAND.why)


def _repositories(text: str, name: str) -> Iterator[Finding]:
    if not speaks_of_repository(name):
        return
    for match in _LIST_TOKEN.finditer(text):
        token = match.group()
        if _names_registry(token) and read_reference(token) is not None:
            yield Finding(token, match.start(), match.end(), REPOSITORY, REPOSITORY.why)
