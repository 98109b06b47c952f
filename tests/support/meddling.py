"""A proxy behind whose back somebody changes the registry, at a moment that the test chooses."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from support.fault_proxy import FaultProxy, Recorded
from support.faults import Action


class MeddlingProxy(FaultProxy):
    """Calls ``deed`` before it passes on the ``hits`` requests that match, in their thread."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._moment = threading.Lock()
        self._method = self._path = "$^"
        self._first = 1
        self._left = 0
        self._deed: Callable[[], object] = lambda: None

    def meddle(
        self,
        deed: Callable[[], object],
        method: str,
        path: str,
        first: int = 1,
        times: int = 1,
    ) -> None:
        """Do it at the ``first`` request whose method and path match, ``times`` times in all."""
        with self._moment:
            self._deed, self._method, self._path = deed, method, path
            self._first, self._left = first, times

    def clear(self) -> None:
        """Forget rules and records, and meddle no more."""
        super().clear()
        with self._moment:
            self._left = 0

    def begin(self, request: Recorded) -> tuple[int, Action | None]:
        with self._moment:
            if re.search(self._method, request.method) and re.search(self._path, request.path):
                self._first -= 1
                if self._first <= 0 and self._left:
                    self._left -= 1
                    self._deed()
        return super().begin(request)
