"""The overlay of a bundle: its files with every image by its name in the target."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from airgap_importer.proof import Find, check_changes, promised_by
from airgap_importer.relocation import Relocation
from airgap_importer.rewriting import Overlay, compose_overlay
from airgap_shared.bundle import names
from airgap_shared.errors import AirgapError, DocumentInvalid, ManifestSourceInvalid, RulesInvalid
from airgap_shared.kube.documents import Manifest, load_manifest
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.rulesfile import parse_rules
from airgap_shared.stores.opening import VerifiedBundle


def compose(bundle: VerifiedBundle, relocation: Relocation, pull_secrets: Sequence[str]) -> Overlay:
    """The overlay, whose changes are proven to be those that were promised and no others.

    Its notes begin with what of the files is no Kubernetes object, and so not deployed.

    Raises:
        DocumentInvalid: a file of the application, or its rules, cannot be read.
        OverlayRefused: the overlay would change anything else, or miss an image.

    """
    manifests = [_manifest(file) for file in bundle.files]
    objects = [obj for manifest in manifests for obj in manifest.objects]
    find = search_of(bundle)
    uses = [use for obj in objects for use in find(obj)]
    overlay = compose_overlay(bundle.files, objects, uses, relocation, pull_secrets)
    check_changes(overlay, promised_by(relocation), find)
    left_out = map(_left_out, bundle.files, manifests)
    return replace(overlay, notes=(*filter(None, left_out), *overlay.notes))


def search_of(bundle: VerifiedBundle) -> Find:
    """The search for images that create used, by the rules file that travels along.

    Raises:
        DocumentInvalid: the rules file cannot be read.

    """
    if not bundle.rules:
        return find_images
    try:
        rules = parse_rules(bundle.rules, names.RULES)
    except (ManifestSourceInvalid, RulesInvalid) as problem:
        raise _senders(problem) from problem
    return functools.partial(find_images, rules=rules)


def _manifest(file: ManifestFile) -> Manifest:
    """A file of the application; what cannot be read in it is the sender's fault here."""
    try:
        return load_manifest(file)
    except ManifestSourceInvalid as problem:
        raise _senders(problem) from problem


def _senders(problem: AirgapError) -> DocumentInvalid:
    """A mistake in a file of one's own, as that of somebody else."""
    return DocumentInvalid(
        problem.what,
        where=problem.where,
        next_step="ask the sender: the application in the bundle is not as it must be",
        details=problem.details,
    )


def _left_out(file: ManifestFile, manifest: Manifest) -> str:
    """What of a file of objects is not deployed; files without objects are no surprise."""
    others = manifest.others
    if not others or not manifest.objects:
        return ""
    return f"{file.path}:{others[0].line}: no Kubernetes object ({others[0].reason}); left out" + (
        f", with {len(others) - 1} more in this file" if len(others) > 1 else ""
    )
