"""``airgap-import trust``: making, showing, changing, signing and updating a trust policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_importer.trustoptions import (
    AgeOption,
    AppRollbackOption,
    AppWithoutOption,
    ChannelOption,
    DraftOption,
    KeptOwnerOption,
    KeptQuorumOption,
    KeyWithoutOption,
    OwnerOption,
    PolicyFileOption,
    PrefixOption,
    QuorumOption,
    RollbackOption,
)
from airgap_shared.console.inspection import FormatOption
from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_result
from airgap_shared.console.signing import (
    PassphraseOption,
    SignerCommandOption,
    SignerOptions,
    SigningKeyOption,
)
from airgap_shared.console.trusting import (
    DEFAULT_POLICY,
    NowOption,
    TrustOptions,
    clock_reading,
    parse_moment,
    read_public_keys,
)

if TYPE_CHECKING:
    from airgap_shared.trust.keys import PublicKey
    from airgap_shared.trust.policy import TrustPolicy

trust = typer.Typer(
    help="Make, show and change the policy that says whom this host trusts, and for what.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@trust.command("create")
def create(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The policy to write.")
    ],
    keys: Annotated[
        list[Path],
        typer.Option("--key", metavar="PUB", help="A public key to trust; may be given again."),
    ],
    apps: Annotated[
        list[str],
        typer.Option(
            "--app", metavar="NAME", help="An application, or '*' for any; may be given again."
        ),
    ],
    owner: OwnerOption = "",
    channel: ChannelOption = None,
    threshold: QuorumOption = 1,
    max_age_days: AgeOption = None,
    registry_prefix: PrefixOption = None,
    allow_rollback: RollbackOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write version 1 of a policy: these keys may sign these applications.

    Example: airgap-import trust create -o policy.json --key vendor.pub --app shop
    """
    with command(form, "nothing was written"):
        from airgap_shared.console.files import write_new_file
        from airgap_shared.stores.policystore import check_place
        from airgap_shared.trust.policy import AppTrust, TrustedKey, TrustPolicy
        from airgap_shared.trust.policyfile import compose_policy, parse_policy

        public = tuple(dict.fromkeys(read_public_keys(keys)))
        age = _age(max_age_days)
        entries = tuple(
            AppTrust(
                *(public, _app_name(name), channel, threshold, age),
                allow_rollback=allow_rollback,
                registry_prefix=registry_prefix or "",
            )
            for name in apps
        )
        policy = TrustPolicy(tuple(TrustedKey(key, owner) for key in public), entries, version=1)
        content = compose_policy(policy)
        # What no reader would take is refused before it is written.
        policy = parse_policy(content, str(output))
        check_place(output)
        write_new_file(output, content, 0o644)
        _print_policy(policy, f"wrote {output}", form)


@trust.command("show")
def show(policy: PolicyFileOption = DEFAULT_POLICY, form: FormatOption = Format.TEXT) -> None:
    """Show a policy: who may sign what, and which keys are revoked.

    Example: airgap-import trust show
    """
    with command(form, NOTHING_CHANGED, always=True):
        from airgap_shared.stores.policystore import load_policy

        _print_policy(load_policy(policy), str(policy), form)


@trust.command("add-key")
def add_key(
    key: Annotated[Path, typer.Argument(metavar="PUB", help="The public key.")],
    apps: Annotated[
        list[str] | None,
        typer.Option("--app", metavar="NAME", help="It may sign this application; again for more."),
    ] = None,
    owner: KeptOwnerOption = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", metavar="TIME", help="It counts from then on.")
    ] = None,
    not_after: Annotated[
        str | None, typer.Option("--not-after", metavar="TIME", help="It counts until then.")
    ] = None,
    without: KeyWithoutOption = None,
    policy: PolicyFileOption = DEFAULT_POLICY,
    draft: DraftOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Add a key, or change what is said of one; what is not given stays as it is.

    Example: airgap-import trust add-key new.pub --app shop --owner 'vendor, 2027'
    """
    with command(form, NOTHING_CHANGED):
        from airgap_shared.trust.policyedits import KeyTerms, with_key

        (public,) = read_public_keys([key])
        start = None if not_before is None else parse_moment(not_before, "--not-before")
        end = None if not_after is None else parse_moment(not_after, "--not-after")
        terms = KeyTerms(owner, start, end, without or ())
        _edit(policy, draft, lambda before: with_key(before, public, terms, apps or ()), form)


@trust.command("add-app")
def add_app(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The application, or '*' for any.")],
    key_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--key-id",
            metavar="ID",
            help="A key that may sign it; default: those it had, all for a new one.",
        ),
    ] = None,
    channel: ChannelOption = None,
    threshold: KeptQuorumOption = None,
    max_age_days: AgeOption = None,
    registry_prefix: PrefixOption = None,
    allow_rollback: AppRollbackOption = None,
    without: AppWithoutOption = None,
    policy: PolicyFileOption = DEFAULT_POLICY,
    draft: DraftOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Add an application, or change what is asked of one; what is not given stays as it is.

    Example: airgap-import trust add-app bank --key-id SHA256:… --threshold 1
    """
    with command(form, NOTHING_CHANGED):
        from airgap_shared.trust.policyedits import AppTerms, with_app

        app = _app_name(name)
        age = _age(max_age_days)

        def change(before: TrustPolicy) -> TrustPolicy:
            keys = _keys_named(before, key_ids)
            terms = AppTerms(keys, threshold, age, allow_rollback, registry_prefix, without or ())
            return with_app(before, app, channel, terms)

        _edit(policy, draft, change, form)


@trust.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEYID", help="The key's id, SHA256:….")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for people.")],
    policy: PolicyFileOption = DEFAULT_POLICY,
    draft: DraftOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Trust a key no more, for ever, whatever it signed and whenever.

    Example: airgap-import trust revoke SHA256:… --reason 'laptop stolen'
    """
    with command(form, NOTHING_CHANGED):
        from airgap_shared.trust.policy import Revocation
        from airgap_shared.trust.policyedits import with_revocation
        from airgap_shared.trust.policyfile import check_key_id

        entry = Revocation(check_key_id(key_id, "KEYID"), reason, clock_reading())
        _edit(policy, draft, lambda before: with_revocation(before, entry), form)


@trust.command("sign")
def sign(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help="The policy to sign.")],
    key: SigningKeyOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The signed policy to write.")
    ],
    add: Annotated[
        Path | None,
        typer.Option("--add", metavar="FILE", help="The policy as others signed it before."),
    ] = None,
    signer_cmd: SignerCommandOption = None,
    passphrase_file: PassphraseOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Sign a policy, for hosts that have the version before it.

    Example: airgap-import trust sign policy-4.json --key officer.key -o policy-4.dsse.json
    """
    with command(form, "nothing was written"):
        from airgap_shared.console.files import write_new_file
        from airgap_shared.stores.policystore import load_policy
        from airgap_shared.trust.envelope import PAYLOAD_TYPE, Envelope
        from airgap_shared.trust.policyfile import as_read
        from airgap_shared.trust.policyupdate import compose_policy_statement
        from airgap_shared.trust.signing import countersign
        from airgap_shared.trust.unsealing import join_signatures

        signer = SignerOptions(key, passphrase_file, signer_cmd).signer()
        # What will be in force is longer than a draft that spares spaces.
        policy = as_read(load_policy(draft), str(draft))
        earlier = TrustOptions(signatures=[add] if add else []).detached()
        unsigned = Envelope(PAYLOAD_TYPE, compose_policy_statement(policy), ())
        signed = countersign(join_signatures(unsigned, earlier), earlier, signer)
        write_new_file(output, signed.to_json(), 0o644)
        _print_policy(policy, f"signed by {signer.public_key.key_id}, into {output}", form)


@trust.command("update")
def update(
    signed: Annotated[Path, typer.Argument(metavar="SIGNED", help="What trust sign wrote.")],
    policy: PolicyFileOption = DEFAULT_POLICY,
    now: NowOption = "",
    form: FormatOption = Format.TEXT,
) -> None:
    """Put the next version into force, if those that the present one names have signed it.

    Example: airgap-import trust update policy-4.dsse.json
    """
    with command(form, "the policy in force was kept"):
        from airgap_shared.console.files import read_input
        from airgap_shared.stores.policystore import hold_policy
        from airgap_shared.trust.envelope import ENVELOPE_LIMIT, parse_envelope
        from airgap_shared.trust.policyupdate import (
            accept_successor,
            compose_acceptance,
            compose_policy_statement,
        )

        raw = read_input(signed, ENVELOPE_LIMIT)
        envelope = parse_envelope(raw, str(signed))
        clock = clock_reading()
        moment = parse_moment(now, "--now") if now else clock
        with hold_policy(policy) as held:
            if envelope.payload == compose_policy_statement(held.policy):
                _print_policy(held.policy, f"{policy} is this version already", form, held.policy)
                return
            successor = accept_successor(envelope, held.policy, moment)
            acceptance = compose_acceptance(successor, moment, clock) if now else b""
            held.replace(successor.policy, raw, acceptance)
        by = ", ".join(key.key_id for key in successor.signers)
        judged = f", judged by --now {now}, which is recorded" if now else ""
        done = f"{policy} was updated, signed by {by}{judged}"
        _print_policy(successor.policy, done, form, held.policy)


def _edit(
    path: Path, draft: Path | None, change: Callable[[TrustPolicy], TrustPolicy], form: Format
) -> None:
    """Change the policy in force, or the draft of its next version, and show what came of it."""
    from airgap_importer.policyediting import edit_draft, edit_policy

    if draft is None:
        edit, done = edit_policy(path, change), f"{path} was changed"
    else:
        edit = edit_draft(draft, path, change)
        done = f"wrote {draft}; {path} was not changed"
    _print_policy(edit.after, done, form, edit.before)


def _age(days: int | None) -> timedelta | None:
    from airgap_shared.errors import UsageError
    from airgap_shared.trust.limits import DAYS_LIMIT

    if days is None:
        return None
    if not 1 <= days <= DAYS_LIMIT:
        raise UsageError(f"expected a number from 1 to {DAYS_LIMIT}", where="--max-age-days")
    return timedelta(days=days)


def _app_name(name: str) -> str | None:
    from airgap_shared.bundle.names import is_application_name
    from airgap_shared.errors import UsageError
    from airgap_shared.trust.policyfile import ANY

    if name == ANY:
        return None
    if not is_application_name(name):
        raise UsageError(
            f"not an application name: {name[:100]!r}", next_step="or write '*' for any"
        )
    return name


def _keys_named(policy: TrustPolicy, key_ids: list[str] | None) -> tuple[PublicKey, ...] | None:
    from airgap_shared.errors import PolicyInvalid

    if key_ids is None:
        return None
    known = {entry.key.key_id: entry.key for entry in policy.keys}
    for key_id in key_ids:
        if key_id not in known:
            raise PolicyInvalid(
                f"the key {key_id[:100]} is not among the keys", next_step="add it with add-key"
            )
    return tuple(dict.fromkeys(known[key_id] for key_id in key_ids))


def _print_policy(
    policy: TrustPolicy, done: str, form: Format, before: TrustPolicy | None = None
) -> None:
    """Show a policy, and what of it is otherwise than before."""
    from airgap_importer.policyreport import change_documents, change_lines, report_lines
    from airgap_shared.console.text import in_one_line
    from airgap_shared.trust.policychanges import changes_between
    from airgap_shared.trust.policyedits import unreachable
    from airgap_shared.trust.policyfile import policy_document

    warnings = unreachable(policy)
    document: dict[str, object] = {"policy": policy_document(policy), "warnings": warnings}
    lines = [done, ""]
    if before is not None:
        changes = changes_between(before, policy)
        document["changes"] = change_documents(changes)
        lines += [*change_lines(changes), ""]
    lines += [*report_lines(policy), *(f"warning: {text}" for text in warnings)]
    # No text of a policy or file name makes lines that are not ours.
    print_result(document, "\n".join(map(in_one_line, lines)), form)
