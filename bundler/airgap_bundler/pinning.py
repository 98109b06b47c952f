"""From references to digests: what each image is right now, for the chosen platforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from airgap_bundler.attached import FoundAttachment
from airgap_bundler.mirrors import Location
from airgap_bundler.outlook import Outlook
from airgap_bundler.shelf import Shelf
from airgap_shared.bundle.attachments import CheckedSignature
from airgap_shared.bundle.graph import unique_blobs
from airgap_shared.bundle.names import NESTING_LIMIT
from airgap_shared.errors import (
    AirgapError,
    DigestMismatch,
    ForeignLayer,
    ImagesUnresolved,
    LimitExceeded,
    RateLimited,
    RegistryRejected,
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
from airgap_shared.oci.manifest import (
    MANIFEST_VALUE_LIMIT,
    Index,
    Manifest,
    compose_subset,
    parse_manifest,
)
from airgap_shared.oci.platform import Platform, is_platform
from airgap_shared.oci.reference import Reference
from airgap_shared.stores.concurrency import for_each
from airgap_shared.stores.ports import ImageSource
from airgap_shared.stores.progress import Progress

#: Configs up to this size are read while pinning and travel compressed.
CONFIG_LIMIT = 128 * 1024
_LATER = (
    "log in, for registries allow more to those they know, or read from a --mirror, or run the "
    "same command again later: what was fetched stays"
)
_PUSH_AGAIN = "have the image pushed there again, or read it from a --mirror"


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """An image fixed to digests.

    ``manifests`` are the root and all below it, children before parents; ``configs`` the content
    of small config blobs; ``upstream`` what the registry named; ``platforms`` what is kept.
    ``attached`` is what travels along, and ``signed_by`` which signatures were checked.
    """

    reference: Reference
    location: Location
    root: Manifest | Index
    upstream: Digest
    manifests: tuple[Manifest | Index, ...]
    configs: Mapping[Digest, bytes]
    platforms: tuple[str, ...]
    attached: tuple[FoundAttachment, ...] = ()
    signed_by: tuple[CheckedSignature, ...] = ()

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob of the image, each once."""
        return unique_blobs(self.manifests)


@dataclass(frozen=True, slots=True)
class Pinning:
    """Where images are found and which parts of them are wanted; no platforms means all.

    What is on the ``shelf`` is not fetched, and what is fetched is put there. ``attach`` completes
    an image by what is attached to it.
    """

    locate: Callable[[Reference], Location]
    open_registry: Callable[[str], ImageSource]
    platforms: tuple[Platform, ...]
    progress: Progress
    shelf: Shelf = field(default_factory=Shelf)
    attach: Callable[[PinnedImage], PinnedImage] = lambda image: image

    def pin(self, references: Sequence[Reference], jobs: int) -> tuple[PinnedImage, ...]:
        """Resolve all references, several at a time; every failure is found before any is raised.

        Raises:
            UpstreamNotFound, UpstreamUnavailable, UpstreamDigestMismatch, ImagesUnresolved: with
                one line for each image that could not be resolved.
            AirgapError: of another kind, when all failures are of that kind.

        """
        self.progress.begin("resolve", len(references), "images")
        hosts = [self.locate(reference).registry for reference in references]
        outlook = Outlook(hosts, self.progress.note)
        try:
            results = for_each(references, lambda one, _: self._attempt(one, outlook), jobs)
        finally:
            self.progress.end()
        self.shelf.limited = outlook.limited
        failures = [
            (reference, result)
            for reference, result in zip(references, results, strict=True)
            if isinstance(result, AirgapError)
        ]
        if failures:
            raise _together(failures, len(references))
        return tuple(result for result in results if isinstance(result, PinnedImage))

    def _attempt(self, reference: Reference, outlook: Outlook) -> PinnedImage | AirgapError:
        location = self.locate(reference)
        try:
            outlook.enter(location.registry)
            source = Source(self.open_registry(location.registry), location, self.shelf)
            pinned = self.attach(self._pin(reference, source))
            outlook.resolved(location.registry, source.registry.allowance)
            return pinned
        except AirgapError as problem:
            outlook.refused(location.registry, problem)
            return as_source_error(problem, reference.canonical)
        finally:
            self.progress.advance(1)

    def _pin(self, reference: Reference, source: Source) -> PinnedImage:
        location = source.location
        upstream = source.root(str(reference.digest or reference.effective_tag or ""))
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
            reference.digest or upstream.digest,
            manifests,
            configs,
            tuple(map(str, platforms)),
        )

    def _choose(self, found: Manifest | Index, source: Source, depth: int) -> Manifest | Index:
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
            only = source.manifest(entry.digest, entry.media_type)
            return self._choose(only, source, depth - 1)
        return compose_subset(found, chosen.keys())

    def _warn(self, reference: Reference, have: Sequence[Platform]) -> None:
        missing = [wanted for wanted in self.platforms if not any(map(wanted.includes, have))]
        if missing and have:
            self.progress.note(
                f"warning: {reference} is for {_list(have)} only, not {_list(missing)}"
            )


@dataclass(frozen=True, slots=True)
class Source:
    """One repository to pin from."""

    registry: ImageSource
    location: Location
    shelf: Shelf

    def root(self, reference: str) -> Manifest | Index:
        """What a tag or digest stands for; only asked for where it may be at hand already."""
        with self.shelf.turn(self.location):
            if self.shelf.may_hold(self.location, reference):
                announced = self.registry.announced_manifest(self.location.repository, reference)
                raw = None if announced is None else self._at_hand(announced)
                if announced is not None and raw is not None:
                    return self._parsed(raw, announced.media_type, reference)
            return self._fetched(reference, None)

    def manifest(self, digest: Digest, media_type: str) -> Manifest | Index:
        """A manifest that another one names, fetched once in a run."""
        with self.shelf.turn(digest):
            raw = self.shelf.get(digest)
            if raw is not None:
                return self._parsed(raw, media_type, str(digest))
            return self._fetched(str(digest), media_type)

    def _at_hand(self, announced: Descriptor) -> bytes | None:
        raw = self.shelf.get(announced.digest)
        return raw if raw is not None and len(raw) == announced.size else None

    def _fetched(self, reference: str, media_type: str | None) -> Manifest | Index:
        """Fetch and parse; what is fetched by digest has that digest."""
        found = self.registry.get_manifest(self.location.repository, reference)
        where = self._where(reference)
        if found is None:
            raise UpstreamNotFound("no such image", where=where)
        if ":" in reference:
            Digest.parse(reference).check(found.raw, where)
        manifest = self._parsed(found.raw, media_type or found.media_type, reference)
        self.shelf.put(Digest.of(found.raw), found.raw)
        return manifest

    def _parsed(self, raw: bytes, media_type: str, reference: str) -> Manifest | Index:
        return parse_manifest(raw, media_type.partition(";")[0].strip(), self._where(reference))

    def _where(self, reference: str) -> str:
        return f"{self.location}{'@' if ':' in reference else ':'}{reference}"

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
                manifest = self.manifest(child.digest, child.media_type)
                self._collect(manifest, depth - 1, found)
        found[root.digest] = root

    def configs(self, manifests: Sequence[Manifest | Index]) -> dict[Digest, bytes]:
        """The content of the small configs."""
        wanted = {
            manifest.config.digest: manifest.config
            for manifest in manifests
            if isinstance(manifest, Manifest) and manifest.config.size <= CONFIG_LIMIT
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
        at_hand = self._at_hand(descriptor)
        if at_hand is not None:
            return at_hand
        chunks = self.registry.blob_chunks(
            self.location.repository, descriptor.digest, descriptor.size
        )
        where = f"{self.location}@{descriptor.digest}"
        raw = b"".join(verified_chunks(chunks, descriptor.digest, descriptor.size, where))
        self.shelf.put(descriptor.digest, raw)
        return raw


def _too_deep(location: Location) -> LimitExceeded:
    return LimitExceeded(f"indexes nested deeper than {NESTING_LIMIT}", where=str(location))


def as_source_error(problem: AirgapError, where: str) -> AirgapError:
    """The same failure seen from create: an upstream at fault has exit code 40."""
    if isinstance(problem, RateLimited):
        where = problem.where or where
        return UpstreamUnavailable(problem.what, where=where, next_step=_LATER)
    if isinstance(problem, RegistryRejected) and problem.status == 404:
        where = problem.where or where
        return UpstreamNotFound(problem.what, where=where, next_step=_PUSH_AGAIN)
    if isinstance(problem, RegistryUnavailable | RegistryTimeout):
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
        fields = Fields(parse_json(raw, "config", values=MANIFEST_VALUE_LIMIT), "config")
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
