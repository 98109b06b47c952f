"""The options of apply about creating repositories."""

from __future__ import annotations

from typing import Annotated

import typer

CreateOption = Annotated[
    bool,
    typer.Option(
        "--create-repositories",
        help="Create the repositories (ECR), project (Harbor) or organization and repositories "
        "(Quay) that are missing.",
    ),
]
EcrImmutableOption = Annotated[
    bool,
    typer.Option("--ecr-immutable-tags", help="Create repositories of ECR with immutable tags."),
]
EcrScanOption = Annotated[
    bool,
    typer.Option("--ecr-scan-on-push", help="Have ECR scan images in repositories it creates."),
]
EcrKeyOption = Annotated[
    str,
    typer.Option(
        "--ecr-kms-key",
        metavar="KEY",
        help="Create repositories of ECR encrypted with this key of KMS: ARN, id or alias.",
    ),
]
