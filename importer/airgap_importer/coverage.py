"""The record of every use of an image: found by which rule, rewritten by what, or left. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from airgap_importer.proof import Proof
from airgap_importer.rewriting import Means, Overlay, Rewrite
from airgap_shared.kube.uses import Embedded, ImageUse, Piece, Verdict

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was rewritten and what was left, as proven."""

    overlay: Overlay
    proof: Proof

    def leftovers(self, verdict: Verdict) -> list[ImageUse]:
        """The image-like texts that stayed as they were, with this verdict."""
        return [use for use in self.proof.leftovers if use.verdict is verdict]

    def summary(self) -> str:
        """One line: how many uses, by which means, and how many nobody decided about."""
        rewrites = self.overlay.rewrites
        means: Mapping[Means, int] = Counter(rewrite.means for rewrite in rewrites)
        images = len({rewrite.target.reference for rewrite in rewrites})
        parts = [
            f"{means.get(Means.IMAGES, 0)} by images:",
            f"{means.get(Means.PATCH, 0)} by patches",
            f"{means.get(Means.SPLIT, 0)} split",
        ]
        if Means.CREATE in means:
            parts.append(f"{means[Means.CREATE]} in objects to create")
        undecided = len(self.leftovers(Verdict.UNDECIDED))
        return (
            f"{len(rewrites)} uses of {images} images rewritten ({', '.join(parts)}), "
            f"{undecided} undecided"
        )

    def to_document(self) -> dict[str, object]:
        """The record as it is kept beside the overlay."""
        secrets = self.overlay.secrets
        return {
            "format": FORMAT,
            "renderer": self.proof.renderer,
            "images": [_rewritten(rewrite) for rewrite in self.overlay.rewrites],
            "undecided": [_left(use) for use in self.leftovers(Verdict.UNDECIDED)],
            "ignored": [_left(use) for use in self.leftovers(Verdict.IGNORED)],
            "notes": list(self.overlay.notes),
            **({"pullSecrets": secrets.to_document()} if secrets.names else {}),
        }


def _rewritten(rewrite: Rewrite) -> dict[str, object]:
    fields = [_field(piece, value) for piece, value in rewrite.fields]
    return {
        "place": rewrite.use.place,
        "rule": rewrite.use.rule,
        "source": rewrite.use.text,
        "target": rewrite.target.reference,
        "means": rewrite.means.value,
        "file": rewrite.file,
        **({"fields": fields} if fields else {}),
    }


def _field(piece: Piece, value: str) -> dict[str, object]:
    """A field of a split reference, by the way to it in the innermost document that it is in."""
    document, path, rest = "", piece.path, piece.inside
    for number, step in enumerate(piece.inside):
        if isinstance(step, Embedded):
            before = "".join(map(str, piece.inside[:number]))
            document = f"{piece.path}{before}|yaml[{step.document}]"
            path, rest = step.path, piece.inside[number + 1 :]
    return {
        "role": piece.role.value,
        "document": document,
        "path": list(path.parts),
        "value": value,
        "whole": not rest,
    }


def _left(use: ImageUse) -> dict[str, object]:
    return {"place": use.place, "rule": use.rule, "text": use.text, "reason": use.reason}
