"""The proof that a rendered overlay runs nothing but verified images of the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from airgap_importer.relocation import Relocation
from airgap_importer.rendering import Rendering
from airgap_importer.rewriting import Overlay, Rewrite
from airgap_shared.errors import OverlayRefused, UnrewrittenImage
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import KubeObject, ObjectIdentity
from airgap_shared.kube.replacing import value_at
from airgap_shared.kube.uses import ImageUse, Span, Verdict
from airgap_shared.oci.digest import Digest

Find = Callable[[KubeObject], Iterable[ImageUse]]


@dataclass(frozen=True, slots=True)
class Promised:
    """What the target holds once an import is done.

    ``digests`` are those verified there by ``registry/repository``; ``tags`` are names and tags
    that are set to one of them and read back before anything is deployed.
    """

    digests: Mapping[str, AbstractSet[Digest]]
    tags: AbstractSet[tuple[str, str]]

    def holds(self, use: ImageUse) -> bool:
        """Whether what this use names is in the target: by digest, or for split ones by tag."""
        reference = read_reference(use.text)
        if reference is None:
            return False
        if reference.digest is not None:
            return reference.digest in self.digests.get(reference.name, ())
        return bool(use.pieces) and (reference.name, reference.effective_tag) in self.tags


@dataclass(frozen=True, slots=True)
class Proof:
    """Who rendered, the distinct references, sorted, and what is left as it was.

    ``uses`` counts the uses of images; ``leftovers`` are the image-like texts that are not
    rewritten, because nobody decided about them or because they are to be ignored.
    """

    renderer: str
    uses: int
    references: tuple[str, ...]
    leftovers: tuple[ImageUse, ...]


def promised_by(relocation: Relocation) -> Promised:
    """What a relocation promises to be in the target."""
    digests: dict[str, set[Digest]] = {}
    for image in relocation.images.values():
        digests.setdefault(image.name, set()).add(image.digest)
    tags = {(image.name, image.tag) for image in relocation.images.values() if image.tag}
    return Promised(digests, tags)


def check_changes(overlay: Overlay, promised: Promised, find: Find = find_images) -> None:
    """Search what the overlay changes for images before anything is pushed for it.

    Raises:
        UnrewrittenImage: a changed object would use an image that is not in the target, or not
            the one that it should.

    """
    changed = list(overlay.changed_objects())
    uses = [use for obj in changed for use in find(obj)]
    problems = [
        _stray(use) for use in uses if use.verdict is Verdict.IMAGE and not promised.holds(use)
    ]
    _refuse(problems, "the rewritten objects would use images that are not in the target")
    known = frozenset(changed)
    rewrites = (rewrite for rewrite in overlay.rewrites if rewrite.use.object in known)
    _refuse(_unseen(rewrites, uses), "the rewritten objects would not use all of their images")


def prove(
    overlay: Overlay, rendering: Rendering, promised: Promised, find: Find = find_images
) -> Proof:
    """Check what was rendered against what the overlay promises and what the target holds.

    ``find`` is the search for images that the application was read with.

    Raises:
        OverlayRefused: an object of the application, or a reference to a pull secret, is not in
            what was rendered.
        UnrewrittenImage: an image that is used is not verified in the target, one that was
            rewritten is not found again, or a value is not what it should be.

    """
    _check_complete(overlay, rendering)
    _check_secrets(overlay, rendering)
    shipped = {obj.identity: obj for obj in overlay.objects}
    problems = list(_broken_promises(overlay, rendering))
    found = [
        use for obj in (*rendering.objects, *overlay.created) for use in find(_named(obj, shipped))
    ]
    images = [use for use in found if use.verdict is Verdict.IMAGE]
    problems += [_stray(use) for use in images if not promised.holds(use)]
    _refuse(problems, f"{rendering.renderer} renders images that are not verified in the target")
    unseen = _unseen(overlay.rewrites, found)
    _refuse(unseen, f"{rendering.renderer} renders references that are not what they should be")
    leftovers = tuple(use for use in found if use.verdict is not Verdict.IMAGE)
    distinct = tuple(sorted({use.text for use in images}))
    return Proof(rendering.renderer, len(images), distinct, leftovers)


def _unseen(rewrites: Iterable[Rewrite], found: Iterable[ImageUse]) -> Iterator[str]:
    """The split references that are not found at their places with their new names.

    What a single text holds is compared character by character; of these, a field that nobody
    had to change may still be read otherwise. Any verdict will do: a registry inside the cluster
    is not one to bundle from, but to name.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    for use in found:
        reference = read_reference(use.text) if use.pieces else None
        if reference is not None:
            version = reference.digest or reference.effective_tag
            seen[*_spot(use), reference.name, version] += 1
    for rewrite in rewrites:
        use, target = rewrite.use, rewrite.target
        if not use.pieces:
            continue
        keys = [(*_spot(use), target.name, version) for version in (target.digest, target.tag)]
        key = next((key for key in keys if seen[key] > 0), None)
        if key is None:
            yield f"{use.place}: {target.reference} is not found there ({use.rule})"
        else:
            seen[key] -= 1


def _spot(use: ImageUse) -> tuple[object, ...]:
    """Where a use stands, whatever characters are before it in its text."""
    steps = tuple(step for step in use.inside if not isinstance(step, Span))
    return use.object.identity, use.path, steps


def _stray(use: ImageUse) -> str:
    return f"{use.place}: {use.text} ({use.rule})"


def _refuse(problems: Iterable[str], what: str) -> None:
    found = tuple(dict.fromkeys(problems))
    if found:
        raise UnrewrittenImage(what, where=found[0], details=found)


def _named(obj: KubeObject, shipped: Mapping[ObjectIdentity, KubeObject]) -> KubeObject:
    """A rendered object under the file that it was shipped in."""
    source = shipped.get(obj.identity)
    return obj if source is None else replace(obj, file=source.file)


def _check_complete(overlay: Overlay, rendering: Rendering) -> None:
    rendered = {obj.identity for obj in rendering.objects}
    lost = [str(obj) for obj in overlay.objects if obj.identity not in rendered]
    if lost:
        raise OverlayRefused(
            f"{rendering.renderer} leaves out objects of the application",
            where=lost[0],
            details=lost,
        )


def _broken_promises(overlay: Overlay, rendering: Rendering) -> Iterator[str]:
    rendered = {obj.identity: obj for obj in rendering.objects}
    for obj, changes in overlay.changes.items():
        found = rendered.get(obj.identity)
        if found is None:
            continue
        for change in changes:
            value = value_at(found.value, change.path)
            if value != change.after:
                yield f"{obj}#{change.path}: {str(value)[:300]}, not {change.after[:300]}"


def _check_secrets(overlay: Overlay, rendering: Rendering) -> None:
    rendered = {obj.identity: obj for obj in rendering.objects}
    created = {obj: obj for obj in overlay.created}
    lost = []
    for secret in overlay.secrets.references:
        found = created.get(secret.owner) or rendered.get(secret.owner.identity)
        if found is not None and value_at(found.value, secret.path) != list(secret.after):
            lost.append(f"{secret.owner}#{secret.path}")
    if lost:
        raise OverlayRefused(
            f"{rendering.renderer} leaves out references to pull secrets",
            where=lost[0],
            details=lost,
        )
