"""Bundles in parts: the size of a part on the command line, and ``split`` for a finished bundle."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from airgap_shared.console.inspection import BundleArgument, FormatOption, JobsOption
from airgap_shared.console.outcome import Format, command, print_result
from airgap_shared.errors import UsageError
from airgap_shared.stores.places import is_folder, is_there

SMALLEST_PART = 1_000_000
_SIZE = re.compile(r"([0-9]{1,15})(?:([KkMmGgTt])(iB|B)?)?")

SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="SIZE",
        help="Write parts of at most SIZE (4G, 650MB, 1GiB) for smaller disks or FAT32.",
    ),
]


def parse_part_size(text: str, flag: str) -> int:
    """The size of a part in bytes: ``4G`` and ``4GB`` are 4,000,000,000, ``4GiB`` is 2^32.

    Raises:
        UsageError: no size, or one too small.

    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"not a size: {text[:100]!r}", where=flag, next_step=f"for example: {flag} 4G"
        )
    power = " KMGT".index((found[2] or " ").upper())
    size = int(int(found[1]) * (1024 if found[3] == "iB" else 1000) ** power)
    if size < SMALLEST_PART:
        raise UsageError(f"a part has at least {SMALLEST_PART} bytes", where=flag)
    return size


def written(files: Sequence[Path]) -> str:
    """The files of a bundle for a sentence."""
    *parts, last = files
    if not parts:
        return str(last)
    return f"{len(parts)} parts, {parts[0]} to {parts[-1].name}, and their index {last.name}"


def split(
    bundle: BundleArgument,
    size: Annotated[
        str, typer.Option("--size", metavar="SIZE", help="The largest part: 4G, 650MB, 1GiB.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="NAME", help="Writes NAME.part-001 … and an index."),
    ],
    jobs: JobsOption = 4,
    form: FormatOption = Format.TEXT,
) -> None:
    """Copy a finished bundle, whole or in parts, into parts of another size. Verifies nothing.

    Example: airgap-bundle split shop.tar.zst --size 4G -o /media/stick/shop.tar.zst
    """
    with command(form, "nothing was written"):
        from airgap_shared.console.files import refuse_part_name
        from airgap_shared.console.progress import open_progress
        from airgap_shared.stores.bundlewriter import PartialBundle
        from airgap_shared.stores.partfiles import open_bundle_file
        from airgap_shared.stores.partialfiles import related_files

        part_size = parse_part_size(size, "--size")
        if is_folder(output):
            raise UsageError(
                "the output is a folder", where=str(output), next_step="name a file in it"
            )
        refuse_part_name(output)
        _refuse_what_is_there([output, *related_files(output)])
        progress = open_progress(sys.stderr, sys.stderr.isatty())
        partial = PartialBundle(output, part_size)
        with open_bundle_file(Path(bundle)) as medium, partial.opened():
            medium.read_envelope()
            partial.copy(medium, progress)
            files = partial.publish(jobs, progress)
        print_result(
            {"bundle": str(output), "written": [str(path) for path in files]},
            f"wrote {written(files)}",
            form,
        )


def _refuse_what_is_there(paths: Sequence[Path]) -> None:
    for path in paths:
        if is_there(path):
            raise UsageError(
                "the file exists already",
                where=str(path),
                changed="nothing was written",
                next_step="remove it, or choose another --output",
            )
