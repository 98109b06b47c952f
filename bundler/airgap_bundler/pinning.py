"""From references to digests: what each image is right now, for the chosen platforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airgap_bundler.mirrors import Location
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.bundle.names import NESTING_LIMIT
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    ForeignLayer,
    ImagesUnresolved,
    LimitExceeded,
    RateLimited,
    RegistryTimeout,
    RegistryUnavailable,
    SizeMismatch,
    UpstreamDigestMismatch,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest, verified_chunks
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.manifest import Index, Manifest, compose_subset, parse_manifest
from airgap_shared.oci.platform import Platform, is_platform
from airgap_shared.oci.reference import Reference
from airgap_shared.stores.concurrency import Stop, for_each
from airgap_shared.stores.ports import ImageSource
from airgap_shared.stores.progress import Progress

#: Configs up to this size are read while pinning and travel compressed.
_CONFIG_LIMIT = 128 * 1024


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """An image fixed to digests.

    ``manifests`` are the root and all below it, children before parents; ``configs`` the content
    of small config blobs; ``upstream`` what the registry named; ``platforms`` what is kept.
    """

    reference: Reference
    location: Location
    root: Manifest | Index
    upstream: Digest
    manifests: tuple[Manifest | Index, ...]
    configs: Mapping[Digest, bytes]
    platforms: tuple[str, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob of the image, each once."""
        return unique_blobs(self.manifests)


@dataclass(frozen=True, slots=True)
class Pinning:
    """Where images are found and which parts of them are wanted; no platforms means all."""

    locate: Callable[[Reference], Location]
    open_registry: Callable[[str], ImageSource]
    platforms: tuple[Platform, ...]
    progress: Progress

    def pin(self, references: Sequence[Reference], jobs: int) -> tuple[PinnedImage, ...]:
        """Resolve all references, several at a time; every failure is found before any is raised.

        Raises:
            UpstreamNotFound, UpstreamUnavailable, UpstreamDigestMismatch, ImagesUnresolved: with
                one line for each image that could not be resolved.
            AirgapError: of another kind, when all failures are of that kind.

        """
        self.progress.begin("resolve", len(references), "images")
        try:
            results = for_each(references, self._attempt, jobs)
        finally:
            self.progress.end()
        failures = [
            (reference, result)
            for reference, result in zip(references, results, strict=True)
            if isinstance(result, AirgapError)
        ]
        if failures:
            raise _together(failures, len(references))
        return tuple(result for result in results if isinstance(result, PinnedImage))

    def _attempt(self, reference: Reference, _stop: Stop) -> PinnedImage | AirgapError:
        try:
            return self._pin(reference)
        except AirgapError as problem:
            return as_source_error(problem, reference.canonical)
        finally:
            self.progress.advance(1)

    def _pin(self, reference: Reference) -> PinnedImage:
        location = self.locate(reference)
        source = _Source(self.open_registry(location.registry), location)
        wanted = str(reference.digest) if reference.digest else reference.effective_tag
        upstream = source.manifest(wanted or "", None)
        root = self._choose(upstream, source, NESTING_LIMIT)
        manifests = source.below(root, NESTING_LIMIT)
        configs = source.configs(manifests)
        source.check_foreign(manifests)
        platforms = _platforms_of(root, configs)
        self._warn(reference, platforms)
        return PinnedImage(
            reference,
            location,
            root,
            upstream.digest,
            manifests,
            configs,
            tuple(map(str, platforms)),
        )

    def _choose(self, found: Manifest | Index, source: _Source, depth: int) -> Manifest | Index:
        """What is bundled for an image: all of an index, some of it, or one manifest of it."""
        if not self.platforms or isinstance(found, Manifest):
            return found
        runnable = [
            entry
            for entry in found.manifests
            if entry.platform is not None and not entry.platform.is_unknown
        ]
        chosen = {
            entry.digest: entry
            for entry in runnable
            if any(wanted.includes(entry.platform) for wanted in self.platforms if entry.platform)
        }
        if not runnable or len(chosen) == len({entry.digest for entry in runnable}):
            return found
        if not chosen:
            offered = sorted({str(entry.platform) for entry in runnable})
            raise UpstreamNotFound(
                f"no image for {_list(self.platforms)}; there are: {', '.join(offered)[:300]}",
                where=str(source.location),
                next_step="choose --platform, or 'all'",
            )
        if len(chosen) == 1:
            (entry,) = chosen.values()
            if depth == 0:
                raise _too_deep(source.location)
            only = source.manifest(str(entry.digest), entry.media_type)
            return self._choose(only, source, depth - 1)
        return compose_subset(found, chosen.keys())

    def _warn(self, reference: Reference, have: Sequence[Platform]) -> None:
        missing = [wanted for wanted in self.platforms if not any(map(wanted.includes, have))]
        if missing and have:
            self.progress.note(
                f"warning: {reference} is for {_list(have)} only, not {_list(missing)}"
            )


@dataclass(frozen=True, slots=True)
class _Source:
    """One repository to pin from."""

    registry: ImageSource
    location: Location

    def manifest(self, reference: str, media_type: str | None) -> Manifest | Index:
        """Fetch and parse; what is fetched by digest has that digest."""
        found = self.registry.get_manifest(self.location.repository, reference)
        where = f"{self.location}{'@' if ':' in reference else ':'}{reference}"
        if found is None:
            raise UpstreamNotFound("no such image", where=where)
        if ":" in reference:
            Digest.parse(reference).check(found.raw, where)
        announced = found.media_type.partition(";")[0].strip()
        return parse_manifest(found.raw, media_type or announced, where)

    def below(self, root: Manifest | Index, depth: int) -> tuple[Manifest | Index, ...]:
        """The root and everything under it, children before parents, each once."""
        found: dict[Digest, Manifest | Index] = {}
        self._collect(root, depth, found)
        return tuple(found.values())

    def _collect(
        self, root: Manifest | Index, depth: int, found: dict[Digest, Manifest | Index]
    ) -> None:
        if depth == 0:
            raise _too_deep(self.location)
        for child in root.children:
            if child.digest not in found:
                manifest = self.manifest(str(child.digest), child.media_type)
                self._collect(manifest, depth - 1, found)
        found[root.digest] = root

    def configs(self, manifests: Sequence[Manifest | Index]) -> dict[Digest, bytes]:
        """The content of the small configs."""
        wanted = {
            manifest.config.digest: manifest.config
            for manifest in manifests
            if isinstance(manifest, Manifest) and manifest.config.size <= _CONFIG_LIMIT
        }
        return {digest: self._blob(descriptor) for digest, descriptor in wanted.items()}

    def check_foreign(self, manifests: Sequence[Manifest | Index]) -> None:
        """Layers with URLs are taken from the registry or not at all; no URL is followed."""
        for blob in unique_blobs(manifests):
            if blob.urls and self.registry.blob_size(self.location.repository, blob.digest) is None:
                raise ForeignLayer(
                    f"layer {blob.digest} is not in the registry, only at another address",
                    where=str(self.location),
                    next_step="push the image with its foreign layers to a registry and name "
                    "that registry with --mirror",
                )

    def _blob(self, descriptor: Descriptor) -> bytes:
        chunks = self.registry.blob_chunks(
            self.location.repository, descriptor.digest, descriptor.size
        )
        where = f"{self.location}@{descriptor.digest}"
        return b"".join(verified_chunks(chunks, descriptor.digest, descriptor.size, where))


def _too_deep(location: Location) -> LimitExceeded:
    return LimitExceeded(f"indexes nested deeper than {NESTING_LIMIT}", where=str(location))


def as_source_error(problem: AirgapError, where: str) -> AirgapError:
    """The same failure seen from create: an upstream at fault has exit code 40."""
    if isinstance(problem, RegistryUnavailable | RegistryTimeout | RateLimited):
        kind: type[AirgapError] = UpstreamUnavailable
    elif isinstance(problem, DigestMismatch | SizeMismatch):
        kind = UpstreamDigestMismatch
    else:
        return problem
    return kind(problem.what, where=problem.where or where, next_step=problem.next_step)


def _together(failures: Sequence[tuple[Reference, AirgapError]], total: int) -> AirgapError:
    kinds = {type(problem) for _, problem in failures}
    mixed = len(kinds) > 1
    kind = ImagesUnresolved if mixed else kinds.pop()
    return kind(
        f"{len(failures)} of {total} images could not be resolved",
        changed="no bundle was written",
        next_step="; ".join(dict.fromkeys(p.next_step for _, p in failures if p.next_step)),
        details=[
            f"{reference}: {problem.name + ': ' if mixed else ''}{problem}"
            for reference, problem in failures
        ],
    )


def _platforms_of(root: Manifest | Index, configs: Mapping[Digest, bytes]) -> tuple[Platform, ...]:
    if isinstance(root, Index):
        found = [entry.platform for entry in root.manifests]
    else:
        found = [_platform_of(root, configs)]
    known = {
        item
        for item in found
        if item is not None and not item.is_unknown and is_platform(str(item))
    }
    return tuple(sorted(known, key=str))


def _platform_of(manifest: Manifest, configs: Mapping[Digest, bytes]) -> Platform | None:
    """The platform an image config names; None for artifacts and what cannot be read."""
    raw = configs.get(manifest.config.digest)
    if raw is None or manifest.config.media_type not in mediatype.IMAGE_CONFIGS:
        return None
    try:
        fields = Fields(parse_json(raw, "config"), "config")
        return Platform.parse(
            "/".join(
                text
                for text in (
                    fields.optional_text("os"),
                    fields.optional_text("architecture"),
                    fields.optional_text("variant"),
                )
                if text
            )
        )
    except AirgapError:
        return None


def _list(platforms: Sequence[Platform]) -> str:
    return ", ".join(map(str, platforms))
