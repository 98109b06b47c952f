"""What other people's tools make of a bundle and of what was pushed."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import zstandard

from support.docker_registry import DockerRegistry
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    ImageStyle,
    generated_layer,
    make_image,
    platform_index,
    tar_layer,
)
from support.journey import Journey, succeeded

_SPECIFICATION = Path(__file__).resolve().parents[2] / "bundle-spec.md"
_OCI = (OCI_MANIFEST, OCI_INDEX)
_IMAGES = {
    "nginx": make_image([b"nginx"]),
    "docker.io/team/docker:1": make_image([b"docker"], style=ImageStyle(docker=True)),
    "quay.io/team/many:1": platform_index("many", "linux/amd64", "linux/arm64"),
    "quay.io/team/stored:1": make_image([generated_layer(300_000), tar_layer({"a": b"a" * 9999})]),
}


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Journey, DockerRegistry]]:
    """A bundle that was made and applied; to be looked at only."""
    folder = tmp_path_factory.mktemp("carried")
    for name in ("source", "target"):
        (folder / name).mkdir()
    with DockerRegistry(folder / "source") as source, DockerRegistry(folder / "target") as target:
        journey = Journey.begin(folder / "work", source.host, target.host)
        for reference, image in _IMAGES.items():
            journey.push(reference, image)
        journey.deploy(*_IMAGES)
        succeeded(journey.create("--platform", "all"))
        succeeded(journey.apply())
        yield journey, target


@pytest.fixture(scope="module")
def bundle(carried: tuple[Journey, DockerRegistry]) -> Path:
    return carried[0].bundle


@pytest.fixture(scope="module")
def layout(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked by tar."""
    folder = tmp_path_factory.mktemp("layout")
    _run("tar", "--zstd", "-xf", bundle, "-C", folder)
    return folder


@pytest.fixture(scope="module")
def members(bundle: Path) -> list[str]:
    """The names in the archive, by Python's readers."""
    with (
        bundle.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain,
        tarfile.open(fileobj=io.BytesIO(plain.read()), mode="r:") as archive,
    ):
        return archive.getnames()


def _run(*command: str | Path, folder: Path | None = None) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "" or command[0] in ("zstd", "skopeo"), done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "command", [("tar", "--zstd", "-tf"), ("bsdtar", "-tf")], ids=["GNU tar", "libarchive"]
)
def test_archivers_list_the_same_members(
    bundle: Path, members: Sequence[str], command: tuple[str, ...]
) -> None:
    assert _run(*command, bundle).split() == members
    assert members[:3] == ["airgap-bundle.dsse.json", "oci-layout", "index.json"]


def test_zstd_finds_it_whole(bundle: Path) -> None:
    _run("zstd", "-t", bundle)


def test_the_seek_table_is_that_of_the_seekable_format(bundle: Path) -> None:
    data = bundle.read_bytes()
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0, 0x8F92EAB1)
    start = len(data) - 9 - 8 * count - 8
    assert struct.unpack("<II", data[start : start + 8]) == (0x184D2A5E, 8 * count + 9)
    offset = 0
    for compressed, content in struct.iter_unpack("<II", data[start + 8 : -9]):
        frame = data[offset : offset + compressed]
        assert len(zstandard.ZstdDecompressor().decompressobj().decompress(frame)) == content
        offset += compressed
    assert offset == start


def test_openssl_verifies_by_the_recipe_of_the_specification(
    bundle: Path, carried: tuple[Journey, DockerRegistry], layout: Path, tmp_path: Path
) -> None:
    for tool in ("openssl", "jq", "zstd"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on PATH")
    section = _SPECIFICATION.read_text().partition("\n5.8. ")[2]
    recipe = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert recipe is not None
    script = recipe[1].replace("BUNDLE", str(bundle))
    script = script.replace("KEY.pub", str(carried[0].folder / "vendor.pub"))

    verdict, digest = _run("bash", "-c", f"set -e\n{script}", folder=tmp_path).split("\n")[:2]

    assert verdict == "Verified OK"
    found = _run("sha256sum", layout / "index.json").split()[0]
    assert digest == found


# In a layout, skopeo finds no image by name whose manifest is of Docker's kind.
@pytest.mark.parametrize("reference", [n for n, i in _IMAGES.items() if i.media_type in _OCI])
def test_skopeo_reads_the_unpacked_layout(layout: Path, tmp_path: Path, reference: str) -> None:
    image = _IMAGES[reference]
    named = f"oci:{layout}:{reference}"
    assert _run("skopeo", "inspect", "--raw", named).encode() == image.raw

    copied = tmp_path / "copied"
    options = ("--all", "--preserve-digests")
    _run("skopeo", "--insecure-policy", "copy", *options, named, f"dir:{copied}")
    assert (copied / "manifest.json").read_bytes() == image.raw
    for digest in image.all_blobs():
        assert (copied / digest.removeprefix("sha256:")).exists()


@pytest.mark.parametrize("reference", _IMAGES)
def test_skopeo_reads_what_was_pushed(
    carried: tuple[Journey, DockerRegistry], tmp_path: Path, reference: str
) -> None:
    journey, _ = carried
    image = _IMAGES[reference]
    entry = next(e for e in journey.relocation().values() if e["digest"] == image.digest)
    named = f"docker://{entry['registry']}/{entry['repository']}@{entry['digest']}"
    assert _run("skopeo", "inspect", "--tls-verify=false", "--raw", named).encode() == image.raw

    copied = tmp_path / "copied"
    options = ("--all", "--preserve-digests", "--src-tls-verify=false")
    _run("skopeo", "--insecure-policy", "copy", *options, named, f"dir:{copied}")
    assert (copied / "manifest.json").read_bytes() == image.raw


def test_the_layout_is_one(layout: Path) -> None:
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        algorithm, _, value = entry["digest"].partition(":")
        assert (layout / "blobs" / algorithm / value).stat().st_size == entry["size"]
