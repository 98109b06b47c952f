"""The command line of airgap-import: flags to values, wiring, printing, exit codes."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airgap_importer.creationoptions import (
    CreateOption,
    EcrImmutableOption,
    EcrKeyOption,
    EcrScanOption,
)
from airgap_importer.history.cli import (
    EndpointOption,
    NamespaceOption,
    PasswordOption,
    PlainHttpOption,
    StateDirOption,
    UsernameOption,
    audit,
    state_app,
    status,
)
from airgap_importer.mirrors.cli import mirrors
from airgap_importer.naming import Naming
from airgap_importer.outputoptions import (
    MirrorsOption,
    PullSecretsOption,
    outputs_text,
    parse_outputs,
    pulls_plainly,
    secrets_of,
)
from airgap_importer.registrykind import RegistryKind
from airgap_importer.story import telling
from airgap_importer.targetoptions import NamingOption, PullEndpointOption, RegistryTypeOption
from airgap_importer.trustcli import trust as trust_commands
from airgap_shared.console.access import state_folder
from airgap_shared.console.application import (
    AuthfileOption,
    CaFileOption,
    CertFileOption,
    KeyFileOption,
    TokenHostsOption,
    UploadHostsOption,
    make_application,
    run_application,
)
from airgap_shared.console.inspection import (
    BundleArgument,
    FormatOption,
    JobsOption,
)
from airgap_shared.console.outcome import (
    NOTHING_CHANGED,
    Format,
    command,
    print_refused,
    print_result,
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
)

if TYPE_CHECKING:
    from airgap_importer.apply import Applied
    from airgap_importer.importplan import ImportPlan
    from airgap_importer.relocation import Relocation

app = make_application(
    "airgap-import",
    "Bring a bundle made by airgap-bundle into a private registry, and write the kustomize "
    "overlay that uses it.",
)

HostArgument = Annotated[str, typer.Argument(metavar="HOST", help="The registry, HOST[:PORT].")]
app.command("status")(status)
app.command("audit")(audit)
app.command("mirrors")(mirrors)
app.add_typer(state_app)
app.add_typer(trust_commands, name="trust")


@app.command()
def apply(
    bundle: BundleArgument,
    endpoint: EndpointOption,
    namespace: NamespaceOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the overlay is written.")
    ],
    registry_type: RegistryTypeOption = RegistryKind.AUTO,
    naming: NamingOption = Naming.LAST,
    pull_endpoint: PullEndpointOption = "",
    create: CreateOption = False,
    ecr_immutable: EcrImmutableOption = False,
    ecr_scan: EcrScanOption = False,
    ecr_key: EcrKeyOption = "",
    keys: KeysOption = None,
    threshold: ThresholdOption = None,
    policy: PolicyOption = None,
    named: AppOption = "",
    signatures: SignaturesOption = None,
    now: NowOption = "",
    plain_http: PlainHttpOption = False,
    ca_file: CaFileOption = None,
    cert_file: CertFileOption = None,
    key_file: KeyFileOption = None,
    token_hosts: TokenHostsOption = None,
    upload_hosts: UploadHostsOption = None,
    authfile: AuthfileOption = None,
    username: UsernameOption = None,
    password_stdin: PasswordOption = False,
    move_tags: Annotated[
        bool, typer.Option("--move-tags", help="Let existing tags name the new images.")
    ] = False,
    check_blobs: Annotated[
        bool,
        typer.Option("--check-blobs", help="Ask for every blob, even of images that are there."),
    ] = False,
    read_back: Annotated[
        bool,
        typer.Option(
            "--read-back", help="Fetch and hash everything in the registry before tags are set."
        ),
    ] = False,
    no_signatures: Annotated[
        bool,
        typer.Option(
            "--no-signatures", help="Leave out the images' signatures, attestations and SBOMs."
        ),
    ] = False,
    downstream: Annotated[
        str,
        typer.Option("--downstream", metavar="NAME", help="Your overlay, made once and kept."),
    ] = "this-cluster",
    pull_secrets: PullSecretsOption = None,
    mirror_kinds: MirrorsOption = None,
    allow_rollback: Annotated[
        int | None,
        typer.Option(
            "--allow-rollback", metavar="SEQ", help="Go back to the older release SEQ; is recorded."
        ),
    ] = None,
    allow_jump: Annotated[
        int | None,
        typer.Option(
            "--allow-sequence-jump", metavar="SEQ", help="Take an implausibly high sequence."
        ),
    ] = None,
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="The channel it must be of.")
    ] = "",
    state_dir: StateDirOption = None,
    jobs: JobsOption = 4,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Verify a bundle, push its images into one namespace, write the rewritten overlay.

    Nothing that people or clusters see changes before every byte used was verified. The same
    command again is safe: it sends only what is missing.

    Example: airgap-import apply shop.tar.zst --key vendor.pub \
        --registry-endpoint registry.bank.example --image-namespace shop -o shop/
    """
    with command(form, NOTHING_CHANGED, always=dry_run):
        from airgap_importer.apply import Application, Choices
        from airgap_importer.creators import Creators
        from airgap_importer.history.folder import latest_seen
        from airgap_importer.history.memory import Memory, Terms
        from airgap_importer.relocation import parse_target
        from airgap_importer.rendering import choose_renderer
        from airgap_shared.bundle.admission import Consent, Gate, check_clock
        from airgap_shared.console.access import (
            RegistryOptions,
            given_credential,
            open_registries,
        )
        from airgap_shared.console.files import open_medium
        from airgap_shared.console.progress import open_progress
        from airgap_shared.console.signals import finished_first
        from airgap_shared.stores.ecrapi import EcrSettings
        from airgap_shared.stores.opening import open_bundle

        trust = TrustOptions(keys, threshold, named, signatures, now, policy)
        trusted, clock, folder = trust.policy(), clock_reading(), state_folder(state_dir)
        target = parse_target(endpoint, namespace, plain_http, pull_endpoint)
        moment = check_clock(trust.moment(clock), latest_seen(folder), trusted)
        gate = Gate(trusted, moment, named, str(target))
        flags = {
            "--allow-rollback": allow_rollback,
            "--allow-sequence-jump": allow_jump,
            "--channel": channel or None,
            "--now": now or None,
            "--move-tags": "yes" if move_tags else None,
        }
        agreed = tuple(f"{flag} {value}" for flag, value in flags.items() if value is not None)
        consent = Consent(allow_rollback, allow_jump)
        terms = Terms(consent, channel, None if now else clock, agreed, dry_run)
        pulled_plain = pulls_plainly(pull_endpoint, target, plain_http)
        outputs = parse_outputs(mirror_kinds, pulled_plain, pull_secrets)
        options = RegistryOptions(
            (target.registry,) if plain_http else (),
            ca_file,
            cert_file,
            key_file,
            tuple(token_hosts or ()),
            authfile,
            given_credential(username, password_stdin, bundle),
            writes=True,
            upload_hosts=tuple(upload_hosts or ()),
            ecr_hosts=(target.registry,) if registry_type is RegistryKind.ECR else (),
        )
        progress = open_progress(sys.stderr, sys.stderr.isatty())
        with (
            open_medium(bundle) as medium,
            open_registries(options, jobs, progress.note) as registries,
            Memory(folder, target, gate, terms, progress.note) as memory,
        ):
            with telling():
                verified = open_bundle(medium, gate, memory.admit, trust.detached())
            registry = registries.open(target.registry)
            creators = Creators(
                *(registry, target, os.environ, registries.apis.open),
                *(EcrSettings(ecr_immutable, ecr_scan, ecr_key), create, plain_http),
            )
            application = Application(
                *(verified, target, registry, output, jobs, progress, memory, finished_first),
                creators.groundwork,
            )
            choices = Choices(
                *(move_tags, check_blobs, read_back, downstream, outputs, registry_type, naming),
                create,
                not no_signatures,
            )
            if dry_run:
                _print_plan(application.plan(choices), form)
                return
            programs = (shutil.which("kubectl"), shutil.which("kustomize"))
            done = application.run(functools.partial(choose_renderer, *programs), choices)
            _print_applied(done, form)


@app.command()
def login(
    host: HostArgument,
    username: Annotated[
        str, typer.Option("--username", "-u", metavar="NAME", help="The user to push as.")
    ],
    password_stdin: PasswordOption = False,
    plain_http: PlainHttpOption = False,
    ca_file: CaFileOption = None,
    cert_file: CertFileOption = None,
    key_file: KeyFileOption = None,
    token_hosts: TokenHostsOption = None,
    authfile: AuthfileOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Check a user and password with a registry and keep them for later commands.

    Example: airgap-import login registry.bank.example -u robot --password-stdin < secret
    """
    with command(form, NOTHING_CHANGED):
        from airgap_shared.console.access import (
            RegistryOptions,
            credential_sources,
            given_credential,
            open_registries,
        )
        from airgap_shared.errors import UsageError
        from airgap_shared.stores.authfile import store_credential

        credential = given_credential(username, password_stdin)
        if credential is None:
            raise UsageError("no password", next_step="use --password-stdin")
        options = RegistryOptions(
            (host,) if plain_http else (),
            ca_file,
            cert_file,
            key_file,
            tuple(token_hosts or ()),
            credential=credential,
        )
        with open_registries(options, 1, _note) as registries:
            registries.open(host).ping()
        path = credential_sources(authfile).login_path()
        store_credential(path, host, credential)
        print_result(
            {"host": host, "authfile": str(path)}, f"logged in to {host}; kept in {path}", form
        )


@app.command()
def logout(
    host: HostArgument, authfile: AuthfileOption = None, form: FormatOption = Format.TEXT
) -> None:
    """Forget the user and password of a registry.

    Example: airgap-import logout registry.bank.example
    """
    with command(form, NOTHING_CHANGED):
        from airgap_shared.console.access import credential_sources
        from airgap_shared.oci.reference import without_user
        from airgap_shared.stores.authfile import remove_credential

        path = credential_sources(authfile).login_path()
        removed = remove_credential(path, host)
        shown = without_user(host)
        text = f"removed from {path}" if removed else f"nothing about {shown} in {path}"
        print_result({"host": shown, "authfile": str(path), "removed": removed}, text, form)


def main() -> None:
    """Run the command line."""
    run_application(app)


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _outcome(applied: Applied) -> str:
    """What became of it, in a word or two."""
    if applied.step != "same":
        return "imported"
    done = applied.report
    again = done.blobs_sent or done.blobs_mounted or done.manifests_pushed or done.tags_set
    return "imported again" if again else "already imported"


def _print_plan(plan: ImportPlan, form: Format) -> None:
    """The plan; one that cannot be carried out ends as the import would."""
    secrets = {"pullSecrets": plan.overlay.secrets.to_document()}
    document = {**plan.to_document(), **secrets}
    text = plan.to_text() + _relocated(plan.relocation) + secrets_of(plan.overlay, plan.relocation)
    if plan.probe.refusal is None:
        print_result(document, text, form)
    else:
        print_refused(plan.probe.refusal, document, text, form)


def _print_applied(applied: Applied, form: Format) -> None:
    from dataclasses import asdict

    from airgap_shared.console.text import byte_size

    report, coverage, release = applied.report, applied.coverage, applied.statement.release
    proof = coverage.proof
    count = len(applied.relocation.images)
    print_result(
        {
            "app": release.app,
            "version": release.version,
            "sequence": release.sequence,
            "step": applied.step.value,
            "alreadyImported": applied.step == "same",
            "output": str(applied.output),
            "images": applied.relocation.to_document()["images"],
            "created": list(applied.created),
            "push": asdict(report),
            "attachments": applied.attachments.to_document(),
            "proof": {
                "renderer": proof.renderer,
                "uses": proof.uses,
                "references": list(proof.references),
            },
            "coverage": coverage.to_document(),
            "mirrors": applied.mirrors.to_document(),
        },
        f"{_outcome(applied)} {release.app} {release.version}: {count} images in "
        f"{report.repositories} repositories\n"
        f"  sent {report.blobs_sent} blobs ({byte_size(report.bytes_sent)}), "
        f"mounted {report.blobs_mounted}, pushed {report.manifests_pushed} manifests "
        f"({report.manifests_present} were there), set {report.tags_set} tags\n"
        + applied.attachments.summary(f"{applied.output}/.airgap/attachments")
        + f"  {coverage.summary()}: see {applied.output}/.airgap/coverage.json\n"
        f"  proven by {proof.renderer}: {proof.uses} uses, all of images in the target\n\n"
        f"{_relocated(applied.relocation)}\n"
        f"deploy with: kubectl apply -k {applied.output}/overlays/midstream"
        + _to_create(applied)
        + outputs_text(applied),
        form,
    )


def _to_create(applied: Applied) -> str:
    """How the objects come into the cluster that kubectl cannot apply."""
    created = applied.coverage.overlay.created
    if not created:
        return ""
    return (
        f"\n{len(created)} objects have no name of their own, and kubectl apply refuses them;\n"
        f"create them with: kubectl create -f {applied.output}/overlays/midstream/create"
    )


def _relocated(relocation: Relocation) -> str:
    return "".join(
        f"  {canonical}\n    → {image.reference}\n"
        for canonical, image in sorted(relocation.images.items())
    )
