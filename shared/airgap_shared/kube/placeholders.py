"""Templates that an object fills in itself: ``$(params.image)`` where a parameter ``image`` is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from airgap_shared.kube.imagetokens import PLACEHOLDER_REASON
from airgap_shared.kube.uses import ImageUse, Verdict

_TEMPLATE = re.compile(r"\{\{([^{}]{1,200})\}\}|\$\(([^()]{1,200})\)|\$\{([^{}]{1,200})\}")
_NAME = re.compile(r"[\w-]+(?=['\"\]\s]*$)")
_FILLED: Final = "a template that is filled in from what is listed here: "


class Placeholders:
    """The names under which images were found, and the templates that refer to them."""

    def __init__(self) -> None:
        self._supplied: set[str] = set()

    def supply(self, *names: str) -> None:
        """Say that an image, or a piece of one, stands under these names."""
        self._supplied.update(names)

    def settled(self, uses: Sequence[ImageUse]) -> list[ImageUse]:
        """The uses, templates with nothing unknown in them ignored."""
        return [self._settled(use) for use in uses]

    def _settled(self, use: ImageUse) -> ImageUse:
        if use.verdict is not Verdict.UNDECIDED or use.reason != PLACEHOLDER_REASON:
            return use
        names = list(_names(use.text))
        if not names or not self._supplied.issuperset(names):
            return use
        return replace(use, verdict=Verdict.IGNORED, reason=_FILLED + ", ".join(names))


def _names(text: str) -> Iterator[str]:
    """The last name in each template; an empty one where there is none."""
    for match in _TEMPLATE.finditer(text):
        name = _NAME.search(next(group for group in match.groups() if group))
        yield name.group() if name is not None else ""
