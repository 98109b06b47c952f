"""The fixtures of a whole journey."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.journey import Journey


@pytest.fixture
def journey(tmp_path: Path, source_registry: DockerRegistry, registry: DockerRegistry) -> Journey:
    """From ``source_registry`` to ``registry``, both open to anybody."""
    return Journey.begin(tmp_path / "work", source_registry.host, registry.host)
