"""What a search must find in objects after rewriting, from what it found before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from airgap_importer.rewriting import Overlay
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.uses import ImageUse, Verdict

Found = Counter[tuple[str, Verdict, str]]


def expected_after(overlay: Overlay, uses: Iterable[ImageUse]) -> Found:
    """Every use at its place with its verdict, in the objects that change: images in the target."""
    targets = {(one.use.place, one.use.text): one.target for one in overlay.rewrites}
    changed = set(overlay.changed_objects())
    found: Found = Counter()
    for use in uses:
        if use.object not in changed:
            continue
        text = use.text
        if use.verdict is Verdict.IMAGE:
            target = targets[use.place, use.text]
            text = target.name if use.pieces else target.reference
        found[use.place, use.verdict, text] += 1
    return found


def found_after(overlay: Overlay) -> Found:
    """What the search finds in the objects that change; of split references the name."""
    found: Found = Counter()
    for obj in overlay.changed_objects():
        for use in find_images(obj):
            text = use.text
            if use.pieces and use.verdict is Verdict.IMAGE:
                reference = read_reference(text)
                text = reference.name if reference is not None else text
            found[use.place, use.verdict, text] += 1
    return found
