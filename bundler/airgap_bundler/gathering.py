"""From what the command line names to an application and what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap_bundler.discovery import (
    GivenImage,
    ImageInventory,
    parse_given_image,
    parse_images_file,
    take_inventory,
)
from airgap_bundler.operators.knowledge import Needed, load_knowledge, needed_images
from airgap_bundler.sources.application import Application
from airgap_bundler.sources.folder import read_file
from airgap_bundler.sources.manifests import load_application
from airgap_bundler.sources.unapplied import refuse_changes
from airgap_shared.errors import MediaReadError, UsageError
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.ruleset import DEFAULT_RULES, RuleSet
from airgap_shared.kube.rulesfile import parse_rules
from airgap_shared.kube.uses import ImageUse
from airgap_shared.oci.reference import parse_reference


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user names: sources, single images, a file of them, a file of rules."""

    sources: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    images_file: Path | None = None
    rules_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The application, what was found in it, what is known to be missing, and by which rules.

    ``rules`` holds the bytes of the rules file; it is empty when there was none.
    """

    application: Application
    uses: tuple[ImageUse, ...]
    inventory: ImageInventory
    needed: tuple[Needed, ...]
    rules: bytes


def gather(wanted: Wanted, stdin: bytes) -> Gathered:
    """Read everything and find the images.

    Raises:
        UsageError: a file or reference of the user's cannot be used, or has to be rendered first.
        ManifestSourceInvalid, LimitExceeded: as :func:`load_application` raises them.

    """
    rules, content = DEFAULT_RULES, b""
    if wanted.rules_file is not None:
        content = _read(wanted.rules_file, "the rules file")
        rules = parse_rules(content, str(wanted.rules_file))
    given = [*_given(wanted), *_declared(rules, wanted.rules_file)]
    if not wanted.sources and not given:
        raise UsageError("nothing to bundle", next_step="give a SOURCE, --image or --images-file")
    application = (
        load_application(wanted.sources, stdin) if wanted.sources else Application((), (), ())
    )
    found = tuple((obj, tuple(find_images(obj, rules))) for obj in application.objects)
    uses = tuple(use for _, uses in found for use in uses)
    refuse_changes(application, uses)
    inventory = take_inventory(uses, given)
    needed = needed_images(load_knowledge(), found, inventory.references)
    return Gathered(application, uses, inventory, needed, content)


def _given(wanted: Wanted) -> list[GivenImage]:
    given = [parse_given_image(text) for text in wanted.images]
    if wanted.images_file is not None:
        content = _read(wanted.images_file, "the images file")
        given += parse_images_file(content, str(wanted.images_file))
    return given


def _declared(rules: RuleSet, file: Path | None) -> Sequence[GivenImage]:
    """What the rules say is needed, whether it stands in a manifest or not."""
    return [
        GivenImage(parse_reference(image.text), f"{file}:{image.line}" if image.line else str(file))
        for image in rules.images
    ]


def _read(path: Path, what: str) -> bytes:
    try:
        return read_file(path)
    except MediaReadError as problem:
        raise UsageError(f"{what}: {problem.what}", where=str(path)) from problem
