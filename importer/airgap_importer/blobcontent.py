"""The content of one blob of a bundle on its way into the target, as often as it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from airgap_shared.errors import IntegrityError, RegistryIntegrity, RegistryUnavailable
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.opening import VerifiedBundle
from airgap_shared.stores.ports import ImageTarget

#: What content passes through on its way: who counts it, and who stops it.
Passing = Callable[[Iterator[bytes]], Iterator[bytes]]


@dataclass(slots=True)
class BlobContent:
    """The content of the blob at ``position``; a pipe gives it only once.

    What was held in memory can be had again, and so can what a repository of the target has: it
    is read back from there. ``holder`` is one, known once the content was sent to it.
    """

    bundle: VerifiedBundle
    position: int
    digest: Digest
    size: int
    target: ImageTarget
    passing: Passing
    holder: str | None = field(default=None, init=False)
    _held: bytes | None = field(default=None, init=False)
    _opened: bool = field(default=False, init=False)

    @property
    def is_lasting(self) -> bool:
        """Whether it can be had again, and what follows it, although nobody reads it to its end."""
        return self.bundle.medium.random_access or self._held is not None or self.holder is not None

    def hold(self) -> None:
        """Prove it and hold it in memory, unless it can be read again or was read already."""
        if self._is_ahead:
            self._opened = True
            self._held = b"".join(self.bundle.blob_chunks(self.position))

    def read_past(self) -> None:
        """Prove it, and get a pipe past it, unless it was read already."""
        if self._is_ahead:
            self._opened = True
            for _ in self.bundle.blob_chunks(self.position):
                pass

    @property
    def _is_ahead(self) -> bool:
        return not self._opened and not self.bundle.medium.random_access

    def open(self) -> Iterable[bytes]:
        """The content from its beginning.

        Raises:
            RegistryUnavailable: it would have to be read again, and cannot be.
            RegistryIntegrity: it is read back, and the registry returns something else.

        """
        if self._held is not None:
            return self.passing(iter((self._held,)))
        if self.bundle.medium.random_access or not self._opened:
            self._opened = True
            return self.bundle.blob_chunks(self.position).through(self.passing)
        if self.holder is not None:
            return self.passing(self._read_back(self.holder))
        raise RegistryUnavailable(
            "a blob has to be sent again, and a pipe cannot be read again",
            where=str(self.digest),
            next_step="run again, or give the bundle as a file",
        )

    def _read_back(self, holder: str) -> Iterator[bytes]:
        try:
            yield from self.target.fetch_blob(holder, self.digest, self.size)
        except IntegrityError as problem:
            raise RegistryIntegrity(
                f"the registry returns other content: {problem.what}",
                where=f"{holder}@{self.digest}",
                next_step="its storage is damaged: delete this blob there, or the whole "
                "repository, and run again with --check-blobs",
            ) from problem
