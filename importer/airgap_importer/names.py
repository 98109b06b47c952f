"""Names: what an image is called below the target's path, by one of three strategies. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from airgap_importer.naming import Naming
from airgap_importer.profiles import DISTRIBUTION, RegistryProfile

_SUFFIX_LENGTH = 8
_UNWANTED = re.compile(r"[^a-z0-9._/-]+")
_SEPARATORS = re.compile(r"[._-]{2,}")
_ENDS = re.compile(r"^[._-]+|[._-]+$")


@dataclass(frozen=True, slots=True)
class Names:
    """How names are made: the strategy, and what the registry takes.

    ``last`` is the last component of the source, as KOTS has it; ``path`` its host and whole path,
    with ``_`` for the colon of a port; ``flat`` the same as one component, joined by ``-``.
    """

    naming: Naming = Naming.LAST
    profile: RegistryProfile = DISTRIBUTION

    def depth(self, name: str) -> int:
        """How many components a name gets."""
        return len(name.split("/")) if self.naming is Naming.PATH else 1

    def below(self, path: str, name: str, room: int) -> str:
        """The repository for a source below ``path``; two sources may still get the same.

        What the registry would not take is replaced, and what is longer than ``room`` (below the
        path) is cut, but not a ``last`` one; then a part of the source's digest is at the end.
        """
        plain = self._relative(name)
        fitting = "/".join(map(self._fitting, plain.split("/")))
        if fitting == plain and (self.naming is Naming.LAST or len(plain) <= room):
            return joined(path, plain)
        return self.apart(path, name, room)

    def apart(self, path: str, name: str, room: int) -> str:
        """The same with a suffix made from the source's full name."""
        plain = "/".join(map(self._fitting, self._relative(name).split("/")))
        suffix = f"-{digest_of(name)}"
        if self.naming is not Naming.LAST and len(plain + suffix) > room:
            short = plain.replace("/", "-") if self.naming is Naming.PATH else plain
            plain = _ENDS.sub("", short[: max(room - len(suffix), 0)]) or "image"
        return joined(path, plain + suffix)

    def _relative(self, name: str) -> str:
        host, _, path = name.partition("/")
        if self.naming is Naming.LAST:
            return path.rpartition("/")[2]
        host = _UNWANTED.sub("", host.lower().replace(":", "_"))
        host = _SEPARATORS.sub("_", _ENDS.sub("", host)) if "[" in name else host
        full = f"{host}/{path}"
        return full.replace("/", "-") if self.naming is Naming.FLAT else full

    def _fitting(self, component: str) -> str:
        if self.profile.component.fullmatch(component):
            return component
        return _SEPARATORS.sub(lambda run: run[0][0], component)


def digest_of(name: str) -> str:
    """The part of a source's digest that tells names apart."""
    return hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX_LENGTH]


def joined(path: str, rest: str) -> str:
    """Two parts of a path, of which the first may be empty."""
    return f"{path}/{rest}" if path else rest
