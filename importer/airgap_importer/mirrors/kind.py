"""The kinds of configuration that a relocation can be written as."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Kind(enum.StrEnum):
    """Who reads a configuration; ``ALL`` is every one of them."""

    CONTAINERD = "containerd"
    K3S = "k3s"
    CRIO = "crio"
    OPENSHIFT = "openshift"
    HELM_VALUES = "helm-values"
    CSV = "csv"
    ALL = "all"


def expand(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """The kinds that are meant, each once, in the order in which they are declared."""
    chosen = set(kinds)
    return tuple(
        kind for kind in Kind if kind is not Kind.ALL and not chosen.isdisjoint({kind, Kind.ALL})
    )
