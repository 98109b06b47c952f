"""The options of apply for what is written besides the overlay, or into it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_importer.mirrors.kind import Kind

if TYPE_CHECKING:
    from airgap_importer.apply import Applied
    from airgap_importer.outputs import Outputs
    from airgap_importer.relocation import Relocation, Target
    from airgap_importer.rewriting import Overlay

MirrorsOption = Annotated[
    list[Kind] | None,
    typer.Option(
        "--mirror-config",
        help="Also write such a mirror configuration to DIR/.airgap/mirrors; may be repeated.",
    ),
]
PullSecretsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pull-secret",
        metavar="NAME",
        help="A secret of the cluster that pods and service accounts shall pull with; may be "
        "repeated. Not remembered: give it to each apply.",
    ),
]


def parse_outputs(
    kinds: Iterable[Kind] | None, plain_http: bool, pull_secrets: Iterable[str] | None
) -> Outputs:
    """What was asked for.

    Raises:
        UsageError: a name is none of a secret.

    """
    from airgap_importer.outputs import Outputs
    from airgap_importer.pullsecrets import parse_secret_names

    return Outputs(tuple(kinds or ()), plain_http, parse_secret_names(pull_secrets or ()))


def pulls_plainly(pull_endpoint: str, target: Target, plain_http: bool) -> bool:
    """Whether the cluster pulls without TLS: as the pull endpoint says, or as is pushed there.

    ``plain_http`` was said of the registry that is pushed to, and of no other.
    """
    scheme, separator, _ = pull_endpoint.lower().partition("://")
    if separator:
        return scheme == "http"
    pulled = target.pull or target
    return plain_http and pulled.registry.lower() == target.registry.lower()


def secrets_of(overlay: Overlay, relocation: Relocation) -> str:
    """The commands for the pull secrets that an overlay refers to; empty for none."""
    from airgap_importer.secretcommands import secrets_text

    registries = sorted({image.registry for image in relocation.images.values()})
    return secrets_text(overlay.secrets, registries)


def outputs_text(applied: Applied) -> str:
    """What else there is after an import, and what is left to do for it: lines after a result."""
    from airgap_importer.mirrors.folder import written_text

    texts = [secrets_of(applied.coverage.overlay, applied.relocation)]
    if applied.mirrors.by_kind:
        texts.append(written_text(applied.mirrors, applied.output))
        texts += [f"  {note}" for note in applied.mirrors.notes]
    return "".join(f"\n{text}" for text in texts if text)
