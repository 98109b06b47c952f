"""A real application of thirteen images, with stand-ins for their content."""

from __future__ import annotations

import pytest

from airgap_shared.oci.reference import parse_reference
from support.corpus import find_projects
from support.docker_registry import DockerRegistry
from support.journey import Journey, images_in, succeeded
from support.kustomize import NOT_HERE, find_kustomize
from support.pushing import fetch_manifest

_BOUTIQUE = next((one for one in find_projects() if one.name == "boutique"), None)


@pytest.mark.skipif(_BOUTIQUE is None, reason="no corpus: set AIRGAP_CORPUS")
def test_all_images_arrive_and_the_overlay_runs_nothing_else(
    journey: Journey, registry: DockerRegistry
) -> None:
    assert _BOUTIQUE is not None
    digests = journey.fill_stand_ins(_BOUTIQUE.folder)
    assert len(set(digests.values())) == 13
    succeeded(journey.create())
    succeeded(journey.verify())
    succeeded(journey.apply())

    relocation = journey.relocation()
    assert {source: entry["digest"] for source, entry in relocation.items()} == digests
    for entry in relocation.values():
        fetch_manifest(registry.host, entry["repository"], entry["digest"])
    expected = sorted(entry["reference"] for entry in relocation.values())
    for name in NOT_HERE:
        program = find_kustomize(name)
        if program is None:
            continue
        images = images_in(program.build(journey.midstream))
        assert sorted(set(images)) == expected, name
        assert {parse_reference(image).registry for image in images} == {registry.host}
