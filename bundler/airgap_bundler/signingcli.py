"""``sign`` and ``export-sigstore``: further signatures, and the same ones for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_shared.console.inspection import BundleArgument, FormatOption
from airgap_shared.console.outcome import Format, command, print_result
from airgap_shared.console.signing import (
    PassphraseOption,
    SignerCommandOption,
    SignerOptions,
    SigningKeyOption,
)
from airgap_shared.console.trusting import (
    AppOption,
    KeysOption,
    NowOption,
    PolicyOption,
    SignaturesOption,
    ThresholdOption,
    TrustOptions,
    clock_reading,
    read_public_keys,
)

if TYPE_CHECKING:
    from airgap_shared.trust.envelope import Envelope, Signature
    from airgap_shared.trust.keys import PublicKey


def sign(
    bundle: BundleArgument,
    key: SigningKeyOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The signature file to write.")
    ],
    verify_keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--verify-key",
            metavar="PUB",
            help="Sign only what this key has signed already; may be given again, for all.",
        ),
    ] = None,
    add: Annotated[
        Path | None,
        typer.Option("--add", metavar="FILE", help="A signature file to add to, left as it is."),
    ] = None,
    signer_cmd: SignerCommandOption = None,
    passphrase_file: PassphraseOption = None,
    now: NowOption = "",
    form: FormatOption = Format.TEXT,
) -> None:
    """Sign what a bundle's first signature is over, without touching the bundle.

    The signature goes into a file of its own, which verify and apply take with --signature.

    Example: airgap-bundle sign shop.tar.zst --key me.key --verify-key vendor.pub -o me.dsse.json
    """
    with command(form, "nothing was written"):
        from airgap_shared.bundle.admission import Gate
        from airgap_shared.console.files import open_medium, write_new_file
        from airgap_shared.console.report import statement_document, statement_text
        from airgap_shared.errors import UsageError
        from airgap_shared.stores.opening import open_signed, open_statement
        from airgap_shared.stores.places import is_there
        from airgap_shared.trust.policy import TrustPolicy
        from airgap_shared.trust.signing import countersign

        signer = SignerOptions(key, passphrase_file, signer_cmd).signer()
        if is_there(output):
            raise UsageError("the file exists already", where=str(output))
        added = TrustOptions(signatures=[add] if add else [], now=now)
        earlier = added.detached()
        trusted = read_public_keys(verify_keys or [])
        if now and not trusted:
            raise UsageError("without --verify-key nothing is judged", where="--now")
        with open_medium(bundle) as medium:
            if trusted:
                policy = TrustPolicy.of_keys(trusted, len(set(trusted)))
                gate = Gate(policy, added.moment(clock_reading()))
                signed = open_statement(medium, gate, earlier)
                envelope, statement = signed.envelope, signed.statement
            else:
                envelope, statement = open_signed(medium, earlier)
        detached = countersign(envelope, earlier, signer)
        write_new_file(output, detached.to_json(), 0o644)
        key_id = signer.public_key.key_id
        verified = [one.key_id for one in trusted]
        before = ", ".join(verified) or "NOBODY YOU NAMED: no --verify-key was given"
        print_result(
            {
                "output": str(output),
                "keyId": key_id,
                "verified": verified,
                **statement_document(statement),
            },
            f"signed by {key_id}, into {output}\nsigned before by {before}\n\n"
            f"statement    {statement_document(statement)['statement']}\n"
            + statement_text(statement),
            form,
        )


def export_sigstore(
    bundle: BundleArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PREFIX", help="Writes PREFIX.sigstore.json, .2., and so on."
        ),
    ],
    keys: KeysOption = None,
    threshold: ThresholdOption = None,
    policy: PolicyOption = None,
    app: AppOption = "",
    signatures: SignaturesOption = None,
    now: NowOption = "",
    form: FormatOption = Format.TEXT,
) -> None:
    """Write the signatures of a bundle as Sigstore bundles, one each, for cosign to verify.

    With keys or a policy, the bundle is judged first and only trusted signatures are written.

    Example: airgap-bundle export-sigstore shop.tar.zst --key vendor.pub -o shop
    """
    with command(form, "nothing was written"):
        from airgap_shared.console.files import open_medium, write_new_files
        from airgap_shared.stores.opening import open_signed, open_statement
        from airgap_shared.trust.sigstore import compose_sigstore_bundle

        options = TrustOptions(keys, threshold, app, signatures, now, policy)
        with open_medium(bundle) as medium:
            if options.given:
                gate = options.gate(clock_reading())
                signed = open_statement(medium, gate, options.detached())
                envelope = signed.envelope
                chosen = _by(envelope, signed.candidate.signers)
            else:
                options.refuse_ignored()
                envelope, _ = open_signed(medium, options.detached())
                chosen = list(envelope.signatures)
        paths = [
            Path(f"{output}.sigstore.json" if number == 1 else f"{output}.{number}.sigstore.json")
            for number in range(1, len(chosen) + 1)
        ]
        documents = [compose_sigstore_bundle(envelope, signature) for signature in chosen]
        write_new_files([(path, text, 0o644) for path, text in zip(paths, documents, strict=True)])
        written = [
            {"file": str(path), "keyId": signature.key_id}
            for path, signature in zip(paths, chosen, strict=True)
        ]
        lines = [f"{entry['file']}  {entry['keyId']}" for entry in written]
        print_result({"verified": options.given, "bundles": written}, "\n".join(lines), form)


def _by(envelope: Envelope, signers: tuple[PublicKey, ...]) -> list[Signature]:
    """One signature of each of these keys, under the key's own name."""
    from airgap_shared.trust.envelope import signature_by

    found = (signature_by(envelope, key) for key in signers)
    return [signature for signature in found if signature is not None]
