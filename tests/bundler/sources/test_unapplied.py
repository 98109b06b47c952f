"""Kustomizations inside a folder: what would become of its files if they were built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airgap_bundler.gathering import Gathered, Wanted, gather
from airgap_bundler.results import judge
from airgap_shared.errors import UsageError

_POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
    "spec: {containers: [{name: c, image: 'quay.io/a/b:1'}]}\n"
)
_PATCH = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {hostNetwork: true}\n"
_OPERATION = "- {op: replace, path: /spec/containers/0/image, value: x}\n"


def _gathered(folder: Path, kustomization: str, **files: str) -> Gathered:
    (folder / "part").mkdir(parents=True)
    for name, text in {"kustomization.yaml": kustomization, "a.yaml": _POD, **files}.items():
        (folder / "part" / name.replace("_", ".")).write_text(text)
    return gather(Wanted((str(folder),)), b"")


@pytest.mark.parametrize(
    ("kustomization", "lost"),
    [
        ("resources: [a.yaml]\nimages: [{name: quay.io/a/b, newTag: '2'}]\n", "quay.io/a/b"),
        ("images: [{name: x, newTag: '2'}, {name: 'quay.io/a/b', digest: x}]\n", "quay.io/a/b"),
        ("patches: [{path: op.yaml, target: {kind: Pod}}]\n", "a patch of an image"),
        ("patchesJson6902: [{path: op.yaml}]\n", "a patch of an image"),
        ("patches:\n- patch: |\n    - op: add\n      path: /x/image\n", "a patch of an image"),
        ("patchesStrategicMerge:\n- |\n  spec:\n    image: x\n", "a patch of an image"),
        ("replacements: [{source: {fieldPath: spec.a.0.image}}]\n", "a patch of an image"),
        ("patchesStrategicMerge: [patch.yaml]\n", "part/patch.yaml is a patch, no object"),
        ("patches: [{path: ./patch.yaml}]\n", "part/patch.yaml is a patch, no object"),
    ],
)
def test_what_would_change_the_images_is_refused(
    tmp_path: Path, kustomization: str, lost: str
) -> None:
    with pytest.raises(UsageError, match="would change what is bundled") as caught:
        _gathered(tmp_path, kustomization, patch_yaml=_PATCH, op_yaml=_OPERATION)
    assert len(caught.value.details) == 1
    assert caught.value.details[0].startswith("part/kustomization.yaml: ")
    assert lost in caught.value.details[0]
    assert "kubectl kustomize" in caught.value.next_step


@pytest.mark.parametrize(
    "kustomization",
    [
        "namePrefix: x-\n",
        "images: [{name: quay.io/a/other, newTag: '2'}]\n",
        "patches: [{path: op.yaml}]\n",
        "patches: [{path: ../../outside.yaml}]\n",
        "patches: [{path: ../pipe.yaml}]\n",
        "patches:\n- patch: |\n    - {op: add, path: /x/imagePullPolicy}\n",
        "patches: [{path: nowhere.yaml}, 3]\n",
        "images: nothing\n",
        "[",
    ],
)
def test_what_changes_other_things_is_refused_when_strict(
    tmp_path: Path, kustomization: str
) -> None:
    (tmp_path / "outside.yaml").write_text(_OPERATION)
    (tmp_path / "app").mkdir()
    os.mkfifo(tmp_path / "app" / "pipe.yaml")
    gathered = _gathered(tmp_path / "app", kustomization, op_yaml="- {op: add}\n")
    with pytest.raises(UsageError, match="not read yet") as caught:
        judge(gathered, strict=True)
    assert "NOT applied" in caught.value.details[0]


@pytest.mark.parametrize("kustomization", ["", "resources: [a.yaml]\n", "images: []\n"])
def test_what_only_lists_files_is_never_refused(tmp_path: Path, kustomization: str) -> None:
    judge(_gathered(tmp_path, kustomization), strict=True)


def test_a_kustomization_that_is_no_file_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text("resources: []\n")
    for kind in ("link", "pipe"):
        part = tmp_path / "app" / kind
        part.mkdir(parents=True)
        (part / "a.yaml").write_text(_POD.replace("name: p", f"name: {kind}"))
        if kind == "link":
            (part / "kustomization.yaml").symlink_to(tmp_path / "outside.yaml")
        else:
            os.mkfifo(part / "kustomization.yaml")
    gathered = gather(Wanted((str(tmp_path / "app"),)), b"")
    assert [one.loss for one in gathered.application.unapplied] == [
        "all that it says (it cannot be read): NOT applied"
    ] * 2
