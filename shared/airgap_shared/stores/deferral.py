"""Deferred imports: what a library loads on the chance that it is needed, loaded when it is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


class _Deferred(ModuleType):
    """Stands for a module until an attribute of it is asked for.

    importlib's LazyLoader does not do: a second ``import`` of the module has it loaded already.
    """

    def __getattr__(self, attribute: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        loaded = importlib.import_module(self.__name__)
        return getattr(loaded, attribute)


def defer(name: str) -> None:
    """Have a module loaded by its first use, not by its import; not if it is loaded already."""
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is not None:
        module = _Deferred(name)
        module.__spec__ = spec
        sys.modules[name] = module
