"""Which repository of the target stands for which source repository. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airgap_importer.mirrors.records import MirroredImage
from airgap_shared.errors import StateCorrupt


@dataclass(frozen=True, slots=True)
class RepositoryMirror:
    """A repository of a source host, and the one of the target that holds its images.

    ``tagged`` says whether an image in it can be asked for by the tag that it had at its source.
    """

    host: str
    repository: str
    registry: str
    path: str
    tagged: bool

    @property
    def source(self) -> str:
        """The source, host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def target(self) -> str:
        """The mirror, host and repository."""
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The mirrors in the order of their sources, and what no mirror can give, in words."""

    repositories: tuple[RepositoryMirror, ...]
    notes: tuple[str, ...]

    def by_host(self) -> Mapping[str, Sequence[RepositoryMirror]]:
        """The mirrors by the host of their source."""
        hosts: dict[str, list[RepositoryMirror]] = defaultdict(list)
        for mirror in self.repositories:
            hosts[mirror.host].append(mirror)
        return hosts


def find_mirrors(images: Iterable[MirroredImage]) -> Mirrors:
    """The mirrors that the images of a relocation make.

    Raises:
        StateCorrupt: the images of one repository are in several.

    """
    groups: dict[tuple[str, str], list[MirroredImage]] = defaultdict(list)
    for image in images:
        groups[image.source.registry, image.source.repository].append(image)
    found = [_mirror(groups[name]) for name in sorted(groups)]
    notes = [note for name in sorted(groups) for note in _misfits(groups[name])]
    # Asked for a source that is the target, every node would look in the wrong place first.
    own = [mirror for mirror in found if mirror.host == mirror.registry]
    kept = tuple(mirror for mirror in found if mirror.host != mirror.registry)
    notes += [
        f"{mirror.source}: is in the target registry already; it has no mirror" for mirror in own
    ]
    return Mirrors(kept, tuple(notes))


def _mirror(images: Sequence[MirroredImage]) -> RepositoryMirror:
    source = images[0].source
    targets = {(image.target.registry, image.target.repository) for image in images}
    if len(targets) != 1:
        raise StateCorrupt(
            f"the images of {source.name} are in several repositories", where="relocation.json"
        )
    ((registry, path),) = targets
    tagged = any(_has_its_tag(image) for image in images)
    return RepositoryMirror(source.registry, source.repository, registry, path, tagged)


def _has_its_tag(image: MirroredImage) -> bool:
    return image.target.tag is not None and image.target.tag == image.source.effective_tag


def _misfits(images: Iterable[MirroredImage]) -> Iterator[str]:
    """What is in the registry, but not by the name that the application asks for."""
    for image in images:
        source, target = image.source, image.target
        if source.digest is not None and source.digest != target.digest:
            yield (
                f"{source.canonical}: only some of its platforms were bundled, so its digest is "
                f"not there; it is {target.canonical}"
            )
        elif source.digest is None and not _has_its_tag(image):
            yield f"{source.canonical}: its tag is not there; it is {target.canonical}"
