"""The proof that a rendered overlay runs nothing but verified images of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from airgap_importer.rendering import Rendering
from airgap_importer.rewriting import Overlay
from airgap_shared.errors import AirgapError, OverlayRefused, UnrewrittenImage
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import KubeObject, ObjectIdentity
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference

Present = Mapping[str, AbstractSet[Digest]]

_LOCAL_CONFIG = "config.kubernetes.io/local-config"


@dataclass(frozen=True, slots=True)
class Proof:
    """Who rendered, how many uses of images there are, and the distinct references, sorted."""

    renderer: str
    uses: int
    references: tuple[str, ...]


def prove(
    overlay: Overlay,
    rendering: Rendering,
    present: Present,
    find: Callable[[KubeObject], Iterable[ImageUse]] = find_images,
) -> Proof:
    """Check what was rendered against what the overlay promises and what the target holds.

    ``present`` holds, by ``registry/repository``, the digests that were verified in the target;
    ``find`` is the search for images that the application was read with.

    Raises:
        OverlayRefused: an object of the application is not in what was rendered.
        UnrewrittenImage: an image field does not name a verified digest in the target, or not the
            one it should.

    """
    _check_complete(overlay, rendering)
    problems = list(_broken_promises(overlay, rendering))
    references: list[str] = []
    for obj in rendering.objects:
        for use in find(obj):
            if use.verdict is Verdict.IMAGE:
                references.append(use.text)
                if not _is_present(use.text, present):
                    problems.append(f"{use.place}: {use.text}")
    if problems:
        raise UnrewrittenImage(
            f"{rendering.renderer} renders images that are not verified in the target",
            where=problems[0],
            details=tuple(dict.fromkeys(problems)),
        )
    return Proof(rendering.renderer, len(references), tuple(sorted(set(references))))


def _check_complete(overlay: Overlay, rendering: Rendering) -> None:
    rendered = {obj.identity for obj in rendering.objects}
    lost = [str(obj) for obj in overlay.objects if obj.identity not in rendered and _is_kept(obj)]
    if lost:
        raise OverlayRefused(
            f"{rendering.renderer} leaves out objects of the application",
            where=lost[0],
            details=lost,
        )


def _is_kept(obj: KubeObject) -> bool:
    """Whether kustomize prints the object: it leaves out what is marked as its own input."""
    metadata = obj.value.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return not (isinstance(annotations, Mapping) and _LOCAL_CONFIG in annotations)


def _broken_promises(overlay: Overlay, rendering: Rendering) -> Iterator[str]:
    rendered: dict[ObjectIdentity, KubeObject] = {obj.identity: obj for obj in rendering.objects}
    for rewrite in overlay.rewrites:
        obj = rendered.get(rewrite.use.object.identity)
        if obj is None:
            continue
        found = _value_at(obj.value, rewrite.use.path.parts)
        if found != rewrite.target.reference:
            yield f"{rewrite.use.place}: {found}, not {rewrite.target.reference}"


def _value_at(value: object, path: Iterable[str | int]) -> object:
    for part in path:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def _is_present(text: str, present: Present) -> bool:
    try:
        reference = parse_reference(text)
    except AirgapError:
        return False
    return reference.digest is not None and reference.digest in present.get(reference.name, ())
