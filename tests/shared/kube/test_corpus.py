from __future__ import annotations

import pytest

from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.oci.reference import parse_reference
from support.corpus import Project, corpus_parameters

CERTAIN = {"container", "init", "ephemeral", "image-volume"}


def find(project: Project) -> list[ImageUse]:
    return [
        use
        for path in sorted(project.folder.glob("*.yaml"))
        for obj in load_objects(ManifestFile(path.name, path.read_bytes()))
        for use in find_images(obj)
    ]


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
    uses = find(project)
    judged = project.truth("images")
    needed = {canonical(str(entry["ref"])) for entry in judged if entry["needed"]}
    images = readable([use.text for use in uses if use.verdict is Verdict.IMAGE])
    surfaced = images | readable([use.text for use in uses if use.verdict is Verdict.UNDECIDED])
    assert needed <= surfaced
    assert images <= {canonical(str(entry["ref"])) for entry in judged}
    certain = {canonical(str(entry["ref"])) for entry in judged if entry["where"] in CERTAIN}
    assert certain <= images


@pytest.mark.parametrize("project", corpus_parameters())
def test_traps_do_not_flood_the_report(project: Project) -> None:
    judged = {canonical(str(entry["ref"])) for entry in project.truth("images")}
    neutral = {str(entry["value"]) for entry in project.truth("neutral")}
    undecided = {use.text for use in find(project) if use.verdict is Verdict.UNDECIDED}
    extra = {text for text in undecided - neutral if not readable([text]) <= judged}
    templates = {text for text in extra if not readable([text])}
    assert len(extra - templates) <= 2
