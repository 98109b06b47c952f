"""Where each image goes: stable, collision-free, one namespace. Pure."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import PlainHttpRefused, TargetCollision, UsageError
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import (
    Reference,
    is_valid_registry,
    is_valid_repository,
    parse_reference,
)

#: The repository that holds the receipts of imports; no image gets this name.
RECEIPTS = "airgap-receipts"
_SUFFIX_LENGTH = 8


@dataclass(frozen=True, slots=True)
class RelocatedImage:
    """One image of the bundle and the place it gets in the target registry.

    ``registry`` is the host the cluster pulls from, ``repository`` the path below it; ``tag`` is
    the tag people know it by, if it has one there; ``digest`` is what really runs.
    """

    source: Reference
    registry: str
    repository: str
    tag: str | None
    digest: Digest

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """What manifests are rewritten to: the tag for people, the digest for machines."""
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.name}{tag}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Relocation:
    """The relocated images by the canonical text of their source reference."""

    images: Mapping[str, RelocatedImage]

    def target_of(self, reference: Reference) -> RelocatedImage | None:
        """Where the image that ``reference`` means goes; None when it is not in the bundle."""
        return self.images.get(reference.canonical)

    def to_document(self) -> dict[str, object]:
        """The map as it is kept beside the overlay, format 1."""
        return {
            "format": 1,
            "images": [
                {
                    "source": canonical,
                    "registry": image.registry,
                    "repository": image.repository,
                    "tag": image.tag,
                    "digest": str(image.digest),
                    "reference": image.reference,
                }
                for canonical, image in sorted(self.images.items())
            ],
        }

    def to_csv(self) -> str:
        """The map as a table: source, target, digest."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["source", "target", "digest"])
        for canonical, image in sorted(self.images.items()):
            tag = f":{image.tag}" if image.tag is not None else ""
            table.writerow([canonical, f"{image.name}{tag}", str(image.digest)])
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class Target:
    """The registry and the path below it that all images get."""

    registry: str
    path: str

    def repository(self, last: str) -> str:
        """The repository for an image with this last path segment."""
        return "/".join(part for part in (self.path, last) if part)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}".rstrip("/")


def parse_target(endpoint: str, namespace: str, plain_http: bool) -> Target:
    """Read ``--registry-endpoint`` (``https://`` allowed, a path too) and ``--image-namespace``.

    Raises:
        UsageError: one of them cannot be part of an image reference.
        PlainHttpRefused: ``http://`` without ``--plain-http``.

    """
    scheme = endpoint.partition("://")[0].lower() if "://" in endpoint else ""
    if scheme == "http" and not plain_http:
        raise PlainHttpRefused(
            "the endpoint says http://",
            where=endpoint[:300],
            next_step="add --plain-http if the registry has no TLS",
        )
    if scheme in ("http", "https"):
        endpoint = endpoint[len(scheme) + 3 :]
    registry, _, prefix = endpoint.strip("/").partition("/")
    path = "/".join(part for part in (prefix.strip("/"), namespace.strip("/")) if part)
    if not is_valid_registry(registry):
        raise UsageError(
            f"not a registry: {registry[:300]!r}",
            where="--registry-endpoint",
            next_step="write HOST[:PORT][/PREFIX]",
        )
    if parse_reference(f"{registry}/name").registry != registry:
        raise UsageError(
            f"container runtimes would take {registry!r} for a folder on Docker Hub",
            where="--registry-endpoint",
            next_step=f"write the host with its domain or its port, for example {registry}:443",
        )
    if path and not is_valid_repository(path):
        raise UsageError(
            f"not a repository path: {path[:300]!r}",
            where="--image-namespace",
            next_step="use lower-case letters, digits and single . _ - between them",
        )
    return Target(registry, path)


def relocate(
    images: Sequence[BundledImage], target: Target, earlier: Mapping[str, str]
) -> Relocation:
    """Give every image its place under the target's one namespace.

    The repository is the last path segment of the source, as KOTS does. Sources that would share
    one get, all of them, a suffix made from their full name. ``earlier`` maps source names to the
    repositories an earlier release gave them; those stay.

    Raises:
        TargetCollision: two sources would still share a repository.
        UsageError: a name would be longer than registries allow.

    """
    names = list(dict.fromkeys(image.source.name for image in images))
    repositories = _repositories(names, target, earlier)
    tags = _tags(images)
    return Relocation(
        {
            image.source.canonical: RelocatedImage(
                image.source,
                target.registry,
                repositories[image.source.name],
                tags[image.source.canonical],
                image.root,
            )
            for image in images
        }
    )


def _repositories(
    names: Sequence[str], target: Target, earlier: Mapping[str, str]
) -> dict[str, str]:
    kept = {name: earlier[name] for name in names if name in earlier}
    taken = Counter(target.repository(_last(name)) for name in names if name not in kept)
    taken.update({*earlier.values()} | {*kept.values()} | {target.repository(RECEIPTS)})
    result = dict(kept)
    for name in names:
        if name not in result:
            plain = target.repository(_last(name))
            result[name] = plain if taken[plain] == 1 else f"{plain}-{_suffix(name)}"
    _check(result)
    return result


def _check(repositories: Mapping[str, str]) -> None:
    for repository, count in Counter(repositories.values()).items():
        if count > 1:
            sources = sorted(name for name in repositories if repositories[name] == repository)
            raise TargetCollision(
                f"{' and '.join(sources)} would both become {repository}",
                changed="nothing was changed",
                next_step="move .airgap/relocation.json aside to have all names given anew",
            )
        if not is_valid_repository(repository):
            raise UsageError(
                f"the target name is too long: {repository[:300]}",
                next_step="choose a shorter --image-namespace",
            )


def _tags(images: Sequence[BundledImage]) -> dict[str, str | None]:
    """The tag of each image in its target; a tag that could mean two images goes to neither.

    A reference without a digest owns its tag; one with both keeps the tag only when nothing else
    claims it for other content.
    """
    loose: dict[tuple[str, str | None], set[Digest]] = {}
    exact: dict[tuple[str, str | None], set[Digest]] = {}
    for image in images:
        claims = loose if image.source.digest is None else exact
        claims.setdefault((image.source.name, image.source.effective_tag), set()).add(image.root)
    owners = exact | loose
    return {
        image.source.canonical: image.source.effective_tag
        if owners[image.source.name, image.source.effective_tag] == {image.root}
        else None
        for image in images
    }


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _suffix(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_LENGTH]
