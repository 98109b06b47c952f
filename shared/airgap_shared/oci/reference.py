"""Image references: parsed by the distribution grammar, the literal kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from airgap_shared.errors import AirgapError, ImageReferenceInvalid
from airgap_shared.oci.digest import Digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
REPOSITORY_LIMIT = 255

# distribution/reference: grammar in reference.go. Matched whole, never searched for.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(
    rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ANONYMOUS_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image: a repository in a registry, and a tag, a digest, both or neither.

    ``literal`` is the text as it was found; the other fields are normalised the way container
    tools do (``nginx`` is ``docker.io/library/nginx``). Two references are equal when these are,
    however they were spelled; the default tag is not written out (see :attr:`canonical`).
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None
    literal: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Registry and repository: ``docker.io/library/nginx``."""
        return f"{self.registry}/{self.repository}"

    @property
    def literal_name(self) -> str:
        """The literal without tag and digest, spelled as it was found."""
        text = self.literal or self.name
        if self.digest is not None:
            text = text.removesuffix(f"@{self.digest}")
        if self.tag is not None:
            text = text.removesuffix(f":{self.tag}")
        return text

    @property
    def effective_tag(self) -> str | None:
        """The tag that a tool resolves: ``latest`` when neither tag nor digest is given."""
        if self.tag is None and self.digest is None:
            return DEFAULT_TAG
        return self.tag

    @property
    def canonical(self) -> str:
        """The full, normalised text, with the default tag written out."""
        tag = self.effective_tag
        return (
            self.name
            + (f":{tag}" if tag is not None else "")
            + (f"@{self.digest}" if self.digest is not None else "")
        )

    @property
    def last_segment(self) -> str:
        """The last path component of the repository."""
        return self.repository.rpartition("/")[2]

    def __str__(self) -> str:
        return self.literal or self.canonical


def is_valid_tag(text: str) -> bool:
    """Whether ``text`` is a tag of the distribution grammar."""
    return _TAG.fullmatch(text) is not None


def is_valid_repository(text: str) -> bool:
    """Whether ``text`` is a repository path of the distribution grammar and length."""
    return len(text) <= REPOSITORY_LIMIT and _PATH.fullmatch(text) is not None


def without_user(text: str) -> str:
    """What a user wrote for a registry, as messages may show it: without user and password."""
    _, at, rest = text.rpartition("@")
    return f"***@{rest}" if at else text


def is_valid_registry(text: str) -> bool:
    """Whether ``text`` is ``host`` or ``host:port``, port within 1–65535."""
    match = _DOMAIN.fullmatch(text)
    if match is None:
        return False
    port = match["port"]
    return port is None or 0 < int(port) <= 65535


def parse_reference(text: str, where: str = "") -> Reference:
    """Read an image reference.

    Raises:
        ImageReferenceInvalid: the text is not in the grammar; the message says what is wrong.

    """
    try:
        return _parse(text)
    except AirgapError as problem:
        shown = without_user(text) if _has_account(text) else text
        raise ImageReferenceInvalid(
            f"not an image reference: {shown[:300]!r}: {problem.what}", where=where
        ) from None


def _has_account(text: str) -> bool:
    """Whether a user and a password stand before a host."""
    before, _, after = text.rpartition("@")
    return ":" in before and not after.startswith(("sha256:", "sha512:"))


def _parse(text: str) -> Reference:
    if _has_account(text):
        raise ImageReferenceInvalid("what follows @ is no digest; a name has no user in it")
    rest, at, digest_text = text.partition("@")
    digest = Digest.parse(digest_text) if at else None
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not is_valid_tag(tag):
        raise ImageReferenceInvalid(f"{tag[:160]!r} is no tag")
    registry, repository = _split_domain(f"{head}{slash}{last}")
    if not is_valid_registry(registry):
        raise ImageReferenceInvalid(f"{registry!r} is no registry host")
    if not _PATH.fullmatch(repository):
        raise ImageReferenceInvalid(f"{repository!r} is no repository path")
    if len(repository) > REPOSITORY_LIMIT:
        raise ImageReferenceInvalid(f"the path is longer than {REPOSITORY_LIMIT} characters")
    if _ANONYMOUS_ID.fullmatch(text):
        raise ImageReferenceInvalid("64 hexadecimal digits are an image id, not a name")
    return Reference(registry, repository, tag if colon else None, digest, text)


def _split_domain(name: str) -> tuple[str, str]:
    """Registry and repository, with Docker Hub's defaults (reference/normalize.go)."""
    first, slash, rest = name.partition("/")
    if slash and (
        any(mark in first for mark in ".:[") or first == "localhost" or first.lower() != first
    ):
        registry, repository = first, rest
    else:
        registry, repository = DEFAULT_REGISTRY, name
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
