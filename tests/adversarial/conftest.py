"""Somebody about to import, and what must not happen to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Key
from support.victim import Victim


@pytest.fixture(scope="session")
def key() -> Key:
    """The key that the victim trusts; an attacker from within has it, too."""
    return Key()


@pytest.fixture(scope="module")
def proxied(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[DockerRegistry, FaultProxy]]:
    """A registry that lives for a whole file of tests, and a proxy that sees what reaches it."""
    with ExitStack() as stack:
        registry = stack.enter_context(DockerRegistry(tmp_path_factory.mktemp("registry")))
        yield registry, stack.enter_context(FaultProxy(registry.host))


@pytest.fixture
def victim(proxied: tuple[DockerRegistry, FaultProxy], tmp_path: Path, key: Key) -> Victim:
    """Somebody who trusts ``key`` and has an empty folder for the overlay."""
    registry, proxy = proxied
    proxy.clear()
    (tmp_path / "vendor.pub").write_bytes(key.public_pem)
    return Victim(tmp_path, registry, proxy)
