"""References by their form: which parts of a text are written like one, where they begin and end.

Bare words and ``namespace/name`` are never taken from a text that gives no hint: that is where
labels, API groups, roles, media types and services with ports live.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from airgap_shared.errors import AirgapError
from airgap_shared.kube.imagerules import DIGEST, FULL, URL, Rule
from airgap_shared.kube.uses import Verdict
from airgap_shared.oci.reference import Reference, parse_reference

# Every pattern here reads a text once, without going back: the texts may be hostile.
_TOKEN = re.compile(r"[^\s\"'`,;=()\[\]{}<>|\\]+")
_TEMPLATE = re.compile(r"\{\{|\$\(|\$\{|\$[A-Za-z_]|^<[^<>]*>$|%[sv]|^ko://")
_TEMPLATED_TAG = re.compile(r"(?:\$?\{[^\s\"'`]{0,200}\}|\$\([^\s\"'`()]{0,200}\))")
_SCHEME = re.compile(r"(?:docker|oci(?:\+[a-z]{1,20})?)://")
_KO: Final = "ko://"
_LABEL_HOSTS: Final = frozenset({"kubernetes.io", "k8s.io"})
_CODE_HOSTS: Final = frozenset({"github.com", "gitlab.com", "bitbucket.org", "golang.org"})
# Tags that are words; other words behind a colon are often values of labels.
_TAG_WORDS: Final = re.compile(
    r"latest|main|master|stable|edge|nightly|dev|devel|develop|head|tip|canary|unstable"
    r"|release|rc|beta|alpha|testing|test|debug|nonroot|slim|alpine|current|prod|production",
    re.IGNORECASE,
)
PLACEHOLDER_REASON: Final = "a template that something replaces later"
BUILT_BY_KO_REASON: Final = "ko builds it from source code when the manifest is published"
_LABEL_REASON: Final = "a label or annotation, not an image"
_CODE_REASON: Final = "a path in a source code repository"
_WORD_REASON: Final = "written like a reference, but also like a label and its value"
_NO_VERSION_REASON: Final = "an artifact in a registry whose version is not said here"


@dataclass(frozen=True, slots=True)
class Finding:
    """A part of a text that may be a reference, the rule that says so, and what speaks for it."""

    text: str
    start: int
    end: int
    rule: Rule
    reason: str
    verdict: Verdict = Verdict.IMAGE


def is_placeholder(text: str) -> bool:
    """Whether a program or person has to fill something in before this is a reference."""
    return text == "auto" or _TEMPLATE.search(text) is not None


def placeholder_reason(text: str) -> str:
    """What kind of placeholder a text is."""
    return BUILT_BY_KO_REASON if text.startswith(_KO) else PLACEHOLDER_REASON


def scheme_length(text: str) -> int:
    """How many characters of a URL come before the reference; 0 when it is no such URL."""
    match = _SCHEME.match(text)
    return match.end() if match is not None else 0


def read_reference(text: str) -> Reference | None:
    """The reference that a text is, ``docker://`` and ``oci://`` aside; None if it is none."""
    try:
        return parse_reference(text[scheme_length(text) :])
    except AirgapError:
        return None


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
    reference = read_reference(token)
    if reference is None or token.startswith(_KO):
        return None
    if scheme_length(token):
        return _url(start, token, reference)
    rule = FULL if "/" in token.partition("@")[0] and names_registry(token) else DIGEST
    end = start + len(token)
    if reference.digest or (rule is FULL and reference.tag):
        return Finding(token, start, end, rule, *_judged(rule, reference))
    denied = _denied(reference) if reference.tag and reference.literal.count("/") else ""
    if denied:
        return Finding(token, start, end, FULL, denied, Verdict.IGNORED)
    template = _TEMPLATED_TAG.match(text, end + 1) if text[end : end + 1] == ":" else None
    if template is None or not names_registry(token) or reference.tag is not None:
        return None
    whole = text[start : template.end()]
    return Finding(whole, start, template.end(), rule, PLACEHOLDER_REASON, Verdict.UNDECIDED)


def _url(start: int, token: str, reference: Reference) -> Finding:
    skipped = scheme_length(token)
    end = start + len(token)
    start += skipped
    if reference.tag or reference.digest or token.startswith("docker:"):
        return Finding(token[skipped:], start, end, URL, URL.why)
    return Finding(token[skipped:], start, end, URL, _NO_VERSION_REASON, Verdict.UNDECIDED)


def serves_code(reference: Reference) -> bool:
    """Whether the host of a reference is known to serve source code, not images."""
    return reference.registry in _CODE_HOSTS


def _denied(reference: Reference) -> str:
    if reference.registry in _LABEL_HOSTS:
        return _LABEL_REASON
    return _CODE_REASON if serves_code(reference) else ""


def _judged(rule: Rule, reference: Reference) -> tuple[str, Verdict]:
    """A host, one path component and a word may be a label and its value: ``x.dev/a:ignore``."""
    tag = reference.tag or "latest"
    is_word = tag.isalpha() and not _TAG_WORDS.fullmatch(tag)
    if is_word and "/" not in reference.repository and ":" not in reference.registry:
        return _WORD_REASON, Verdict.UNDECIDED
    return rule.why, Verdict.IMAGE


def names_registry(text: str) -> bool:
    """Whether the first part of a path is a host: it has a dot, a port, or is localhost."""
    host, slash, _ = text[scheme_length(text) :].partition("/")
    if not slash or host in _LABEL_HOSTS or host in _CODE_HOSTS:
        return False
    return host == "localhost" or ":" in host or ("." in host and not host.startswith("."))
