"""Text for people: safe on a terminal, sizes in units they know."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def printable(text: str) -> str:
    """The text with every character that a terminal could act on written as an escape."""
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def in_one_line(text: str) -> str:
    """The text as :func:`printable` writes it, line ends as well."""
    return printable(text).replace("\n", "\\n")


def byte_size(count: int) -> str:
    """A number of bytes with three digits and a decimal unit."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 999.5:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} {_UNITS[-1]}"


def table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(indent + line.rstrip() for line in lines)
