"""Every real project: bundled, imported, rendered; no image it needs is named outside."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import KubeObject, ManifestFile
from support.corpus import Project, corpus_parameters
from support.docker_registry import DockerRegistry, RegistryOptions
from support.journey import Journey, succeeded
from support.kustomize import NOT_HERE, find_kustomize
from support.truth import JudgedPath, texts_in

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

pytestmark = pytest.mark.skipif(find_kustomize("kubectl") is None, reason=NOT_HERE["kubectl"])


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The hosts of one source and one target for all projects."""
    with ExitStack() as stack:
        hosts = []
        for name in ("source", "target"):
            folder = tmp_path_factory.mktemp(name)
            server = stack.enter_context(DockerRegistry(folder, RegistryOptions()))
            hosts.append(server.host)
        yield hosts[0], hosts[1]


@dataclass(frozen=True)
class _Import:
    """A project that was carried over."""

    project: Project
    journey: Journey

    @cached_property
    def shipped(self) -> list[KubeObject]:
        return _objects(self.journey.folder / "app")

    @cached_property
    def applied(self) -> tuple[KubeObject, ...]:
        return load_objects(ManifestFile("rendered.yaml", self.journey.rendered().encode()))

    @cached_property
    def deployed(self) -> list[KubeObject]:
        """What kubectl would apply, and what it would create."""
        return [*self.applied, *_objects(self.journey.midstream / "create")]

    @cached_property
    def coverage(self) -> dict[str, list[dict[str, str]]]:
        text = (self.journey.overlay / ".airgap" / "coverage.json").read_text()
        return {key: value for key, value in json.loads(text).items() if isinstance(value, list)}

    def counterpart(self, obj: KubeObject) -> KubeObject:
        """The deployed object that a shipped one became."""
        if obj.identity.name:
            return next(other for other in self.applied if _key(other) == _key(obj))
        (file,) = {
            entry["file"]
            for entry in self.coverage["images"]
            if entry["means"] == "create" and entry["place"].startswith(f"{obj.file}#")
        }
        nameless = [one for one in self.shipped if one.file == obj.file and not one.identity.name]
        created = _read(self.journey.overlay / file)
        return created[nameless.index(obj)]

    def is_last(self, obj: KubeObject) -> bool:
        """Whether no later object takes the place of this one."""
        alike = [other for other in self.shipped if _key(other) == _key(obj)]
        return not obj.identity.name or alike[-1] is obj


def _key(obj: KubeObject) -> tuple[str, ...]:
    identity = obj.identity
    return identity.api_version, identity.kind, identity.name, identity.namespace or "default"


def _read(path: Path) -> tuple[KubeObject, ...]:
    return load_objects(ManifestFile(path.name, path.read_bytes()))


def _objects(folder: Path) -> list[KubeObject]:
    return [obj for path in sorted(folder.rglob("*.y*ml")) for obj in _read(path)]


@pytest.mark.parametrize("project", corpus_parameters())
def test_every_needed_occurrence_names_the_target(
    project: Project, registries: tuple[str, str], programs: Path, tmp_path: Path
) -> None:
    # Rendered once, by this test: what every renderer shows of a project is tested elsewhere.
    variables = {"PATH": str(programs)}
    journey = replace(Journey.begin(tmp_path / "work", *registries), variables=variables)
    manifests = tmp_path / "manifests"
    shutil.copytree(project.folder, manifests, ignore=shutil.ignore_patterns("*.json", "*.md"))
    journey.fill_stand_ins(manifests)
    succeeded(journey.create())
    applied = succeeded(journey.apply("--move-tags"))
    assert "uses of" in applied.out
    carried = _Import(project, journey)
    problems = [
        f"{entry['path']}: {entry['ref']}: {problem}"
        for entry in project.truth("images")
        if entry["needed"] and (problem := _problem(carried, entry))
    ]
    assert not problems, "\n".join(problems)
    assert not _foreign(carried)


def _problem(carried: _Import, entry: dict[str, object]) -> str:
    """What is wrong with an occurrence that was judged; empty when nothing is."""
    path = JudgedPath.parse(str(entry["path"]))
    for obj in carried.shipped:
        if obj.file != path.file or not path.names(obj):
            continue
        if not carried.is_last(obj):
            return ""
        for before in path.values(obj):
            after = [text for v in path.values(carried.counterpart(obj)) for text in texts_in(v)]
            return _difference(carried, entry, texts_in(before), after)
    return "its path leads nowhere"


def _difference(
    carried: _Import, entry: dict[str, object], before: list[str], after: list[str]
) -> str:
    ref = str(entry["ref"])
    if not entry.get("split"):
        pattern = _DIGEST.sub("sha256:[0-9a-f]{64}", re.escape(ref).replace("\\:", ":"))
        match = next((found for text in before if (found := re.search(pattern, text))), None)
        ref = match[0] if match else ref
    reference = read_reference(ref)
    assert reference is not None
    target = carried.journey.relocation().get(reference.canonical)
    if target is None:
        return "is not in the bundle"
    wanted = [target["reference"]]
    if entry.get("split"):
        wanted = [target["repository"].rpartition("/")[2], target["tag"]]
    missing = [part for part in wanted if not any(part in text for text in after)]
    return f"{', '.join(missing)} is not in {after}"[:600] if missing else ""


def _foreign(carried: _Import) -> list[str]:
    """References that were judged an image, are full ones, and still stand where none may."""
    reported = {
        entry["text"] for key in ("undecided", "ignored") for entry in carried.coverage[key]
    }
    texts = "\n".join(text for obj in carried.deployed for text in texts_in(obj.value))
    return [
        ref
        for ref in {str(entry["ref"]) for entry in carried.project.truth("images")}
        if "." in ref.partition("/")[0]
        and re.search(rf"(?<![\w./-]){re.escape(ref)}(?![\w.-])", texts)
        and not any(ref in text for text in reported)
    ]
