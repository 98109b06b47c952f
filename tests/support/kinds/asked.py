"""A request as a registry reads it, and the answers in the shape of the specification."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from support.faults import Answer

_PATH = re.compile(
    r"/v2/(?P<repository>.+)/(?P<what>manifests|blobs/uploads|blobs|tags|referrers)/(?P<name>[^/]*)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; header names are in lower case.

    ``what`` is ``manifests``, ``blobs``, ``uploads``, ``tags``, ``referrers`` (then ``repository``
    and ``name``, a tag, digest or session, are known), ``ping`` for ``/v2/``, or empty.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    what: str = ""
    repository: str = ""
    name: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, method: str, target: str, headers: Mapping[str, str]) -> Asked:
        """Take a request target apart."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/v2/":
            return cls(method, target, headers, "ping", query=query)
        match = _PATH.fullmatch(path)
        if match is None:
            return cls(method, target, headers, query=query)
        what = match["what"].removeprefix("blobs/")
        return cls(method, target, headers, what, match["repository"], match["name"], query)

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def writes(self) -> bool:
        """Whether it would change something."""
        return self.method not in ("GET", "HEAD")

    @property
    def begins_upload(self) -> bool:
        """Whether it opens an upload session, or asks for a mount."""
        return self.method == "POST" and self.what == "uploads"

    @property
    def puts_manifest(self) -> bool:
        """Whether it stores a manifest."""
        return self.method == "PUT" and self.what == "manifests"

    @property
    def tag(self) -> str:
        """The tag that it stores a manifest under, if it does."""
        return self.name if self.puts_manifest and ":" not in self.name else ""

    @property
    def length(self) -> int | None:
        """The length of the body, where it is announced."""
        text = self.headers.get("content-length")
        return None if text is None else int(text)

    def levels(self, count: int) -> str:
        """The first segments of the repository: its project or namespace."""
        return "/".join(self.repository.split("/")[:count])

    def one(self, name: str) -> str:
        """A parameter of the query, or nothing."""
        return next(iter(self.query.get(name, ())), "")

    @property
    def authorization(self) -> tuple[str, str]:
        """Scheme in lower case, and what follows it."""
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        return scheme.lower(), rest

    @property
    def basic(self) -> tuple[str, str] | None:
        """User and password, if it carries such."""
        scheme, rest = self.authorization
        if scheme != "basic":
            return None
        user, _, password = base64.b64decode(rest).decode().partition(":")
        return user, password


def refusal(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """An error as registries write it (distribution-spec, Error Codes)."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]})
    return Answer(
        status,
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
        body.encode(),
    )


def json_answer(status: int, document: object, kind: str = "application/json") -> Answer:
    """Any JSON document."""
    return Answer(status, {"Content-Type": kind}, json.dumps(document).encode())
