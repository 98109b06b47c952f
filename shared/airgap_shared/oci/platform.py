"""Platforms: which of an index's images is meant for which machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from airgap_shared.errors import UsageError

_PART = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
#: In a list of platforms: every one that there is.
ALL = "all"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def is_platform(text: str) -> bool:
    """Whether this is ``os/architecture[/variant]``."""
    parts = text.split("/")
    return len(parts) in (2, 3) and all(_PART.fullmatch(part) for part in parts)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Operating system, architecture and, for some, a variant (image-spec, image-index.md)."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/architecture[/variant]``.

        Raises:
            UsageError: the text has another shape.

        """
        parts = text.split("/")
        if not is_platform(text):
            raise UsageError(
                f"not a platform: {text!r}",
                next_step="write it as os/architecture, for example linux/amd64, or 'all'",
            )
        return cls(*parts)

    @classmethod
    def of_machine(cls, machine: str) -> Self:
        """Linux on the machine that ``uname -m`` names so."""
        return cls("linux", _MACHINES.get(machine, machine))

    @property
    def is_unknown(self) -> bool:
        """Whether this marks what runs nowhere, such as a build attestation or a chart."""
        return not {self.os, self.architecture}.isdisjoint(("unknown", ""))

    def includes(self, other: Platform) -> bool:
        """Whether ``other`` is wanted by someone who asked for this platform.

        Without a variant every variant is wanted; arm64 and arm64/v8 are the same.
        """
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        if self.variant is None:
            return True
        default = "v8" if self.architecture == "arm64" else None
        return (self.variant or default) == (other.variant or default)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
