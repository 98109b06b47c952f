"""Look-ups before a push: what a registry has, with its broken entries counted as absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airgap_shared.errors import Denied, RegistryUnavailable
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.ports import FetchedManifest, ImageLookup

_Found = TypeVar("_Found")
INTERNAL_ERROR = 500
#: More broken entries than this are no accident of a few: the registry itself is broken.
_BROKEN_LIMIT = 16


class LenientLookup:
    """The look-ups of a registry; safe to use from several threads.

    A docker-registry that was killed, or whose disk was full, while it wrote the link of a blob,
    manifest or tag leaves an empty one, and answers 500 to every question about it. Nobody can
    pull what it stands for, and pushing it again mends it; so it is as good as absent.

    Where ``hidden`` says so, what may not be read counts as absent, too: Harbor and Quay answer so
    where a project is missing. That is for plans, which have to deal with the ``unreadable``.
    """

    def __init__(self, registry: ImageLookup, hidden: bool = False) -> None:
        self._registry = registry
        self._hidden = hidden
        #: What may not be read, by repository; only of a plan.
        self.unreadable: dict[str, Denied] = {}
        self._broken: list[RegistryUnavailable] = []

    def head_manifest(self, repository: str, reference: str) -> Descriptor | None:
        return self._found(repository, lambda: self._registry.head_manifest(repository, reference))

    def get_manifest(self, repository: str, reference: str) -> FetchedManifest | None:
        return self._found(repository, lambda: self._registry.get_manifest(repository, reference))

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        return self._found(repository, lambda: self._registry.blob_size(repository, digest))

    def lists_referrers(self, repository: str, subject: Digest) -> bool:
        found = self._found(repository, lambda: self._registry.lists_referrers(repository, subject))
        return bool(found)

    def _found(self, repository: str, look: Callable[[], _Found | None]) -> _Found | None:
        try:
            return look()
        except Denied as refusal:
            if not self._hidden:
                raise
            self.unreadable[repository] = refusal
            return None
        except RegistryUnavailable as problem:
            self._broken.append(problem)
            if problem.status != INTERNAL_ERROR or len(self._broken) > _BROKEN_LIMIT:
                raise
            return None
