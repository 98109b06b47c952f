"""The command that prints or writes mirror configurations after an import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airgap_importer.mirrors.kind import Kind
from airgap_shared.console.inspection import FormatOption
from airgap_shared.console.outcome import NOTHING_CHANGED, Format, command, print_result


def mirrors(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --output of an earlier apply.")
    ],
    kinds: Annotated[
        list[Kind] | None, typer.Option("--kind", help="Which configuration; may be repeated.")
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Put them into DIR/.airgap/mirrors, in place of those there."),
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show how nodes and charts find the imported images under their old names.

    Made of what the last apply wrote down; nothing is asked of the registry.

    Example: airgap-import mirrors shop/ --kind crio > 50-shop.conf
    """
    with command(form, NOTHING_CHANGED, always=not write):
        from airgap_importer.mirrors.configurations import compose_configurations
        from airgap_importer.mirrors.folder import FOLDER, load_records, written_text
        from airgap_importer.overlay import open_overlay_directory
        from airgap_shared.errors import UsageError

        if not kinds:
            raise UsageError(
                "no kind of configuration", next_step="add --kind, for example --kind all"
            )
        records = load_records(directory)
        found = compose_configurations(records, kinds)
        if write:
            with open_overlay_directory(directory, records.app) as opened:
                opened.write_folder(FOLDER, found.files)
        for note in found.notes:
            typer.echo(f"note: {note}", err=True)
        texts = {path: content.decode() for path, content in found.files.items()}
        print_result(
            {"files": texts, "notes": list(found.notes), "written": write},
            written_text(found, directory) if write else _shown(texts),
            form,
        )


def _shown(texts: dict[str, str]) -> str:
    """One file as it is, several with their names above them."""
    if len(texts) == 1:
        return "".join(texts.values()).removesuffix("\n")
    return "\n".join(f"# ==> {path} <==\n{text}" for path, text in texts.items())
