"""The command line of airgap-bundle: flags to values, wiring, printing, exit codes."""

from __future__ import annotations

import os
import platform as machine
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_bundler import results
from airgap_bundler.signingcli import export_sigstore, sign
from airgap_shared.console.application import (
    AuthfileOption,
    CaFileOption,
    CertFileOption,
    KeyFileOption,
    TokenHostsOption,
    make_application,
    run_application,
)
from airgap_shared.console.inspection import FormatOption, JobsOption
from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_result
from airgap_shared.console.signing import (
    PassphraseOption,
    SchemeChoice,
    SignerCommandOption,
    SignerOptions,
    SigningKeyOption,
)
from airgap_shared.console.splitting import SplitOption, parse_part_size
from airgap_shared.console.splitting import split as split_command

if TYPE_CHECKING:
    from airgap_bundler.gathering import Gathered

app = make_application(
    "airgap-bundle",
    "Carry a Kubernetes application into a network with no way in but a disk: "
    "put it and every image it needs into one signed file.",
)

app.command("sign")(sign)
app.command("export-sigstore")(export_sigstore)

app.command("split")(split_command)

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE...", help="Files or folders of Kubernetes manifests; - for standard input."
    ),
]
ImagesOption = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="REF", help="An image to add; may be given again."),
]
ImagesFileOption = Annotated[
    Path | None,
    typer.Option("--images-file", metavar="FILE", help="Images to add, one a line."),
]
RulesOption = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="Your own rules for finding images (YAML)."),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="Fail when text is undecided, or a kustomization in a folder not applied."
    ),
]


@app.command()
def keygen(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Writes PREFIX.key and PREFIX.pub.")
    ],
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file", metavar="FILE", help="Encrypt the key; first line of FILE."
        ),
    ] = None,
    scheme: Annotated[
        SchemeChoice, typer.Option("--scheme", help="The kind of key; RSA is of 3072 bits.")
    ] = SchemeChoice.ECDSA_P256,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make a signing key: PREFIX.key stays with you, PREFIX.pub goes to receivers.

    Example: airgap-bundle keygen vendor
    """
    with command(form, "nothing was written"):
        from airgap_shared.console.files import write_new_files
        from airgap_shared.console.signing import read_passphrase
        from airgap_shared.errors import UsageError
        from airgap_shared.trust.keys import Scheme
        from airgap_shared.trust.privatekey import PrivateKey

        if not prefix or prefix.endswith("/"):
            raise UsageError("PREFIX names no file", next_step="for example: keygen vendor")
        private, public = Path(f"{prefix}.key"), Path(f"{prefix}.pub")
        key = PrivateKey.generate(Scheme(scheme.value))
        pem = key.to_pem(read_passphrase(passphrase_file))
        write_new_files([(public, key.public_key.pem, 0o644), (private, pem, 0o600)])
        key_id = key.public_key.key_id
        print_result(
            {
                "keyId": key_id,
                "scheme": scheme.value,
                "privateKey": str(private),
                "publicKey": str(public),
            },
            f"key id       {key_id}\n"
            f"private key  {private}  (keep it secret)\n"
            f"public key   {public}  (give it to receivers; read them the key id by phone)",
            form,
        )


@app.command()
def discover(
    sources: SourcesArgument = None,
    images: ImagesOption = None,
    images_file: ImagesFileOption = None,
    rules: RulesOption = None,
    write_rules: Annotated[
        Path | None,
        typer.Option(
            "--write-rules", metavar="FILE", help="Write a new rules file that asks what is open."
        ),
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="REF", help="Explain one reference: every place and rule."),
    ] = None,
    strict: StrictOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """List every image an application needs, and every image-like text with its place. No network.

    Example: airgap-bundle discover manifests/
    """
    with command(form, NOTHING_CHANGED, always=write_rules is None):
        gathered = _gather(sources, images, images_file, rules)
        if write_rules is not None:
            results.write_proposal(write_rules, gathered)
        if why is not None:
            results.print_explanation(why, gathered, strict, form)
        else:
            results.print_inventory(gathered, strict, form)


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The application's name.")],
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="The application's version.")
    ],
    key: SigningKeyOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle to write.")
    ],
    sources: SourcesArgument = None,
    images: ImagesOption = None,
    images_file: ImagesFileOption = None,
    rules: RulesOption = None,
    strict: StrictOption = False,
    platforms: Annotated[
        list[str] | None,
        typer.Option(
            "--platform",
            metavar="OS/ARCH",
            help="Platforms to take, or 'all'; default: linux on this machine's architecture.",
        ),
    ] = None,
    mirrors: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror",
            metavar="PREFIX=LOCATION",
            help="Read images named PREFIX/… from LOCATION/…; '*=HOST' reads all from HOST.",
        ),
    ] = None,
    plain_http: Annotated[
        list[str] | None,
        typer.Option("--plain-http", metavar="HOST", help="A registry without TLS."),
    ] = None,
    ca_file: CaFileOption = None,
    cert_file: CertFileOption = None,
    key_file: KeyFileOption = None,
    token_hosts: TokenHostsOption = None,
    authfile: AuthfileOption = None,
    passphrase_file: PassphraseOption = None,
    signer_cmd: SignerCommandOption = None,
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="The release channel.")
    ] = "stable",
    sequence: Annotated[
        int | None,
        typer.Option("--sequence", metavar="N", help="Grows with each release; default: the time."),
    ] = None,
    valid_days: Annotated[
        int,
        typer.Option("--valid-days", metavar="N", help="How long it may be imported."),
    ] = 180,
    previous: Annotated[
        Path | None,
        typer.Option(
            "--previous",
            metavar="BUNDLE",
            help="The bundle before this one: its sequence must be lower, or all be the same.",
        ),
    ] = None,
    allow_lower_sequence: Annotated[
        bool,
        typer.Option(
            "--allow-lower-sequence",
            help="Write a bundle that does not count as newer than the one before.",
        ),
    ] = False,
    no_signatures: Annotated[
        bool,
        typer.Option(
            "--no-signatures", help="Leave out the images' signatures, attestations and SBOMs."
        ),
    ] = False,
    image_keys: Annotated[
        list[str] | None,
        typer.Option(
            "--verify-image-key",
            metavar="[PATTERN=]PUB",
            help="A key that must have signed the images (cosign), or those named like PATTERN.",
        ),
    ] = None,
    jobs: JobsOption = 4,
    split: SplitOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve all images, write nothing.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Find every image the application needs and write one signed bundle.

    An interrupted run leaves FILE.partial; the same command goes on from there.
    With --split, the files are FILE.part-001, FILE.part-002 … and the index FILE.parts.json.

    Example: airgap-bundle create app/ --name shop --version 1.5.2 --key me.key -o shop.tar.zst
    """
    with command(form, "no bundle was written", always=dry_run):
        from airgap_bundler import flags
        from airgap_bundler.choosing import compose_wishes, resolve
        from airgap_bundler.composing import TimeWishes, compose_contents
        from airgap_bundler.create import Creation
        from airgap_bundler.discovery import inventory_document
        from airgap_bundler.resolving import Resolving
        from airgap_bundler.succession import Succession
        from airgap_shared.console.access import RegistryOptions, open_registries
        from airgap_shared.console.progress import open_progress

        signer = SignerOptions(key, passphrase_file, signer_cmd).signer()
        epoch = os.environ.get(flags.EPOCH, "")
        release = flags.compose_release(
            name, (version, channel), sequence, flags.creation_time(epoch), valid_days
        )
        inputs = (key, passphrase_file, images_file, rules, ca_file, cert_file, key_file, authfile)
        read = [*map(Path, sources or ()), *filter(None, inputs)]
        part_size = None if split is None else parse_part_size(split, "--split")
        flags.check_output(output, read, part_size is not None)
        succession = Succession(release, TimeWishes(bool(epoch), sequence is not None))
        succession = succession.after(output, previous, agreed=allow_lower_sequence)
        wanted = flags.choose_platforms(platforms or [], machine.machine())
        wishes = compose_wishes(mirrors, wanted, not no_signatures, image_keys)
        gathered = _gather(sources, images, images_file, rules)
        inventory = gathered.inventory
        results.judge(gathered, strict)
        progress = open_progress(sys.stderr, sys.stderr.isatty())
        results.note_left_out(gathered, progress)
        flags.note_expiry(release, flags.creation_time(""), progress)
        options = RegistryOptions(
            *(tuple(plain_http or ()), ca_file, cert_file, key_file),
            *(tuple(token_hosts or ()), authfile),
        )
        with open_registries(options, jobs, progress.note) as registries:
            resolving = Resolving(output, previous, keeps=not dry_run)
            pinned = resolve(
                *(inventory.references, wishes, resolving), registries.open, progress, jobs
            )
            contents = compose_contents(
                gathered.application.files,
                _encode(inventory_document(inventory)),
                pinned,
                inventory.literals,
                gathered.rules,
            )
            succession = succession.settled(contents.statement(release, flags.names_of(wanted)))
            if dry_run:
                results.print_plan(pinned, form)
                return
            creation = Creation(
                *(contents, registries.open, signer, jobs, progress),
                *(succession.wishes, part_size),
            )
            made = creation.write(output, succession.release, flags.names_of(wanted))
            resolving.forget()
            results.print_created(made, form)


def main() -> None:
    """Run the command line."""
    run_application(app)


def _gather(
    sources: list[str] | None,
    images: list[str] | None,
    images_file: Path | None,
    rules: Path | None,
) -> Gathered:
    from airgap_bundler.gathering import Wanted, gather
    from airgap_bundler.sources.folder import read_stream
    from airgap_bundler.sources.manifests import STDIN

    wanted = Wanted(tuple(sources or ()), tuple(images or ()), images_file, rules)
    stdin = read_stream(sys.stdin.buffer, STDIN) if STDIN in wanted.sources else b""
    return gather(wanted, stdin)


def _encode(document: dict[str, object]) -> bytes:
    import json

    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
