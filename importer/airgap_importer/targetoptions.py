"""The options of apply about the registry: its kind, the names in it, where clusters pull from."""

from __future__ import annotations

from typing import Annotated

import typer

from airgap_importer.naming import Naming
from airgap_importer.registrykind import RegistryKind

RegistryTypeOption = Annotated[
    RegistryKind,
    typer.Option(
        "--registry-type",
        help="What kind of registry it is, where its host and answers do not tell.",
    ),
]
NamingOption = Annotated[
    Naming,
    typer.Option(
        "--naming",
        help="What images are called below the namespace: the last part of their name, their host "
        "and whole path, or the same as one part.",
    ),
]
PullEndpointOption = Annotated[
    str,
    typer.Option(
        "--pull-endpoint",
        metavar="HOST[:PORT][/PREFIX]",
        help="The registry as the cluster names it, where that is not the one pushed to.",
    ),
]
