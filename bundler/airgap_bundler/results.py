"""What create and discover tell: results, warnings, and what stands in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airgap_shared.console.outcome import Format, print_refused, print_result

if TYPE_CHECKING:
    from airgap_bundler.create import CreatedBundle
    from airgap_bundler.gathering import Gathered
    from airgap_bundler.pinning import PinnedImage
    from airgap_shared.errors import AirgapError
    from airgap_shared.stores.progress import Progress


def print_inventory(gathered: Gathered, strict: bool, form: Format) -> None:
    """Print the images, what operators need besides, and what was skipped.

    Where ``strict`` finds what only a person can settle, the command ends with it.
    """
    from airgap_bundler.discovery import inventory_document
    from airgap_bundler.listing import inventory_text

    skipped = gathered.application.skipped
    document = inventory_document(gathered.inventory)
    document["needed"] = [entry.to_json() for entry in gathered.needed]
    document["skipped"] = [{"file": entry.path, "reason": entry.reason} for entry in skipped]
    text = inventory_text(gathered.inventory, gathered.needed, skipped)
    _print_judged(gathered, strict, document, text, form)


def print_explanation(why: str, gathered: Gathered, strict: bool, form: Format) -> None:
    """Print every place of one reference and the rule that found it; see above."""
    from airgap_bundler.explaining import explain, explanation_text

    found = explain(why, gathered.uses, gathered.application.objects)
    document: dict[str, object] = {
        "format": 1,
        "reference": why,
        "uses": [entry.to_json() for entry in found],
    }
    text = explanation_text(why, found)
    _print_judged(gathered, strict, document, text, form)


def write_proposal(path: Path, gathered: Gathered) -> None:
    """Write a new rules file that asks what is open."""
    from airgap_bundler.proposing import propose_rules
    from airgap_shared.console.files import write_new_file

    proposal = propose_rules(gathered.inventory.undecided, gathered.needed)
    write_new_file(path, proposal.encode(), 0o644)


def judge(gathered: Gathered, strict: bool) -> None:
    """Refuse images that can never be one and, where ``strict``, what only a person can settle."""
    from airgap_bundler.discovery import refuse_impossible

    refuse_impossible(gathered.uses)
    refusal = _open(gathered) if strict else None
    if refusal is not None:
        raise refusal


def _print_judged(
    gathered: Gathered, strict: bool, document: dict[str, object], text: str, form: Format
) -> None:
    from airgap_shared.stores.redaction import without_accounts

    shown = {key: _shown(value) for key, value in document.items()}
    refusal = _open(gathered) if strict else None
    if refusal is not None:
        print_refused(refusal, shown, without_accounts(text), form)
    print_result(shown, without_accounts(text), form)


def _shown(value: object) -> object:
    """A part of a report without the passwords that stand in texts of manifests."""
    from airgap_shared.stores.redaction import without_accounts

    if isinstance(value, str):
        return without_accounts(value)
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _open(gathered: Gathered) -> AirgapError | None:
    """The failure where kustomizations were not applied, or texts are there that nobody judged."""
    from airgap_bundler.sources.unapplied import refusal_of_unapplied
    from airgap_shared.errors import UndecidedImages

    inventory = gathered.inventory
    if gathered.application.unapplied:
        return refusal_of_unapplied(gathered.application)
    if not inventory.undecided:
        return None
    return UndecidedImages(
        f"{len(inventory.undecided)} image-like texts are undecided",
        changed="no bundle was written",
        next_step="decide about each in a rules file (discover --write-rules proposes one),"
        " or leave --strict out",
        details=[
            f"{entry.text}: {entry.uses[0].file}#{entry.uses[0].object}#{entry.uses[0].path}"
            for entry in inventory.undecided
        ],
    )


def note_left_out(gathered: Gathered, progress: Progress) -> None:
    """Warn of what will not be in the bundle."""
    changing = {one.path for one in gathered.application.unapplied}
    for entry in gathered.application.skipped:
        word = "warning: skipped" if entry.path in changing else "skipped"
        progress.note(f"{word} {entry.path}: {entry.reason}")
    for needed in gathered.needed:
        progress.note(
            f"warning: known to need, not listed: {needed.reference} ({needed.operator}: "
            f"{needed.why})"
        )
    if gathered.inventory.undecided:
        progress.note(
            f"warning: {len(gathered.inventory.undecided)} image-like texts are undecided and not "
            "bundled; see airgap-bundle discover"
        )


def print_plan(pinned: tuple[PinnedImage, ...], form: Format) -> None:
    """Print the resolved images."""
    from airgap_bundler.listing import plan_document, plan_text

    print_result(plan_document(pinned), plan_text(pinned), form)


def print_created(created: CreatedBundle, form: Format) -> None:
    """Print what was bundled."""
    from airgap_shared.console.report import statement_document, statement_text
    from airgap_shared.console.splitting import written
    from airgap_shared.console.text import byte_size

    print_result(
        {
            "bundle": str(created.path),
            "written": [str(path) for path in created.files],
            "size": created.size,
            "keyId": created.key_id,
            **statement_document(created.statement),
        },
        f"wrote {written(created.files)} ({byte_size(created.size)}), "
        f"signed by {created.key_id}\n\n" + statement_text(created.statement),
        form,
    )
