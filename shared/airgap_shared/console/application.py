"""What both command lines begin with: the application, its version, the shared commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airgap_shared import __version__
from airgap_shared.console.inspection import inspect, verify
from airgap_shared.console.outcome import command
from airgap_shared.console.signals import silent_end

CaFileOption = Annotated[
    Path | None,
    typer.Option("--ca-file", metavar="FILE", help="Certificates to trust, in PEM form."),
]
AuthfileOption = Annotated[
    Path | None,
    typer.Option("--authfile", metavar="FILE", help="Credentials, as docker login writes them."),
]
CertFileOption = Annotated[
    Path | None,
    typer.Option("--cert-file", metavar="FILE", help="A client certificate, in PEM form."),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="The key of the client certificate."),
]
TokenHostsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--token-host",
        metavar="HOST",
        help="Another host that may see the credentials, to issue tokens.",
    ),
]

UploadHostsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--upload-host",
        metavar="HOST",
        help="Another host that may get the content; it never sees the credentials.",
    ),
]


def make_application(name: str, about: str) -> typer.Typer:
    """A command line with --version, inspect and verify."""
    application = typer.Typer(
        name=name,
        help=about,
        # Drawing help and tracebacks in colour costs 80 ms, and tracebacks could show secrets.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"{name} {__version__}")
            raise typer.Exit

    # Not Annotated: typer looks names in annotations up in the module, not in this function.
    shown = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version and exit."
    )

    @application.callback()
    def options(version: bool = shown) -> None: ...

    application.command("inspect")(inspect)
    application.command("verify")(verify)
    return application


def run_application(application: typer.Typer) -> None:
    """Run a command line; a signal outside of any command is told as one inside is."""
    with silent_end(), command():
        application()
