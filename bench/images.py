"""The images that are carried: a small set made on the spot, or a folder of OCI layouts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.images import Layer, generated_layer, make_image
from support.pushing import push_image

_LISTING = "images.tsv"
_FOLDER = "bench"


@dataclass(frozen=True, slots=True)
class Named:
    """One image in the source registry."""

    name: str
    tag: str

    @property
    def path(self) -> str:
        """Repository and tag."""
        return f"{_FOLDER}/{self.name}:{self.tag}"

    @property
    def label(self) -> str:
        """A name for it in a layout that holds them all."""
        return f"{self.name}-{self.tag}"


def push_made(host: str, count: int, size: int) -> list[Named]:
    """Push ``count`` images of about ``size`` bytes: a base that all share, and two layers each.

    The content cannot be compressed, as layers that are gzip already.
    """
    base = generated_layer(size // 3, seed=1)
    images = []
    for number in range(count):
        layers: Sequence[Layer] = (
            base,
            generated_layer(size // 2, seed=2 * number + 2),
            generated_layer(size // 6, seed=2 * number + 3),
        )
        named = Named(f"image{number}", "1")
        push_image(host, f"{_FOLDER}/{named.name}", named.tag, make_image(layers))
        images.append(named)
    return images


def push_folder(host: str, folder: Path) -> list[Named]:
    """Push every image that ``images.tsv`` in ``folder`` lists: name, tag, anything more.

    Each is the OCI layout ``oci/NAME_TAG`` with the image under the name of its tag.
    """
    listing = folder / _LISTING
    if not listing.is_file():
        sys.exit(f"bench: {listing} is not there: not a folder of images, or not finished")
    skopeo = shutil.which("skopeo") or "skopeo"
    images = []
    for line in listing.read_text().splitlines():
        name, tag = line.split("\t")[:2]
        named = Named(name, tag)
        layout = folder / "oci" / f"{name}_{tag}"
        subprocess.run(
            [skopeo, "--insecure-policy", "copy", "-q", "--preserve-digests",
             "--dest-tls-verify=false", f"oci:{layout}:{tag}", f"docker://{host}/{named.path}"],
            check=True,
        )  # fmt: skip
        images.append(named)
    return images
