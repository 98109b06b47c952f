"""The shelf: manifests and configs that are at hand, so that they are not fetched again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airgap_bundler.mirrors import Location
from airgap_shared.oci.digest import Digest


class Shelf:
    """Content by digest: of earlier bundles, and what this run has fetched; for several threads.

    Registries count what is fetched and not what is asked for, so what is at hand is only asked
    for. Everything here has its digest; whoever puts it here has seen to that.
    """

    def __init__(self, earlier: Mapping[Digest, bytes] | None = None) -> None:
        self._lock = threading.Lock()
        self._content: dict[Digest, bytes] = dict(earlier or {})
        self._turns: dict[Location | Digest, threading.Lock] = {}
        self._visited: set[Location] = set()
        self._stocked = bool(self._content)
        #: Whether a registry gave nothing more.
        self.limited = False

    def get(self, digest: Digest) -> bytes | None:
        """The content with this digest, if it is at hand."""
        with self._lock:
            return self._content.get(digest)

    def put(self, digest: Digest, content: bytes) -> None:
        """Keep what was fetched."""
        with self._lock:
            self._content[digest] = content

    def content(self) -> dict[Digest, bytes]:
        """All that is at hand."""
        with self._lock:
            return dict(self._content)

    @contextmanager
    def turn(self, what: Location | Digest) -> Iterator[None]:
        """Wait while another thread fetches the same, or a tag of the same repository."""
        with self._lock:
            lock = self._turns.setdefault(what, threading.Lock())
        with lock:
            yield

    def may_hold(self, location: Location, reference: str) -> bool:
        """Whether it is worth asking what a tag or digest stands for before it is fetched.

        A digest is where it is at hand; a tag where an earlier bundle is, or another tag of the
        same repository.
        """
        with self._lock:
            seen = location in self._visited
            self._visited.add(location)
            if ":" in reference:
                return Digest.parse(reference) in self._content
            return seen or self._stocked
