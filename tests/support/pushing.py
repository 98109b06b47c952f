"""Plain HTTP reading and writing of a registry, independent of the tool's own client."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from support.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    Content,
    chunks_of,
    size_of,
)

_ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))


class RegistryRefused(Exception):
    """A registry answered otherwise than was needed."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in: headers for every request, and an authority to trust (then by https)."""

    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None

    @classmethod
    def basic(cls, user: str, password: str, ca_file: Path | None = None) -> Access:
        """With a user's password."""
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls({"Authorization": f"Basic {encoded}"}, ca_file)

    @classmethod
    def bearer(cls, token: str, ca_file: Path | None = None) -> Access:
        """With a token."""
        return cls({"Authorization": f"Bearer {token}"}, ca_file)


ANYBODY = Access()


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest as a registry serves it."""

    raw: bytes
    media_type: str
    digest: str


def push_image(
    host: str, repository: str, tag: str | None, image: BuiltImage, access: Access = ANYBODY
) -> str:
    """Push an image, children first, and tag it; without a tag by digest. Gives its digest.

    Raises:
        RegistryRefused: any step was not answered with 201.

    """
    with _connected(host, access) as registry:
        _push(registry, repository, tag, image)
    return image.digest


def push_blob(host: str, repository: str, digest: str, content: Content) -> None:
    """Push one blob to a registry that is open to anybody."""
    with _connected(host, ANYBODY) as registry:
        registry.push_blob(repository, digest, content)


def fetch_manifest(
    host: str, repository: str, reference: str, access: Access = ANYBODY
) -> FetchedManifest:
    """Read a manifest by tag or digest.

    Raises:
        RegistryRefused: there is none, or the digest announced is not that of the bytes.

    """
    with _connected(host, access) as registry:
        return registry.manifest(repository, reference)


def has_blob(host: str, repository: str, digest: str, access: Access = ANYBODY) -> bool:
    """Whether the registry says that it has a blob."""
    with _connected(host, access) as registry:
        return registry.has(f"/v2/{repository}/blobs/{digest}")


def fetch_blob(host: str, repository: str, digest: str, access: Access = ANYBODY) -> bytes:
    """Read a blob whole."""
    with _connected(host, access) as registry:
        return registry.ask("GET", f"/v2/{repository}/blobs/{digest}", 200).body


def list_tags(host: str, repository: str, access: Access = ANYBODY) -> list[str]:
    """The tags of a repository, sorted."""
    with _connected(host, access) as registry:
        body = registry.ask("GET", f"/v2/{repository}/tags/list", 200).body
    return sorted(json.loads(body)["tags"] or ())


@dataclass(frozen=True, slots=True)
class _Answer:
    headers: Mapping[str, str]
    body: bytes


class _Connection:
    def __init__(self, host: str, access: Access) -> None:
        self._access = access
        if access.ca_file is None:
            self._connection = http.client.HTTPConnection(host, timeout=120)
        else:
            context = ssl.create_default_context(cafile=access.ca_file)
            self._connection = http.client.HTTPSConnection(host, timeout=120, context=context)

    def close(self) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        path: str,
        *expected: int,
        content: Content = b"",
        headers: Mapping[str, str] | None = None,
    ) -> _Answer:
        sent = {
            "Content-Length": str(size_of(content)),
            "Accept": _ACCEPT,
            **self._access.headers,
            **(headers or {}),
        }
        self._connection.request(method, path, chunks_of(content), sent)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status not in expected:
            raise RegistryRefused(f"{method} {path}: {answer.status} {body[:500]!r}")
        return _Answer({name.lower(): value for name, value in answer.getheaders()}, body)

    def has(self, path: str) -> bool:
        self._connection.request("HEAD", path, headers={"Accept": _ACCEPT, **self._access.headers})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status == 200

    def push_blob(self, repository: str, digest: str, content: Content) -> None:
        if self.has(f"/v2/{repository}/blobs/{digest}"):
            return
        begun = f"/v2/{repository}/blobs/uploads/"
        location = urlsplit(urljoin(begun, self.ask("POST", begun, 202).headers["location"]))
        query = f"{location.query}&digest={digest}".lstrip("&")
        self.ask(
            "PUT",
            f"{location.path}?{query}",
            201,
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )

    def push_manifest(self, repository: str, reference: str, image: BuiltImage) -> None:
        self.ask(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            201,
            content=image.raw,
            headers={"Content-Type": image.media_type},
        )

    def manifest(self, repository: str, reference: str) -> FetchedManifest:
        answer = self.ask("GET", f"/v2/{repository}/manifests/{reference}", 200)
        image = BuiltImage(answer.body, answer.headers["content-type"])
        announced = answer.headers.get("docker-content-digest")
        if announced != image.digest:
            raise RegistryRefused(f"{reference}: announced as {announced}, is {image.digest}")
        return FetchedManifest(image.raw, image.media_type, image.digest)


@contextmanager
def _connected(host: str, access: Access) -> Iterator[_Connection]:
    connection = _Connection(host, access)
    try:
        yield connection
    finally:
        connection.close()


def _push(registry: _Connection, repository: str, tag: str | None, image: BuiltImage) -> None:
    for digest, content in image.blobs.items():
        registry.push_blob(repository, digest, content)
    for child in image.children:
        _push(registry, repository, None, child)
    registry.push_manifest(repository, tag or image.digest, image)
