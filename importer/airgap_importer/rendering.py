"""Rendering a kustomization directory: by kubectl or kustomize, or else by ourselves."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from airgap_importer.ownrenderer import render_directory
from airgap_shared.bundle.names import METADATA_LIMIT
from airgap_shared.errors import AirgapError, OverlayRefused, RendererFailed
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.stores.program import Ending, Program, ProgramFailed

TIMEOUT = 300.0

_LOG = logging.getLogger(__name__)
# A kustomize built with `go install` says (devel).
_VERSION = re.compile(r"v?\d+\.\d+\.\d+[^\s\"',}]*|\(devel\)")
_SEPARATOR = re.compile(rb"^---[ \t]*\r?\n", re.MULTILINE)
_LONGEST_COMPLAINT = 2000
#: Bytes of what a program prints: as many as a bundle may have of manifests and the like.
_OUTPUT_LIMIT = METADATA_LIMIT
# Nothing of the user's environment: no kubeconfig, no plugins, no proxies.
_ENVIRONMENT = {"HOME": "/nonexistent", "PATH": "/usr/local/bin:/usr/bin:/bin"}
# The kubectl of some distributions asks a cluster for its version first, whatever it is to do.
_NO_CLUSTER = "--server=none://"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a kustomization comes to, and who says so (``kubectl v1.32.4``)."""

    renderer: str
    objects: tuple[KubeObject, ...]


class Renderer(Protocol):
    """Something that renders a kustomization directory."""

    @property
    def name(self) -> str:
        """Name and version, as reports show it."""

    def render(self, directory: Path) -> Rendering:
        """The objects that the kustomization in ``directory`` comes to.

        Raises:
            OverlayRefused: it cannot be rendered.
            RendererFailed: the program does not work, whatever it is given.

        """


@dataclass(frozen=True, slots=True)
class ProgramRenderer:
    """A program that prints the rendered kustomization: ``COMMAND... DIRECTORY``."""

    name: str
    command: tuple[str, ...]

    def render(self, directory: Path) -> Rendering:
        try:
            done = _run((*self.command, str(directory.absolute())))
        except ProgramFailed as error:
            raise OverlayRefused(f"{self.name} {error}") from error
        complaint = _complaint(done.errors.decode(errors="replace"))
        if done.status < 0:
            name = signal.strsignal(-done.status) or "unknown"
            raise RendererFailed(f"{self.name} was ended by signal {-done.status} ({name})")
        if done.status != 0 and not complaint:
            raise RendererFailed(f"{self.name} ended with {done.status} and does not say why")
        if done.status != 0:
            raise OverlayRefused(
                f"{self.name} refuses the overlay: {complaint[-_LONGEST_COMPLAINT:]}"
            )
        if complaint:
            _LOG.debug("%s: %s", self.name, complaint)
        return Rendering(self.name, _read(done.output, self.name))


@dataclass(frozen=True, slots=True)
class OwnRenderer:
    """The part of kustomize that our overlays need, for machines that have none."""

    name: str = "airgap-import's own renderer"

    def render(self, directory: Path) -> Rendering:
        try:
            return Rendering(self.name, render_directory(directory))
        except OSError as error:
            raise OverlayRefused(f"{self.name} could not read: {error}") from error


def choose_renderer(kubectl: str | None, kustomize: str | None) -> Renderer:
    """The best renderer there is; the arguments are paths of programs, if there are any."""
    for label, program, command, version in (
        ("kubectl", kubectl, ("kustomize", _NO_CLUSTER), ("version", "--client", _NO_CLUSTER)),
        ("kustomize", kustomize, ("build",), ("version",)),
    ):
        if program is None:
            continue
        found = _version(label, [program, *version])
        # kubectl before 1.14 has no such subcommand and does not know the flag either.
        if found and _answers([program, *command, "--help"]):
            return ProgramRenderer(f"{label} {found}", (program, *command))
        _LOG.info("%s cannot render kustomizations", program)
    return OwnRenderer()


def _complaint(text: str) -> str:
    """What it says apart from the warnings that the fields we use are old."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip()


def _version(label: str, command: Sequence[str]) -> str:
    try:
        done = _run(command)
    except ProgramFailed:
        return ""
    match = _VERSION.search(done.output.decode(errors="replace"))
    return match[0] if done.status == 0 and match else ""


def _answers(command: Sequence[str]) -> bool:
    try:
        return _run(command).status == 0
    except ProgramFailed:
        return False


def _run(command: Sequence[str]) -> Ending:
    return Program(command, _ENVIRONMENT, TIMEOUT, _OUTPUT_LIMIT, folder="/").ask(b"")


def _read(output: bytes, renderer: str) -> tuple[KubeObject, ...]:
    """The objects of a rendered stream, document by document: each within the usual limits."""
    objects: list[KubeObject] = []
    try:
        for part in _SEPARATOR.split(output):
            objects.extend(load_objects(ManifestFile("overlays/midstream", part)))
    except AirgapError as error:
        raise OverlayRefused(f"{renderer} prints what cannot be read: {error}") from error
    return tuple(objects)
