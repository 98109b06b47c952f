"""What both command lines begin with: the application, its version, the shared commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

# Typer brings its option parser along, and shows only one of the parser's errors itself.
from typer._click.exceptions import NoArgsIsHelpError
from typer._click.exceptions import UsageError as UsageRefused
from typer.core import TyperGroup

from airgap_shared import __version__
from airgap_shared.console.inspection import inspect, verify
from airgap_shared.console.optionvalues import guard
from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_text
from airgap_shared.console.signals import silent_end
from airgap_shared.console.streams import silence
from airgap_shared.console.text import printable
from airgap_shared.errors import UsageError

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
        cls=_Commands,
        help=about,
        # Drawing help and tracebacks in colour costs 80 ms, and tracebacks could show secrets.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            print_text(f"{name} {__version__}")
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


class _Commands(TyperGroup):
    """Commands whose options, where they cannot be read, are refused as everything else is."""

    def main(  # the parser's own signature
        self,
        args: Sequence[str] | None = None,
        *others: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run a command; it ends the process with its exit code."""
        given = sys.argv[1:] if args is None else list(args)
        guard(self, print_text)
        try:
            code = super().main(given, *others, **{**more, "standalone_mode": False})
        except UsageRefused as problem:
            _refuse(problem, given)
            code = problem.exit_code
        sys.exit(code if isinstance(code, int) else 0)


def _refuse(problem: UsageRefused, given: Sequence[str]) -> None:
    """Tell what is wrong with the options; help is told where nothing was given."""
    if isinstance(problem, NoArgsIsHelpError):
        try:
            problem.show()
        except OSError:
            silence(sys.stderr)
        return
    with command(_format_in(given), NOTHING_CHANGED, always=True):
        advice = ""
        if problem.ctx is not None:
            with suppress(OSError):
                typer.echo(printable(problem.ctx.get_usage()), err=True)
            advice = f"see {problem.ctx.command_path} --help"
        raise UsageError(problem.format_message().rstrip("."), next_step=advice)


def _format_in(given: Sequence[str]) -> Format:
    """The format that the last --format names, though other options cannot be read."""
    form = Format.TEXT
    for option, value in zip(given, (*given[1:], ""), strict=True):
        if option == "--":
            break
        name, is_joined, joined = option.partition("=")
        if name == "--format":
            text = joined if is_joined else value
            form = Format.JSON if text == Format.JSON else Format.TEXT
    return form
