"""``--verify-image-key``: which keys have to have signed which images. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap_shared.errors import UsageError
from airgap_shared.oci.reference import Reference
from airgap_shared.trust.imagekeys import ImageKey, parse_image_key

_OPTION = "--verify-image-key"
_PATTERN = re.compile(r"[A-Za-z0-9._:/*?-]+")


@dataclass(frozen=True, slots=True)
class ImageKeys:
    """Keys, each for the images whose full names match its pattern; without one, for the others."""

    rules: tuple[tuple[str, ImageKey], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything has to be verified."""
        return bool(self.rules)

    def of(self, image: Reference) -> tuple[ImageKey, ...]:
        """The keys of which one has to have signed an image; none where nobody has to.

        Where patterns match, only their keys count: a key for everything does not stand in.
        """
        bound = [key for pattern, key in self.rules if pattern and _matches(pattern, image)]
        return tuple(bound or (key for pattern, key in self.rules if not pattern))

    def refuse_idle(self, images: Sequence[Reference]) -> None:
        """Raise :class:`UsageError` for a pattern that matches no image: it is misspelt."""
        for pattern, _ in self.rules:
            if pattern and not any(_matches(pattern, image) for image in images):
                raise UsageError(
                    f"no image has a name like {pattern}",
                    where=_OPTION,
                    next_step="names are compared in full: docker.io/library/nginx",
                )


NO_KEYS = ImageKeys()


def parse_image_keys(texts: Sequence[str], read: Callable[[Path], bytes]) -> ImageKeys:
    """Read ``PUB`` and ``PATTERN=PUB`` options.

    Raises:
        UsageError, KeyFileInvalid: an option or a file cannot be used.

    """
    return ImageKeys(tuple(_rule(text, read) for text in texts))


def _rule(text: str, read: Callable[[Path], bytes]) -> tuple[str, ImageKey]:
    pattern, equals, file = text.rpartition("=")
    if (equals and not _PATTERN.fullmatch(pattern)) or not file:
        raise UsageError(
            f"not a key for images: {text!r}",
            where=_OPTION,
            next_step="write PUB, or PATTERN=PUB as in 'ghcr.io/acme/*=acme.pub'",
        )
    return pattern, parse_image_key(read(Path(file)), file)


def _matches(pattern: str, image: Reference) -> bool:
    return fnmatch.fnmatchcase(image.name, pattern)
