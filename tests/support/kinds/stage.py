"""A stage: one import suite's surroundings, with a registry of some kind as the target."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.commands import Finished
from support.credential_helper import CredentialHelper
from support.fault_proxy import FaultProxy, Recorded
from support.images import BuiltImage
from support.in_process import run_here
from support.journey import tree_of
from support.kinds.proxy import BehaviourProxy
from support.kinds.rows import ROWS, SUCCESSOR, Column, Row
from support.kinds.site import Account
from support.registry_storage import RegistryStorage, Snapshot
from support.tls import Certificate

#: Where imports leave receipts: written last, and different each time.
RECEIPTS = "airgap-receipts"


@dataclass(frozen=True, slots=True)
class Release:
    """A bundle, and the images in it by the last segment of their repository and their tag."""

    bundle: Path
    key: Path
    images: Mapping[tuple[str, str], BuiltImage]

    @property
    def names(self) -> list[str]:
        """The repositories that it is imported into, without their namespace."""
        return sorted({name for name, _ in self.images})

    def content(self) -> Snapshot:
        """What a registry holds below the namespace once it was imported, whatever its kind."""
        manifests: set[tuple[str, str]] = set()
        layers: set[tuple[str, str]] = set()
        tags: dict[tuple[str, str], str] = {}
        blobs: dict[str, str] = {}
        for (name, tag), image in self.images.items():
            tags[name, tag] = image.digest
            for digest in image.all_manifests():
                manifests.add((name, digest))
                tags[name, f"airgap-{digest.partition(':')[2]}"] = digest
            layers.update((name, digest) for digest in image.all_blobs())
            blobs.update(
                {digest: digest for digest in (*image.all_manifests(), *image.all_blobs())}
            )
        return Snapshot(blobs, frozenset(manifests), frozenset(layers), tags)


@dataclass(slots=True)
class Stage:
    """One namespace in one registry, and a folder to import from."""

    row: Row
    proxy: FaultProxy
    storage: RegistryStorage
    namespace: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    certificate: Certificate | None = None
    account: Account | None = None
    options: tuple[str, ...] = field(default=())

    @property
    def host(self) -> str:
        """The registry as the command is told."""
        return self.proxy.host

    @property
    def behaviour(self) -> BehaviourProxy:
        """The proxy, where it behaves as another kind."""
        assert isinstance(self.proxy, BehaviourProxy)
        return self.proxy

    def make(self, *names: str) -> None:
        """Have the owner of the registry make what is needed for these images and receipts."""
        if isinstance(self.proxy, BehaviourProxy):
            self.proxy.site.existing |= self.row.to_make(self.namespace, [*names, RECEIPTS])

    def apply(self, release: Release, *options: str, stdin: bytes = b"") -> Finished:
        """Import a release to its end, as the account of the stage.

        No kubectl is found, so that the importer renders the overlay itself, which takes no time.
        """
        with self.monkeypatch.context() as environment:
            environment.setenv("HOME", str(self.folder))
            environment.setenv("PATH", f"{self.folder / 'helper'}:{self.folder / 'bin'}")
            self._log_in(environment)
            return run_here(self.folder, *self.command(release), *options, stdin=stdin)

    def command(self, release: Release) -> tuple[str | Path, ...]:
        """The command line of an import."""
        trust = ("--ca-file", self.certificate.ca) if self.certificate else ("--plain-http",)
        kind = () if self.row.told else ("--registry-type", self.row.kind.name)
        return (
            *("airgap-import", "apply", release.bundle, "--key", release.key),
            *("--registry-endpoint", self.host, "--image-namespace", self.namespace),
            *("--output", "deploy", *trust, *kind, *self.options),
        )

    def log_in_by_helper(self) -> None:
        """Have passwords from a helper from now on: the account's, then its successor's."""
        assert self.account is not None
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("cat", "mv"):
            (programs / name).symlink_to(shutil.which(name) or name)
        passwords = (self.account.password, SUCCESSOR.password)
        CredentialHelper.install(self.folder, self.host, self.account.user, passwords)
        self.account = None

    def tags(self) -> dict[tuple[str, str], str]:
        """The tags people know below the namespace, by repository and tag."""
        found = self.content().tags.items()
        return {tag: digest for tag, digest in found if not tag[1].startswith("airgap-")}

    def content(self) -> Snapshot:
        """What is stored below the namespace, without it; receipts are left out."""
        whole = self.storage.snapshot()
        manifests = frozenset(self._below(whole.manifests))
        layers = frozenset(self._below(whole.layers))
        tags = {
            (name, tag): digest
            for (repository, tag), digest in whole.tags.items()
            for name, _ in self._below([(repository, "")])
        }
        digests = {digest for _, digest in manifests | layers}
        blobs = {digest: real for digest, real in whole.blobs.items() if digest in digests}
        return Snapshot(blobs, manifests, layers, tags)

    def overlay(self) -> dict[str, bytes | None]:
        """What would be deployed now."""
        return tree_of(self.folder / "deploy" / "overlays")

    def is_untouched(self) -> bool:
        """Whether nothing at all is stored below the namespace, not even a receipt."""
        stored = self.storage.manifest_links() | self.storage.layer_links()
        return not any(name.startswith(f"{self.namespace}/") for name, _ in stored)

    def writes(self) -> list[Recorded]:
        """The requests to the distribution API that would change something."""
        return [one for one in self.proxy.mutations() if one.path.startswith("/v2/")]

    def refused(self) -> list[str]:
        """The requests that were refused, first challenges left out."""
        return [
            f"{one.method} {one.path} {one.status}"
            for one in self.proxy.requests()
            if (one.status or 999) >= 400
            and one.status != 404
            and (one.status != 401 or "authorization" in one.headers)
            # Closing a session needs the right to delete with some token servers.
            and one.method != "DELETE"
        ]

    def _below(self, links: object) -> list[tuple[str, str]]:
        prefix = f"{self.namespace}/"
        assert isinstance(links, frozenset | list)
        return [
            (name.removeprefix(prefix), value)
            for name, value in links
            if name.startswith(prefix) and name != prefix + RECEIPTS
        ]

    def _log_in(self, environment: pytest.MonkeyPatch) -> None:
        for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
            environment.delenv(name, raising=False)
        if self.account is None:
            return
        if not self.account.identity:
            environment.setenv("AIRGAP_REGISTRY_USERNAME", self.account.user)
            environment.setenv("AIRGAP_REGISTRY_PASSWORD", self.account.password)
            return
        user = base64.b64encode(f"{self.account.user}:".encode()).decode()
        entry = {"auth": user, "identitytoken": self.account.identity}
        path = self.folder / "auth.json"
        path.write_text(json.dumps({"auths": {self.host: entry}}))
        environment.setenv("REGISTRY_AUTH_FILE", str(path))


#: The fixtures that bundle images and set a stage.
MakeRelease = Callable[..., Release]
MakeStage = Callable[..., Stage]


def column(*columns: Column) -> pytest.MarkDecorator:
    """What a test proves about each row that it is run for."""
    return pytest.mark.column(*columns)


def rows(choose: Callable[[Row], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Run a test for every row, or for those that are chosen."""
    chosen = [row for row in ROWS if choose(row)]
    return pytest.mark.parametrize("row", chosen, ids=[row.id for row in chosen])


def rows_with(one: Column) -> pytest.MarkDecorator:
    """Run a test for every row to which a column applies."""
    return rows(lambda row: one not in row.absent)
