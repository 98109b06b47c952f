"""The commands about what came before: status, audit, and the state itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_shared.console.access import state_folder
from airgap_shared.console.application import (
    AuthfileOption,
    CaFileOption,
    CertFileOption,
    KeyFileOption,
    TokenHostsOption,
)
from airgap_shared.console.inspection import FormatOption
from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_result
from airgap_shared.console.trusting import PolicyOption, clock_reading, host_policy
from airgap_shared.trust.limits import DAYS_LIMIT

if TYPE_CHECKING:
    from airgap_importer.history.journal import Unfinished
    from airgap_importer.history.status import Standing

StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        help="Where imports are remembered; default: AIRGAP_STATE_DIR, or airgap-import in the "
        "user's state folder.",
    ),
]
EndpointOption = Annotated[
    str,
    typer.Option(
        "--registry-endpoint", metavar="HOST[:PORT][/PREFIX]", help="The private registry."
    ),
]
NamespaceOption = Annotated[
    str,
    typer.Option("--image-namespace", metavar="NS", help="The path all images get; may be empty."),
]
PlainHttpOption = Annotated[bool, typer.Option("--plain-http", help="The registry has no TLS.")]
UsernameOption = Annotated[
    str | None, typer.Option("--username", "-u", metavar="NAME", help="The user to push as.")
]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]

state_app = typer.Typer(
    name="state",
    help="What this host remembers of imports, which keeps older bundles out.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


def status(
    max_age_days: Annotated[
        int | None,
        typer.Option(
            "--max-age-days", min=0, max=DAYS_LIMIT, metavar="N", help="How old a bundle may be."
        ),
    ] = None,
    fail_stale: Annotated[
        bool, typer.Option("--fail-stale", help="Fail (12) when a newer bundle is due.")
    ] = False,
    policy: PolicyOption = None,
    state_dir: StateDirOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show what was imported on this host, how old it is, and what did not come to its end.

    Example: airgap-import status --fail-stale
    """
    with command(form, NOTHING_CHANGED, always=True):
        from datetime import timedelta

        from airgap_importer.history.folder import latest_seen
        from airgap_importer.history.status import first_imports, refuse_stale, standings

        max_age = None if max_age_days is None else timedelta(days=max_age_days)
        folder, now = state_folder(state_dir), clock_reading()
        # A clock that was set back makes nothing fresh.
        now = max(now, latest_seen(folder) or now)
        found = standings(folder, now, host_policy(policy), max_age)
        begun = first_imports(folder)
        document = {
            "applications": [one.to_document() for one in found],
            "begun": [{"app": one.app, "target": one.target, **one.to_document()} for one in begun],
        }
        if fail_stale:
            refuse_stale(found)
        print_result(document, _text(found, begun), form)


def audit(state_dir: StateDirOption = None, form: FormatOption = Format.TEXT) -> None:
    """Show every import on this host, and prove that no line of that log was changed.

    Example: airgap-import audit
    """
    with command(form, NOTHING_CHANGED, always=True):
        from airgap_importer.history.auditlog import check_end, read_entries
        from airgap_importer.history.folder import all_states

        folder = state_folder(state_dir)
        # In this order: an import that ends meanwhile writes its line before its state.
        states = list(all_states(folder))
        entries = read_entries(folder)
        check_end(entries, (one for state in states for one in state.channels.values()))
        lines = [f"{entry.number:5}  {_line(entry.facts)}" for entry in entries]
        head = entries[-1].digest if entries else None
        print_result(
            {"entries": [dict(entry.facts) for entry in entries], "head": head},
            "\n".join([*lines, f"{len(entries)} lines, chain whole, head {head or 'none'}"]),
            form,
        )


@state_app.command()
def rebuild(
    endpoint: EndpointOption,
    namespace: NamespaceOption,
    app: Annotated[str, typer.Option("--app", metavar="NAME", help="The application.")],
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="The release channel.")
    ] = "stable",
    plain_http: PlainHttpOption = False,
    ca_file: CaFileOption = None,
    cert_file: CertFileOption = None,
    key_file: KeyFileOption = None,
    token_hosts: TokenHostsOption = None,
    authfile: AuthfileOption = None,
    username: UsernameOption = None,
    password_stdin: PasswordOption = False,
    state_dir: StateDirOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make a lost or damaged state again from the receipt in the registry.

    What this host remembers and can still read is never lowered.

    Example: airgap-import state rebuild --registry-endpoint registry.bank.example \
        --image-namespace shop --app shop
    """
    with command(form, NOTHING_CHANGED):
        import sys

        from airgap_importer.history.rebuilding import rebuild_state
        from airgap_importer.relocation import parse_target
        from airgap_shared.console.access import (
            RegistryOptions,
            given_credential,
            open_registries,
        )
        from airgap_shared.console.progress import open_progress

        _check_release(app, channel)
        target = parse_target(endpoint, namespace, plain_http)
        options = RegistryOptions(
            (target.registry,) if plain_http else (),
            ca_file,
            cert_file,
            key_file,
            tuple(token_hosts or ()),
            authfile,
            given_credential(username, password_stdin),
        )
        progress = open_progress(sys.stderr, sys.stderr.isatty())
        with open_registries(options, 1, progress.note) as registries:
            registry = registries.open(target.registry)
            rebuilt = rebuild_state(state_folder(state_dir), registry, target, app, channel)
        receipt = rebuilt.receipt
        if rebuilt.set_aside:
            progress.note(
                f"warning: the damaged state may have known other channels than {channel}: rebuild "
                f"each of them, too; what was there is kept as state.json.damaged"
            )
        print_result(
            {"target": str(target), "setAside": rebuilt.set_aside, **receipt.to_document()},
            f"{app} ({channel}) in {target} stands at {receipt.version}, "
            f"sequence {receipt.sequence}",
            form,
        )


@state_app.command()
def reset_clock(state_dir: StateDirOption = None, form: FormatOption = Format.TEXT) -> None:
    """Forget times that are yet to come, after imports under a clock that was ahead.

    Set the clock right first. It is recorded in the audit log.

    Example: airgap-import state reset-clock
    """
    with command(form):
        from airgap_importer.history.clockreset import reset_clock as reset
        from airgap_shared.oci.moment import format_time

        now = clock_reading()
        latest = reset(state_folder(state_dir), now)
        was = format_time(latest) if latest is not None else None
        text = f"forgotten: {was}; the time is {format_time(now)}" if was else "nothing to forget"
        print_result({"now": format_time(now), "was": was}, text, form)


def _line(facts: Mapping[str, object]) -> str:
    """An entry of the audit log for people."""
    if facts.get("ev") == "clock":
        return f"{facts.get('at')}  clock  reset from {facts.get('was')}"
    return (
        f"{facts.get('at')}  {facts.get('ev')}  "
        f"{facts.get('app')} {facts.get('version')} → {facts.get('target')}"
    )


def _check_release(app: str, channel: str) -> None:
    """Refuse names that no receipt can have, before anything is asked for."""
    from airgap_shared.bundle.names import is_application_name, is_label
    from airgap_shared.errors import UsageError

    if not is_application_name(app):
        raise UsageError(
            f"not an application name: {app[:100]!r}",
            where="--app",
            next_step="use the name that airgap-import inspect shows",
        )
    if not is_label(channel):
        raise UsageError("use 1–128 printable ASCII characters", where="--channel")


def _text(found: tuple[Standing, ...], begun: tuple[Unfinished, ...]) -> str:
    lines = [f"{one.app} in {one.target}: {one}; run apply again" for one in begun]
    if not found:
        return "\n".join([*lines, "nothing was imported on this host"])
    for one in found:
        receipt = one.receipt
        lines.append(
            f"{receipt.app} {receipt.version} ({receipt.channel}, sequence {receipt.sequence}) "
            f"in {one.target}\n"
            f"  made {receipt.created:%Y-%m-%d}, {one.age.days} days ago; imported "
            f"{receipt.accepted:%Y-%m-%d}; use before {receipt.expires:%Y-%m-%d}\n"
            f"  signed by {', '.join(receipt.signers)}"
        )
        if one.stale:
            lines.append(f"  STALE: {one.stale}")
        if one.unfinished is not None:
            lines.append(f"  {one.unfinished}; run apply again")
    return "\n".join(lines)
