"""The options of ``airgap-import trust``: which policy, and what it shall say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airgap_shared.trust.limits import AppLimit, KeyLimit

PolicyFileOption = Annotated[
    Path, typer.Option("--policy", metavar="FILE", help="The policy; default: this host's.")
]
DraftOption = Annotated[
    Path | None,
    typer.Option(
        "--draft",
        metavar="FILE",
        help="Change nothing; write what shall be the next version there, to be signed.",
    ),
]
OwnerOption = Annotated[str, typer.Option("--owner", metavar="TEXT", help="Whose key it is.")]
ChannelOption = Annotated[
    str | None, typer.Option("--channel", metavar="NAME", help="Only this channel.")
]
KeptOwnerOption = Annotated[
    str | None,
    typer.Option("--owner", metavar="TEXT", help="Whose key it is; default: as it was."),
]
KeyWithoutOption = Annotated[
    list[KeyLimit] | None,
    typer.Option("--without", help="Take this end of its time away; again for both."),
]
QuorumOption = Annotated[
    int, typer.Option("--threshold", metavar="N", help="How many of its keys must have signed.")
]
KeptQuorumOption = Annotated[
    int | None,
    typer.Option(
        "--threshold",
        metavar="N",
        help="How many of its keys must have signed; default: as it was, 1 for a new one.",
    ),
]
AgeOption = Annotated[
    int | None,
    typer.Option("--max-age-days", metavar="N", help="Take no bundle made longer ago."),
]
PrefixOption = Annotated[
    str | None,
    typer.Option("--registry-prefix", metavar="HOST/PATH", help="Import into no other place."),
]
RollbackOption = Annotated[
    bool, typer.Option("--allow-rollback", help="Whoever imports may agree to go back.")
]
AppRollbackOption = Annotated[
    bool | None,
    typer.Option(
        "--allow-rollback/--forbid-rollback",
        help="Whether whoever imports may agree to go back; default: as it was, no for a new one.",
    ),
]
AppWithoutOption = Annotated[
    list[AppLimit] | None,
    typer.Option("--without", help="Take this limit away; again for both."),
]
