"""Somebody about to import, and what must not happen to them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap_shared.stores import settings
from airgap_shared.stores.settings import ClientSettings, Patience, Timing
from support.crash_site import NEW, OLD, CrashSite
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.gate import BUNDLE, Gate, good_bundle
from support.hostile import Draft, Key
from support.journey import Journey, write_key_pair
from support.vendor import Vendor
from support.victim import Victim

_ENVIRONMENT = ("HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE")


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
    # Everything that is stored is compared again and again.
    registry.storage.empty()
    (tmp_path / "vendor.pub").write_bytes(key.public_pem)
    return Victim(tmp_path, registry, proxy)


@pytest.fixture
def vendor(
    tmp_path: Path,
    source_registry: DockerRegistry,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Vendor:
    """Somebody about to make a bundle, without credentials."""
    for name in _ENVIRONMENT:
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    folder = tmp_path / "inside" / "work"
    folder.mkdir(parents=True)
    write_key_pair(folder, "vendor")
    return Vendor(folder, make_proxy(source_registry.host))


@pytest.fixture
def journey(tmp_path: Path, source_registry: DockerRegistry, registry: DockerRegistry) -> Journey:
    """From ``source_registry`` to ``registry``, both open to anybody."""
    return Journey.begin(tmp_path / "work", source_registry.host, registry.host)


@pytest.fixture(scope="session")
def bundle(key: Key) -> bytes:
    """A good bundle."""
    return good_bundle(key)


@pytest.fixture
def gate_folder(tmp_path: Path, bundle: bytes, key: Key) -> Path:
    """A folder with the good bundle and the key to trust."""
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / BUNDLE).write_bytes(bundle)
    (folder / "vendor.pub").write_bytes(key.public_pem)
    return folder


@pytest.fixture
def gate(
    gate_folder: Path,
    programs: Path,
    registry: DockerRegistry,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    """Somebody with the good bundle, an empty registry, and no credentials anywhere."""
    monkeypatch.setenv("HOME", str(gate_folder))
    monkeypatch.setenv("PATH", str(programs))
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Gate(gate_folder, registry, make_proxy(registry.host))


@dataclass(frozen=True, slots=True)
class Haste:
    """Has the commands of this process wait for nothing, and knows how long they would have.

    ``limit`` sets the timeouts for connecting, for an answer, and for a mebibyte of it.
    """

    pauses: list[float]
    limit: Callable[[float], None]


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> Haste:
    """Real settings of a client with other values: no pauses, and timeouts that a test sets."""
    pauses: list[float] = []
    patience = Patience(timing=Timing(sleep=pauses.append))

    def limit(seconds: float) -> None:
        changed = functools.partial(
            ClientSettings,
            patience=patience,
            connect_timeout=min(seconds, 10.0),
            read_timeout=seconds,
            chunk_timeout=seconds,
        )
        monkeypatch.setattr(settings, "ClientSettings", changed)

    limit(60.0)
    return Haste(pauses, limit)


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
