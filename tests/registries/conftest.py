"""The fixtures of the suite that is run against every kind of registry."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import pytest

from airgap_shared.oci.reference import parse_reference
from support.docker_registry import DockerRegistry, RegistryOptions
from support.fault_proxy import FaultProxy
from support.images import BuiltImage, make_image, make_index
from support.in_process import run_here
from support.journey import deployment, location_of, succeeded, write_key_pair
from support.kinds.proxy import BehaviourProxy
from support.kinds.rows import Row, Server
from support.kinds.stage import MakeRelease, MakeStage, Release, Stage
from support.pushing import push_image
from support.tls import Certificate
from support.token_server import TokenPolicy, TokenServer

_NUMBERS = itertools.count()
_SHARED = b"a layer of several images " * 200
_WEB = {version: make_image([_SHARED, f"web {version}".encode() * 300]) for version in "12"}
_DB = make_index([make_image([_SHARED, b"db" * 500]), make_image([b"db" * 600], "linux/arm64")])
_TOOL = make_image([_SHARED])


class Servers:
    """The docker-registries behind, each started when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._started: dict[Server, DockerRegistry] = {}

    def close(self) -> None:
        self._stack.close()

    def behind(self, row: Row) -> DockerRegistry:
        """The one for a row: rows that are imitated share one."""
        server = Server.OPEN if row.server is Server.TLS else row.server
        if server not in self._started:
            folder = self._folder / server.name
            folder.mkdir()
            options = self._options(server, row)
            self._started[server] = self._stack.enter_context(DockerRegistry(folder, options))
        return self._started[server]

    def _options(self, server: Server, row: Row) -> RegistryOptions:
        users = {one.user: one.password for one in row.accounts}
        if server is Server.HTPASSWD:
            return RegistryOptions(users=users)
        if server is Server.TOKEN:
            policy = TokenPolicy(
                users=users, anonymous=None, lifetime=3, readers=frozenset({"reader"})
            )
            tokens = TokenServer(self._folder / "token-server", policy)
            return RegistryOptions(token=self._stack.enter_context(tokens).realm)
        return RegistryOptions()


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The docker-registries behind all kinds."""
    servers = Servers(tmp_path_factory.mktemp("backends"))
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def make_release(tmp_path_factory: pytest.TempPathFactory) -> MakeRelease:
    """Bundle images under their references: ``make_release(7, {"team/web:1": image})``.

    A third argument says what else is in a repository of the source, by tag.
    """
    keys = tmp_path_factory.mktemp("keys")
    write_key_pair(keys, "vendor")

    def make(
        sequence: int,
        images: dict[str, BuiltImage],
        attached: Mapping[str, Mapping[str, BuiltImage]] = MappingProxyType({}),
    ) -> Release:
        folder = tmp_path_factory.mktemp("release")
        (folder / "registry").mkdir()
        (folder / "app").mkdir()
        (folder / "app" / "app.yaml").write_text(deployment("shop", *images))
        named = {parse_reference(text): image for text, image in images.items()}
        with DockerRegistry(folder / "registry") as source:
            for reference, image in named.items():
                location = location_of(reference)
                push_image(source.host, location, reference.effective_tag, image)
            for repository, others in attached.items():
                location = location_of(parse_reference(repository))
                for tag, image in others.items():
                    push_image(source.host, location, tag, image)
            done = run_here(
                folder,
                *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1.0"),
                *("--sequence", str(sequence), "--key", keys / "vendor.key"),
                *("--platform", "all", "--output", "shop.tar.zst", "--mirror", f"*={source.host}"),
                *("--plain-http", source.host),
            )
        succeeded(done)
        return Release(
            folder / "shop.tar.zst",
            keys / "vendor.pub",
            {
                (reference.repository.rpartition("/")[2], str(reference.effective_tag)): image
                for reference, image in named.items()
            },
        )

    return make


@pytest.fixture(scope="session")
def first(make_release: MakeRelease) -> Release:
    """Three images that share a layer, one of them for two platforms."""
    return make_release(
        1, {"team/web:1": _WEB["1"], "team/db:5": _DB, "ghcr.io/other/tool:2": _TOOL}
    )


@pytest.fixture(scope="session")
def second(make_release: MakeRelease) -> Release:
    """The next release: one image is new, under a new tag."""
    return make_release(
        2, {"team/web:2": _WEB["2"], "team/db:5": _DB, "ghcr.io/other/tool:2": _TOOL}
    )


@pytest.fixture
def make_stage(
    backends: Servers,
    tmp_path: Path,
    servers: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Certificate,
) -> MakeStage:
    """Set a stage for a row: a namespace of its own, with what its owner has to make for images."""

    def make(row: Row, *made: str) -> Stage:
        registry = backends.behind(row)
        number = next(_NUMBERS)
        folder = tmp_path / f"stage{number}"
        folder.mkdir()
        tls = certificate if row.server is Server.TLS else None
        proxy: FaultProxy
        if row.server in (Server.HTPASSWD, Server.TOKEN):
            proxy = servers.enter_context(FaultProxy(registry.host))
        else:
            kind = BehaviourProxy(row.kind, registry.host, registry.storage, tls)
            proxy = servers.enter_context(kind)
            kind.site.accounts = row.accounts
        stage = Stage(
            row,
            proxy,
            registry.storage,
            row.namespace.format(n=number),
            folder,
            monkeypatch,
            tls,
            row.pusher,
        )
        if made:
            stage.make(*made)
        return stage

    return make
