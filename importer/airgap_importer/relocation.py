"""Where each image goes: stable, collision-free, below one path of the target. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from airgap_importer.assignments import RECEIPTS
from airgap_importer.names import Names, joined
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import PlainHttpRefused, TargetCollision, UsageError
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import (
    REPOSITORY_LIMIT,
    Reference,
    is_valid_registry,
    is_valid_repository,
    parse_reference,
    without_user,
)

#: The format of the map that is kept beside the overlay.
FORMAT = 1
#: More components do not fit in the length of a path.
_MAX_DEPTH = 128
#: Of a DNS name (RFC 1035), and a port.
_HOST_LIMIT = 253 + len(":65535")
DEFAULT_NAMES = Names()


@dataclass(frozen=True, slots=True)
class RelocatedImage:
    """One image of the bundle and the place it gets in the target registry.

    ``registry`` is the host the cluster pulls from, ``repository`` the path below it; ``tag`` is
    the tag people know it by, if it has one there; ``digest`` is what really runs. ``pushed`` is
    the registry and repository that it is pushed to, where those are others.
    """

    source: Reference
    registry: str
    repository: str
    tag: str | None
    digest: Digest
    pushed: str = ""

    @property
    def name(self) -> str:
        """Registry and repository, as the cluster names them."""
        return f"{self.registry}/{self.repository}"

    @property
    def pushed_name(self) -> str:
        """Registry and repository that it is pushed to."""
        return self.pushed or self.name

    @property
    def destination(self) -> str:
        """The repository that it is pushed to, without the registry."""
        return self.pushed_name.partition("/")[2]

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
            "format": FORMAT,
            "images": [
                {
                    "source": canonical,
                    "registry": image.registry,
                    "repository": image.repository,
                    "tag": image.tag,
                    "digest": str(image.digest),
                    "reference": image.reference,
                    **({"pushed": image.pushed} if image.pushed else {}),
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
    """The registry and the path below it that all images get.

    ``pull`` is the same place by the name that the cluster pulls from, where that is another.
    """

    registry: str
    path: str
    pull: Target | None = None

    def repository(self, last: str) -> str:
        """The repository with this last path segment."""
        return joined(self.path, last)

    def pulled(self, repository: str) -> tuple[str, str]:
        """The registry and repository by which the cluster pulls from ``repository`` of this."""
        if self.pull is None:
            return self.registry, repository
        rest = repository.removeprefix(f"{self.path}/") if self.path else repository
        return self.pull.registry, joined(self.pull.path, rest)

    @property
    def depth(self) -> int:
        """How many components the path has."""
        return len(self.path.split("/")) if self.path else 0

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}".rstrip("/")


def parse_target(endpoint: str, namespace: str, plain_http: bool, pull: str = "") -> Target:
    """Read ``--registry-endpoint`` (``https://`` allowed, a path too) and ``--image-namespace``.

    ``pull`` is the ``--pull-endpoint``, which has the same form, and below it the same namespace.

    Raises:
        UsageError: one of them cannot be part of an image reference.
        PlainHttpRefused: ``http://`` without ``--plain-http``.

    """
    target = _parse_endpoint(endpoint, namespace, plain_http, "--registry-endpoint")
    if not pull:
        return target
    there = _parse_endpoint(pull, namespace, True, "--pull-endpoint")
    return target if there == target else replace(target, pull=there)


def _parse_endpoint(endpoint: str, namespace: str, plain_http: bool, option: str) -> Target:
    if "@" in endpoint:
        raise UsageError(
            f"an endpoint has no user and no password in it: {without_user(endpoint)[:300]!r}",
            where=option,
            next_step="write HOST[:PORT][/PREFIX]; what to push with belongs into --username and "
            "--password-stdin",
        )
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
    path = joined(prefix.strip("/"), namespace.strip("/")).strip("/")
    if len(registry) > _HOST_LIMIT or not is_valid_registry(registry):
        raise UsageError(
            f"not a registry: {registry[:300]!r}",
            where=option,
            next_step="write HOST[:PORT][/PREFIX]",
        )
    if parse_reference(f"{registry}/name").registry != registry:
        raise UsageError(
            f"container runtimes would take {registry!r} for a folder on Docker Hub",
            where=option,
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
    images: Sequence[BundledImage],
    target: Target,
    earlier: Mapping[str, str],
    scheme: Names = DEFAULT_NAMES,
) -> Relocation:
    """Give every image its place below the target's path.

    Its name there is made by ``scheme``. Sources that would share one get, all of them, a suffix
    made from their full name. ``earlier`` maps source names to the repositories an earlier release
    gave them; those stay, whatever the scheme.

    Raises:
        TargetCollision: two sources would still share a repository.
        UsageError: the registry takes no name of this depth or length.

    """
    names = list(dict.fromkeys(image.source.name for image in images))
    new = [name for name in names if name not in earlier]
    _check_depth(new, target, scheme)
    repositories = {name: earlier[name] for name in names if name in earlier}
    repositories |= _new_repositories(new, target, earlier, scheme)
    _check(repositories, new, scheme)
    tags = _tags(images)
    return Relocation(
        {
            image.source.canonical: _relocated(
                image, target, repositories[image.source.name], tags[image.source.canonical]
            )
            for image in images
        }
    )


def _relocated(
    image: BundledImage, target: Target, repository: str, tag: str | None
) -> RelocatedImage:
    registry, path = target.pulled(repository)
    if not is_valid_repository(path):
        raise UsageError(
            f"the name to pull from is too long: {path[:300]}",
            where="--pull-endpoint",
            next_step="choose a shorter prefix, or a shorter --image-namespace",
        )
    pushed = f"{target.registry}/{repository}" if target.pull is not None else ""
    return RelocatedImage(image.source, registry, path, tag, image.root, pushed)


def _new_repositories(
    names: Sequence[str], target: Target, earlier: Mapping[str, str], scheme: Names
) -> dict[str, str]:
    room = _room(target, scheme)
    plain = {name: scheme.below(target.path, name, room) for name in names}
    taken = Counter(plain.values())
    taken.update({*earlier.values(), target.repository(RECEIPTS)})
    return {
        name: repository if taken[repository] == 1 else scheme.apart(target.path, name, room)
        for name, repository in plain.items()
    }


def _room(target: Target, scheme: Names) -> int:
    """The most characters below the target's path; older tools count the host with all of it."""
    places = (target, target.pull or target)
    counted = min(REPOSITORY_LIMIT - len(f"{place}/") for place in places)
    return min(scheme.profile.length - len(joined(target.path, "")), counted)


def _check_depth(names: Sequence[str], target: Target, scheme: Names) -> None:
    """Compare what names would come of it with the depth that the registry has."""
    profile = scheme.profile
    depths = [target.depth + scheme.depth(name) for name in names]
    if min(depths, default=profile.least) < profile.least:
        raise UsageError(
            f"{profile.title} has repositories of the form {profile.shape}; "
            f"{target} with one more component is too short",
            where="--image-namespace",
            next_step=f"write --image-namespace {profile.shape.rpartition('/')[0]}; "
            f"if this is no {profile.title}, add --registry-type distribution",
        )
    most = profile.most or _MAX_DEPTH
    if max(depths, default=most) <= most:
        return
    advice = f"write a namespace of {most - 1} component" + ("s" if most > 2 else "")
    fitting = profile.least - 1 <= target.depth < most
    if target.depth < most:
        advice = f"use --naming flat, or last, instead of {scheme.naming}"
    if target.depth < profile.least - 1:
        advice = f"write --image-namespace {profile.shape.rpartition('/')[0]}, and {advice}"
    raise UsageError(
        f"{profile.title} has repositories of the form {profile.shape} and no deeper ones; "
        f"below {target} some would have {max(depths)} components",
        where="--naming" if fitting else "--image-namespace",
        next_step=f"{advice}; if this is no {profile.title}, add --registry-type distribution",
    )


def _check(repositories: Mapping[str, str], new: Sequence[str], scheme: Names) -> None:
    for repository, count in Counter(repositories.values()).items():
        if count > 1:
            sources = sorted(name for name in repositories if repositories[name] == repository)
            raise TargetCollision(
                f"{' and '.join(sources)} would both become {repository}",
                changed="nothing was changed",
                next_step="choose another --image-namespace, to have all names given anew",
            )
        if not is_valid_repository(repository):
            _refuse(repository, scheme)
    for name in new:
        if not scheme.profile.takes_path(repositories[name]):
            _refuse(repositories[name], scheme)


def _refuse(repository: str, scheme: Names) -> NoReturn:
    profile = scheme.profile
    if len(repository) > profile.length:
        raise UsageError(
            f"the target name is too long: {repository[:300]}",
            where=f"{profile.title} takes {profile.length} characters",
            next_step="choose a shorter --image-namespace, or --naming flat, which shortens names",
        )
    raise UsageError(
        f"{profile.title} takes no repository of this name: {repository}",
        next_step=f"write the --image-namespace as in {profile.shape}, with lower-case letters, "
        "digits and single . _ - between them",
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
