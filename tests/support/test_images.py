from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    BuiltImage,
    GeneratedContent,
    ImageStyle,
    chunks_of,
    digest_of,
    generated_layer,
    gzip_layer,
    make_artifact,
    make_image,
    opaque_layer,
    platform_index,
    runnable_image,
    tar_layer,
)
from support.program import static_program
from support.pushing import push_image

PLATFORMS = ("linux/amd64", "linux/arm64/v8")
DOCKER = ImageStyle(docker=True)
SILENT = ImageStyle(with_media_type=False)
EVERY_KIND = {
    "oci": make_image([b"one", tar_layer({"two": b"2"})]),
    "docker": make_image([b"one", tar_layer({"two": b"2"})], style=DOCKER),
    "oci without mediaType": make_image([b"one"], style=SILENT),
    "oci index": platform_index("app", *PLATFORMS),
    "docker list": platform_index("app", *PLATFORMS, style=DOCKER),
    "oci index without mediaType": platform_index("app", *PLATFORMS, style=SILENT),
    "artifact": make_artifact(b"chart", "application/vnd.example.chart", make_image([b"one"])),
    "opaque": make_image([opaque_layer(b"not a tar")]),
    "large": make_image([generated_layer(3 << 20)]),
}


@pytest.mark.parametrize("image", EVERY_KIND.values(), ids=EVERY_KIND.keys())
def test_a_registry_takes_it(registry: DockerRegistry, image: BuiltImage) -> None:
    push_image(registry.host, "app", "1", image)
    assert set(registry.storage.blobs()) == set(image.all_blobs()) | set(image.all_manifests())


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("kind", ["oci", "docker", "oci index", "docker list"])
def test_skopeo_reads_it(registry: DockerRegistry, tmp_path: Path, kind: str) -> None:
    image = EVERY_KIND[kind]
    push_image(registry.host, "app", "1", image)
    copy = ["skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false"]
    target = f"dir:{tmp_path / 'copy'}"
    subprocess.run([*copy, f"docker://{registry.host}/app:1", target], check=True)
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == image.raw


def test_what_is_built_is_the_same_every_time() -> None:
    assert platform_index("app", *PLATFORMS) == platform_index("app", *PLATFORMS)
    assert make_image([generated_layer(9, seed=1)]) != make_image([generated_layer(9, seed=2)])


def test_media_types_follow_the_family() -> None:
    assert EVERY_KIND["docker"].media_type == DOCKER_MANIFEST
    assert EVERY_KIND["docker list"].media_type == DOCKER_LIST
    assert EVERY_KIND["oci index"].document["mediaType"] == OCI_INDEX
    assert "mediaType" not in EVERY_KIND["oci without mediaType"].document


def test_a_layer_unpacks_to_its_diff_id() -> None:
    layer = gzip_layer({"bin/tool": b"content"})
    assert isinstance(layer.content, bytes)
    packed = gzip.decompress(layer.content)
    assert digest_of(packed) == layer.diff_id != layer.digest
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["bin/tool"]


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 19])
def test_generated_content_has_its_size(size: int) -> None:
    assert sum(len(chunk) for chunk in chunks_of(GeneratedContent(size))) == size


def test_generated_content_does_not_repeat() -> None:
    chunks = list(chunks_of(GeneratedContent(4 << 20)))
    assert len(set(chunks)) == len(chunks) == 4


def test_the_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine.stdout.strip())
    if architecture is None:
        pytest.skip(f"no program for {machine.stdout.strip()}")
    path.write_bytes(static_program("it runs\n", architecture))
    path.chmod(0o755)
    done = subprocess.run([path], capture_output=True, check=True)
    assert done.stdout == b"it runs\n"


def test_the_runnable_image_starts_its_program() -> None:
    image = runnable_image("hello\n", "arm64")
    configs = [
        json.loads(blob)
        for blob in image.blobs.values()
        if isinstance(blob, bytes) and blob.startswith(b"{")
    ]
    assert [config["config"]["Entrypoint"] for config in configs] == [["/hello"]]
    assert configs[0]["architecture"] == "arm64"
