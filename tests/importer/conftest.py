from __future__ import annotations

import pytest

from airgap_importer.rendering import OwnRenderer, ProgramRenderer, Renderer
from support.kustomize import NOT_HERE, find_kustomize


@pytest.fixture(params=["own", *NOT_HERE])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    """Each renderer that a site may have: our own, and the programs that are here."""
    name = str(request.param)
    if name == "own":
        return OwnRenderer()
    program = find_kustomize(name)
    if program is None:
        pytest.skip(NOT_HERE[name])
    return ProgramRenderer(program.name, program.command)
