"""Applications made of text, a relocation for them, and their overlays on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_importer.rewriting import Overlay, compose_overlay
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import KubeObject, ManifestFile
from airgap_shared.kube.uses import ImageUse, Verdict
from airgap_shared.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Application:
    """Files, the objects in them, and the uses of images in those."""

    files: tuple[ManifestFile, ...]
    objects: tuple[KubeObject, ...]
    uses: tuple[ImageUse, ...]

    def overlay(
        self, relocation: Relocation | None = None, pull_secrets: Sequence[str] = ()
    ) -> Overlay:
        relocation = relocation or relocation_of(self.uses)
        return compose_overlay(self.files, self.objects, self.uses, relocation, pull_secrets)


def application(files: Mapping[str, str | bytes] | str) -> Application:
    """An application of some files, or of one."""
    if isinstance(files, str):
        files = {"app.yaml": files}
    manifests = tuple(
        ManifestFile(path, text if isinstance(text, bytes) else text.encode())
        for path, text in files.items()
    )
    objects = tuple(obj for file in manifests for obj in load_objects(file))
    return Application(
        manifests, objects, tuple(use for obj in objects for use in find_images(obj))
    )


def relocation_of(
    uses: Iterable[ImageUse], registry: str = "registry.test:5000", namespace: str = "apps"
) -> Relocation:
    """Every image under one namespace, a digest made up from its name."""
    images = {}
    for use in uses:
        if use.verdict is not Verdict.IMAGE:
            continue
        source = read_reference(use.text)
        assert source is not None, use
        other = hashlib.sha256(source.name.encode()).hexdigest()[:4]
        images[source.canonical] = RelocatedImage(
            source,
            registry,
            f"{namespace}/{source.last_segment}-{other}",
            source.effective_tag,
            source.digest or Digest.of(source.canonical.encode()),
        )
    return Relocation(images)


def write_overlay(directory: Path, overlay: Overlay) -> Path:
    """Write the files of an overlay below a directory; the midstream is returned."""
    for path, content in overlay.files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return directory / "overlays" / "midstream"
