"""Proposals for a rules file: what was undecided, ready to be uncommented. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from airgap_bundler.discovery import ImageLike
from airgap_bundler.operators.knowledge import Needed
from airgap_shared.errors import AirgapError
from airgap_shared.oci.reference import parse_reference

_HEAD: Final = """\
# Rules for finding images; give this file to create and discover with --rules.
# Each proposal stands under images and under ignore: take away the "# " of one of them.
format: 1
"""


def propose_rules(undecided: Sequence[ImageLike], needed: Sequence[Needed]) -> str:
    """A rules file in which every undecided text stands as a comment, with its places.

    It decides nothing as it is: that is for a person to do.
    """
    lines = ["images:"]
    for entry in undecided:
        if _is_reference(entry.text):
            lines += [*_places(entry), f"# - {json.dumps(entry.text)}"]
    for known in needed:
        lines += [
            _comment(f"{known.operator}, {known.place}: {known.why}"),
            f"# - {json.dumps(known.reference)}",
        ]
    lines += ["", "ignore:"]
    for entry in undecided:
        lines += [
            *_places(entry),
            f"# - text: {json.dumps(entry.text)}",
            f"#   reason: {json.dumps(entry.uses[0].reason)}",
        ]
    return _HEAD + "\n" + "\n".join(lines) + "\n"


def _places(entry: ImageLike) -> list[str]:
    return [
        _comment(f"{use.file}#{use.object}#{use.path} [{use.rule}] {use.reason}")
        for use in entry.uses
    ]


def _comment(text: str) -> str:
    return "# " + text.replace("\r", " ").replace("\n", " ")


def _is_reference(text: str) -> bool:
    try:
        parse_reference(text)
    except AirgapError:
        return False
    return True
