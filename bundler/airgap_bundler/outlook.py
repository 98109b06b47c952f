"""The outlook: whether registries that count pulls will let all images be had."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable

from airgap_shared.errors import AirgapError, RateLimited
from airgap_shared.stores.allowance import Allowance


class Outlook:
    """The images still to be resolved, by registry; used by several threads."""

    def __init__(self, registries: Iterable[str], note: Callable[[str], None]) -> None:
        self._left = Counter(registries)
        self._note = note
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._closed: dict[str, RateLimited] = {}

    @property
    def limited(self) -> bool:
        """Whether a registry gave nothing more."""
        return bool(self._closed)

    def enter(self, registry: str) -> None:
        """Go on with another image, unless its registry gives nothing more.

        Raises:
            RateLimited: the registry has refused another image for that reason.

        """
        with self._lock:
            if registry in self._closed:
                refusal = self._closed[registry]
                raise RateLimited(
                    "not asked for: the registry gives nothing more now",
                    where=registry,
                    next_step=refusal.next_step,
                )

    def refused(self, registry: str, problem: AirgapError) -> None:
        """Remember that a registry gives nothing more, if that is what the problem says."""
        if isinstance(problem, RateLimited):
            with self._lock:
                self._closed.setdefault(registry, problem)

    def resolved(self, registry: str, allowance: Allowance | None) -> None:
        """One image less; warn, once, when fewer pulls are left than there are images."""
        with self._lock:
            self._left[registry] -= 1
            left = self._left[registry]
            if allowance is None or allowance.remaining >= left or registry in self._warned:
                return
            self._warned.add(registry)
        self._note(
            f"warning: {registry} allows {allowance}, and {left} images are still to be resolved; "
            "if they do not suffice, log in or read from a --mirror"
        )
