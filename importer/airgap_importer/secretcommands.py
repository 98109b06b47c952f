"""How the secrets that an overlay refers to come into the cluster. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from airgap_importer.pullsecrets import PullSecrets

_HUB = ("docker.io", "https://index.docker.io/v1/")


def secrets_text(secrets: PullSecrets, registries: Sequence[str]) -> str:
    """A command for each secret, registry and namespace, without credentials; empty for none.

    What is printed may be pasted into a shell, so whatever the bundle says in it is quoted.
    """
    if not secrets.names:
        return ""
    if not secrets.references:
        return "no pod with a rewritten image, and no service account, could refer to a pull secret"
    commands = [
        f"  {_command(name, registry, namespace)}"
        for namespace in secrets.namespaces()
        for name in secrets.names
        for registry in registries
    ]
    lines = [
        f"{len(secrets.references)} pod specs and service accounts refer to pull secrets; create "
        "them with a user who may only pull:",
        *commands,
    ]
    if "" in secrets.namespaces():
        lines.append("  (without --namespace: in the namespace that you deploy into)")
    if secrets.unreached:
        lines.append(
            f"  {len(secrets.unreached)} places name images for pods that others make; those may "
            "need a service account or a setting of their own: see .airgap/coverage.json"
        )
    return "\n".join(lines)


def _command(name: str, registry: str, namespace: str) -> str:
    server = _HUB[1] if registry == _HUB[0] else registry
    words = ["kubectl", "create", "secret", "docker-registry", name]
    if namespace:
        words.append(f"--namespace={namespace}")
    words.append(f"--docker-server={server}")
    return f"{shlex.join(words)} --docker-username=USER --docker-password=PASSWORD"
