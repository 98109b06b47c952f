"""Places where text looks like a reference and is none that the application pulls."""

from __future__ import annotations

from typing import Final

from airgap_shared.kube.imagetokens import read_reference

_DOCUMENTATION: Final = frozenset(
    {
        "_example",
        "description",
        "documentation",
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)
_LABELS: Final = frozenset({"labels", "matchLabels", "nodeSelector"})
_BUILD_OUTPUTS: Final = frozenset({"output", "destination", "pushTo"})
_CLUSTER_SUFFIXES: Final = (".svc", ".svc.cluster.local", ".cluster.local")


def note_for_key(key: str, parts: tuple[str | int, ...]) -> str:
    """Why what stands under this key is no image to pull; empty when nothing says so.

    ``parts`` is the path to the mapping that has the key.
    """
    if key in _DOCUMENTATION:
        return "documentation"
    if key in _LABELS:
        return "labels"
    if key in _BUILD_OUTPUTS and parts:
        return "what a build makes, not what it needs"
    if key == "status" and not parts:
        return "a status, written by the cluster"
    return ""


def note_for_text(text: str) -> str:
    """Why this reference is no image to pull; empty when nothing says so."""
    reference = read_reference(text)
    if reference is None:
        return ""
    host = reference.registry.partition(":")[0]
    return "its registry is inside the cluster" if host.endswith(_CLUSTER_SUFFIXES) else ""
