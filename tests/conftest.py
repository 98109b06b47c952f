"""Fixtures that start real servers on loopback, and end them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.budget import budget
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Rule
from support.figures import Figure
from support.kinds.proxy import BehaviourProxy, Kind, MakeKind
from support.tls import Authority, Certificate
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer

pytest_plugins = ("support.scoreboard", "support.registries_page")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=budget(40, 100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: no collection need look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have imports within the test's own process remembered below its own folder."""
    monkeypatch.setenv("AIRGAP_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every program of this machine but those that render kustomizations.

    They take most of the time of an import, and registries do not behave differently for them.
    """
    folder = tmp_path_factory.mktemp("programs")
    for place in os.get_exec_path():
        for path in Path(place).glob("*"):
            if path.name not in ("kubectl", "kustomize") and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def own_renderer(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have imports render the overlay by themselves alone."""
    monkeypatch.setenv("PATH", str(programs))


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """Enter a server here and it ends with the test, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_registry(tmp_path: Path, servers: ExitStack) -> MakeRegistry:
    """Start a registry of one's own: ``make_registry(RegistryOptions(users={...}))``."""
    started: list[DockerRegistry] = []

    def start(options: RegistryOptions) -> DockerRegistry:
        folder = tmp_path / f"registry-{len(started)}"
        folder.mkdir()
        started.append(servers.enter_context(DockerRegistry(folder, options)))
        return started[-1]

    return start


@pytest.fixture
def registry(make_registry: MakeRegistry) -> DockerRegistry:
    """An empty registry that is open to anybody, by plain http."""
    return make_registry(RegistryOptions())


@pytest.fixture
def source_registry(make_registry: MakeRegistry) -> DockerRegistry:
    """A second one like ``registry``: where images come from."""
    return make_registry(RegistryOptions())


@pytest.fixture
def htpasswd_registry(make_registry: MakeRegistry) -> DockerRegistry:
    """A registry with one user, ``robot``, password ``s3cret:word``."""
    return make_registry(RegistryOptions(users={"robot": "s3cret:word"}))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A server certificate for 127.0.0.1 and localhost by an authority nobody trusts."""
    return Authority(tmp_path_factory.mktemp("authority")).issue()


@pytest.fixture
def tls_registry(make_registry: MakeRegistry, certificate: Certificate) -> DockerRegistry:
    """A registry that is open to anybody, by https with ``certificate``."""
    return make_registry(RegistryOptions(tls=certificate))


@pytest.fixture
def make_token_server(tmp_path: Path, servers: ExitStack) -> MakeTokenServer:
    """Start a token server; a registry trusts it by ``RegistryOptions(token=server.realm)``."""

    def start(policy: TokenPolicy) -> TokenServer:
        return servers.enter_context(TokenServer(tmp_path / "token-server", policy))

    return start


@pytest.fixture
def make_proxy(servers: ExitStack) -> MakeProxy:
    """Start a fault proxy: ``make_proxy(registry.host, Rule(...), ...)``."""

    def start(upstream: str, *rules: Rule) -> FaultProxy:
        return servers.enter_context(FaultProxy(upstream, *rules))

    return start


@pytest.fixture
def make_kind(registry: DockerRegistry, servers: ExitStack) -> MakeKind:
    """Have ``registry`` behave as another kind does: ``make_kind(table.ECR)``."""

    def start(kind: Kind) -> BehaviourProxy:
        return servers.enter_context(BehaviourProxy(kind, registry.host, registry.storage))

    return start


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Report a figure of this run: ``figure("bit flips found", 15223)``; equal names are added."""

    def report(name: str, count: int) -> None:
        record_property(f"figure:{name}", count)

    return report
