"""``inspect`` and ``verify``: the same two commands on both sides of the gap."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_result
from airgap_shared.console.trusting import (
    AppOption,
    KeysOption,
    NowOption,
    PolicyOption,
    SignaturesOption,
    ThresholdOption,
    TrustOptions,
    clock_reading,
)

if TYPE_CHECKING:
    from airgap_shared.bundle.statement import Statement
    from airgap_shared.stores.opening import VerifiedBundle

BundleArgument = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="The bundle file, or - for standard input.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, max=64, help="How many transfers run at once.")
]


UntrustedOption = Annotated[
    bool,
    typer.Option("--untrusted", help="Verify nothing and say so; the default without a key."),
]


def inspect(
    bundle: BundleArgument,
    keys: KeysOption = None,
    threshold: ThresholdOption = None,
    policy: PolicyOption = None,
    app: AppOption = "",
    signatures: SignaturesOption = None,
    now: NowOption = "",
    untrusted: UntrustedOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show what a bundle says is inside. With a key or policy, only if it is signed as it must be.

    The content is not read; use verify before you rely on it.

    Example: airgap-import inspect shop.tar.zst
    """
    with command(form, NOTHING_CHANGED, always=True):
        from airgap_shared.console.files import open_medium
        from airgap_shared.console.report import statement_document, statement_text
        from airgap_shared.stores.opening import open_statement, read_statement

        options = TrustOptions(keys, threshold, app, signatures, now, policy)
        if untrusted or not options.given:
            options.refuse_ignored()
            with open_medium(bundle) as medium:
                statement = read_statement(medium)
            banner = "NOT VERIFIED: this is what the file says of itself\n\n"
            facts: dict[str, object] = {"verified": False}
        else:
            gate = options.gate(clock_reading())
            with open_medium(bundle) as medium:
                signed = open_statement(medium, gate, options.detached())
            statement = signed.statement
            signers = [key.key_id for key in signed.candidate.signers]
            banner = f"signed by {', '.join(signers)}; the content was not read\n\n"
            facts = {"verified": False, "signed": True, "signers": signers}
        text = banner + statement_text(statement)
        print_result({**facts, **statement_document(statement)}, text, form)


def verify(
    bundle: BundleArgument,
    keys: KeysOption = None,
    threshold: ThresholdOption = None,
    policy: PolicyOption = None,
    app: AppOption = "",
    signatures: SignaturesOption = None,
    now: NowOption = "",
    jobs: JobsOption = 4,
    form: FormatOption = Format.TEXT,
) -> None:
    """Verify the signature and every byte of a bundle.

    Example: airgap-import verify shop.tar.zst --key vendor.pub
    """
    with command(form, NOTHING_CHANGED, always=True):
        from airgap_shared.console.files import open_medium
        from airgap_shared.console.progress import open_progress
        from airgap_shared.stores.opening import open_bundle, verify_blobs

        options = TrustOptions(keys, threshold, app, signatures, now, policy)
        gate = options.gate(clock_reading())
        progress = open_progress(sys.stderr, sys.stderr.isatty())
        with open_medium(bundle) as medium:
            verified = open_bundle(medium, gate, detached=options.detached())
            verify_blobs(verified, jobs, progress)
        _print_verified(verified, bundle, form)


def _print_verified(verified: VerifiedBundle, name: str, form: Format) -> None:
    from airgap_shared.console.report import statement_document
    from airgap_shared.console.text import byte_size

    statement = verified.statement
    signers = [key.key_id for key in verified.candidate.signers]
    release = statement.release
    print_result(
        {"verified": True, "signers": signers, **statement_document(statement)},
        f"OK: {name} is {release.app} {release.version}, signed by {', '.join(signers)}; "
        f"{len(statement.members)} members, {byte_size(statement.total_size)}, "
        f"{len(statement.images)} images: every byte is as signed" + _attached(statement),
        form,
    )


def _attached(statement: Statement) -> str:
    """What is attached to the images, and whose signatures were checked at create."""
    from airgap_shared.bundle.attachments import count_kinds

    text = ""
    attached = count_kinds(one.kind for image in statement.images for one in image.attached)
    if attached:
        text += f"\nattached to the images: {attached}"
    checked = [image for image in statement.images if image.signed_by]
    if checked:
        keys = {one.key for image in checked for one in image.signed_by}
        text += (
            f"\nsignatures of {len(checked)} of {len(statement.images)} images were checked before "
            f"they were bundled, by {', '.join(sorted(keys))}"
        )
    return text
