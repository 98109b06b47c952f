"""From references to everything that is bundled for them: images, what is attached, who signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from airgap_bundler.attaching import Attaching
from airgap_bundler.checking import check_signatures
from airgap_bundler.imagekeys import NO_KEYS, ImageKeys, parse_image_keys
from airgap_bundler.mirrors import Mirrors, parse_mirrors
from airgap_bundler.pinning import PinnedImage, Pinning
from airgap_bundler.resolving import Resolving
from airgap_shared.console.files import read_key_file
from airgap_shared.oci.platform import Platform
from airgap_shared.oci.reference import Reference
from airgap_shared.stores.ports import AttachmentSource
from airgap_shared.stores.progress import Progress


@dataclass(frozen=True, slots=True)
class Wishes:
    """Where images are found, which parts of them are wanted, and what has to travel along."""

    mirrors: Mirrors
    platforms: tuple[Platform, ...]
    with_attached: bool = True
    keys: ImageKeys = NO_KEYS


def compose_wishes(
    mirrors: Sequence[str] | None,
    platforms: tuple[Platform, ...],
    with_attached: bool,
    image_keys: Sequence[str] | None,
) -> Wishes:
    """What the options ask for.

    Raises:
        UsageError, KeyFileInvalid: one of them cannot be used.

    """
    keys = parse_image_keys(image_keys or (), read_key_file)
    return Wishes(parse_mirrors(mirrors or ()), platforms, with_attached, keys)


def resolve(
    references: Sequence[Reference],
    wishes: Wishes,
    resolving: Resolving,
    open_registry: Callable[[str], AttachmentSource],
    progress: Progress,
    jobs: int,
) -> tuple[PinnedImage, ...]:
    """Pin all images, find what is attached to them, and check their signatures.

    Raises:
        UsageError: a key, or a mirror, for images that are not there.
        ImageSignatureInvalid: images are not signed as they must be.
        AirgapError: as :meth:`Pinning.pin`.

    """
    wishes.keys.refuse_idle(references)
    wishes.mirrors.refuse_idle(references)
    shelf = resolving.shelf()
    attaching = Attaching.beside(references, open_registry, progress, shelf)
    attach = (attaching.attach,) if wishes.with_attached or wishes.keys else ()
    locate = wishes.mirrors.locate
    pinning = Pinning(locate, open_registry, wishes.platforms, progress, shelf, *attach)
    pinned = resolving.pin(pinning, references, jobs)
    if wishes.keys:
        pinned = check_signatures(pinned, wishes.keys)
        unchecked = sum(not wishes.keys.of(image) for image in references)
        if unchecked:
            progress.note(f"warning: {unchecked} images have no --verify-image-key; not checked")
    if not wishes.with_attached:
        pinned = tuple(replace(image, attached=()) for image in pinned)
    return pinned
