"""What a docker-registry has on disk, read past the process: the oracle of the tests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a client could see, comparable.

    ``blobs`` maps each stored digest to the digest its bytes really have; ``manifests`` and
    ``layers`` are (repository, digest) links; ``tags`` maps (repository, tag) to a digest.
    """

    blobs: Mapping[str, str]
    manifests: frozenset[tuple[str, str]]
    layers: frozenset[tuple[str, str]]
    tags: Mapping[tuple[str, str], str]


class RegistryStorage:
    """The storage folder of the filesystem driver (distribution, registry/storage/paths.go)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "docker" / "registry" / "v2" / "blobs"
        self._repositories = root / "docker" / "registry" / "v2" / "repositories"

    def empty(self) -> None:
        """Remove everything; a registry that keeps nothing in memory need not be told."""
        shutil.rmtree(self.root / "docker", ignore_errors=True)

    def blobs(self) -> dict[str, int]:
        """Digest to size of all stored content, manifests and configs included."""
        return {digest: path.stat().st_size for digest, path in self._blob_files()}

    def read_blob(self, digest: str) -> bytes:
        """The stored bytes of a blob or manifest."""
        return self.blob_path(digest).read_bytes()

    def blob_path(self, digest: str) -> Path:
        """The file that holds a blob or manifest, whether it exists or not."""
        algorithm, _, value = digest.partition(":")
        return self._blobs / algorithm / value[:2] / value / "data"

    def repositories(self) -> list[str]:
        """The repositories that hold a manifest or a layer, sorted."""
        return sorted({name for name, _ in self.manifest_links() | self.layer_links()})

    def tags(self, repository: str) -> dict[str, str]:
        """Tag to digest in one repository."""
        return {
            tag: digest for (name, tag), digest in self.all_tags().items() if name == repository
        }

    def all_tags(self) -> dict[tuple[str, str], str]:
        """(repository, tag) to digest."""
        found = {}
        for repository, folder in self._folders():
            for link in folder.glob("_manifests/tags/*/current/link"):
                found[repository, link.parents[1].name] = link.read_text().strip()
        return found

    def tagged_ever(self) -> set[tuple[str, str, str]]:
        """(repository, tag, digest) of everything that a tag names or has named."""
        found = set()
        for repository, folder in self._folders():
            for link in folder.glob("_manifests/tags/*/index/*/*/link"):
                digest = f"{link.parents[1].name}:{link.parent.name}"
                found.add((repository, link.parents[3].name, digest))
        return found

    def manifests(self, repository: str) -> set[str]:
        """The digests of the manifests and indexes in one repository."""
        return {digest for name, digest in self.manifest_links() if name == repository}

    def manifest_links(self) -> set[tuple[str, str]]:
        """(repository, digest) of every manifest and index."""
        return set(self._links("_manifests/revisions"))

    def revision_link(self, repository: str, digest: str) -> Path:
        """The file that says that a repository has a manifest."""
        algorithm, _, value = digest.partition(":")
        manifests = self._repositories / repository / "_manifests"
        return manifests / "revisions" / algorithm / value / "link"

    def tag_folder(self, repository: str, tag: str) -> Path:
        """The folder with all that is known of a tag."""
        return self._repositories / repository / "_manifests" / "tags" / tag

    def layer_links(self) -> set[tuple[str, str]]:
        """(repository, digest) of every blob that a repository may serve."""
        return set(self._links("_layers"))

    def untagged(self) -> set[tuple[str, str]]:
        """(repository, digest) of manifests that no tag names: garbage to a collector."""
        tagged = {(name, digest) for (name, _), digest in self.all_tags().items()}
        return self.manifest_links() - tagged

    def open_uploads(self) -> int:
        """How many upload sessions were begun and neither finished nor cancelled."""
        return sum(1 for _, folder in self._folders() for _ in folder.glob("_uploads/*/startedat"))

    def snapshot(self) -> Snapshot:
        """The whole state; every blob is hashed again."""
        return Snapshot(
            {digest: _digest_of(path) for digest, path in self._blob_files()},
            frozenset(self.manifest_links()),
            frozenset(self.layer_links()),
            self.all_tags(),
        )

    def _blob_files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._blobs.glob("*/*/*/data")):
            yield f"{path.parents[2].name}:{path.parent.name}", path

    def _links(self, kind: str) -> Iterator[tuple[str, str]]:
        for repository, folder in self._folders():
            for link in folder.glob(f"{kind}/*/*/link"):
                yield repository, f"{link.parents[1].name}:{link.parent.name}"

    def _folders(self) -> Iterator[tuple[str, Path]]:
        """Every repository, by name, and its folder.

        What is in one begins with ``_``, as no name does, and is not walked through: what uploads
        leave behind becomes a great many folders.
        """
        for folder, inner, _ in os.walk(self._repositories):
            names = [name for name in inner if not name.startswith("_")]
            if len(names) < len(inner):
                path = Path(folder)
                yield str(path.relative_to(self._repositories)), path
            inner[:] = names


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
