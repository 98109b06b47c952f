"""Somebody about to import, and what must not happen to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.crash_site import NEW, OLD, CrashSite
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key
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


@contextmanager
def _crash_site(folder: Path, before: Draft | None) -> Iterator[CrashSite]:
    with (
        DockerRegistry(folder) as registry,
        FaultProxy(registry.host) as proxy,
    ):
        yield CrashSite(folder, registry, proxy, (before, NEW))


@pytest.fixture(scope="module")
def _first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashSite]:
    with _crash_site(tmp_path_factory.mktemp("first"), None) as site:
        yield site


@pytest.fixture(scope="module")
def _update(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashSite]:
    with _crash_site(tmp_path_factory.mktemp("update"), OLD) as site:
        yield site


@pytest.fixture(params=["first", "update"])
def site(request: pytest.FixtureRequest) -> CrashSite:
    """Somewhere to import a new release: the first of all, or after an older one."""
    site: CrashSite = request.getfixturevalue(f"_{request.param}")
    site.reset()
    return site


@pytest.fixture
def newcomer(_first: CrashSite) -> CrashSite:
    """The same, where nothing is there."""
    _first.reset()
    return _first


@pytest.fixture
def updated(_update: CrashSite) -> CrashSite:
    """The same, where an older release is there."""
    _update.reset()
    return _update
