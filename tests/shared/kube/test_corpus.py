from __future__ import annotations

from pathlib import Path

import pytest

from airgap_shared.kube.splitreferences import compose_pieces
from airgap_shared.kube.uses import Embedded, ImageUse, PieceRole, Span, Verdict
from airgap_shared.oci.reference import parse_reference
from support.corpus import Project, corpus_parameters
from support.rulestable import rules_table, uses_of

CERTAIN = {"container", "init", "ephemeral", "image-volume"}


def canonical(text: str) -> str:
    for scheme in ("docker://", "oci://"):
        text = text.removeprefix(scheme)
    reference = parse_reference(text)
    if reference.digest is not None:
        return f"{reference.name}@{reference.digest}"
    return reference.canonical


def readable(texts: list[str]) -> set[str]:
    """The references among the texts; templates and such are left out."""
    found = set()
    for text in texts:
        try:
            found.add(canonical(text))
        except Exception as problem:
            assert type(problem).__name__ in {"ImageReferenceInvalid", "DigestUnsupported"}
    return found


@pytest.mark.parametrize("project", corpus_parameters())
def test_nothing_that_is_needed_stays_unseen_and_nothing_false_is_an_image(
    project: Project,
) -> None:
    uses = uses_of(project)
    judged = project.truth("images")
    needed = {canonical(str(entry["ref"])) for entry in judged if entry["needed"]}
    images = readable([use.text for use in uses if use.verdict is Verdict.IMAGE])
    surfaced = images | readable([use.text for use in uses if use.verdict is Verdict.UNDECIDED])
    assert needed <= surfaced
    assert needed <= images
    assert images <= {canonical(str(entry["ref"])) for entry in judged}
    certain = {canonical(str(entry["ref"])) for entry in judged if entry["where"] in CERTAIN}
    assert certain <= images


@pytest.mark.parametrize("project", corpus_parameters())
def test_traps_do_not_flood_the_report(project: Project) -> None:
    judged = {canonical(str(entry["ref"])) for entry in project.truth("images")}
    neutral = {str(entry["value"]) for entry in project.truth("neutral")}
    undecided = {use.text for use in uses_of(project) if use.verdict is Verdict.UNDECIDED}
    extra = {text for text in undecided - neutral if not readable([text]) <= judged}
    templates = {text for text in extra if not readable([text])}
    assert len(extra - templates) <= 2


@pytest.mark.parametrize("project", corpus_parameters())
def test_every_image_can_be_replaced_where_it_stands(project: Project) -> None:
    for use in uses_of(project):
        if use.verdict is not Verdict.IMAGE:
            continue
        if use.pieces:
            assert compose_pieces(use.pieces) == use.text
            assert all(piece.text for piece in use.pieces)
            roles = [list(PieceRole).index(piece.role) for piece in use.pieces]
            assert roles == sorted(set(roles))
        for step in use.inside:
            assert not is_scalar(step, use) or (isinstance(step, Embedded) and step.token)


def is_scalar(step: object, use: ImageUse) -> bool:
    """Whether a step leads to a scalar: the place of a split reference is a mapping."""
    if not isinstance(step, Embedded):
        return False
    is_last = [other for other in use.inside if not isinstance(other, Span)][-1:] == [step]
    return not (use.pieces and is_last)


def test_the_documentation_has_every_rule_as_it_is() -> None:
    written = (Path(__file__).resolve().parents[3] / "docs" / "discovery-rules.md").read_text()
    rows = [line for line in rules_table({}).splitlines() if line.startswith("| `")]
    documented = [line for line in written.splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[:4] for row in documented] == [row.split(" | ")[:4] for row in rows]
