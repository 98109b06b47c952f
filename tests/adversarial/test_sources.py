"""Group K and D10: what a source registry or an application may try on create."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.commands import Finished
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, FlipByte, ResetResponse, Rewrite, Rule
from support.images import (
    OCI_MANIFEST,
    BuiltImage,
    digest_of,
    generated_layer,
    make_image,
    make_index,
    opaque_layer,
    platform_index,
)
from support.in_process import run_here
from support.journey import deployment, refused, succeeded, tree_of, write_key_pair
from support.pushing import push_image

_ENVIRONMENT = ("HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE")


@dataclass(frozen=True, slots=True)
class Vendor:
    """Somebody who bundles from a registry that cannot be trusted."""

    folder: Path
    proxy: FaultProxy

    def push(self, image: BuiltImage, name: str = "app") -> None:
        push_image(self.proxy.upstream, f"docker.io/team/{name}", "1", image)

    def create(self, *images: str, text: str | None = None) -> Finished:
        """Bundle a deployment of these images, or of this text."""
        app = self.folder / "app"
        app.mkdir(exist_ok=True)
        (app / "app.yaml").write_text(text or deployment("web", *images))
        return run_here(
            self.folder,
            *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1"),
            *("--key", "vendor.key", "--output", "shop.tar.zst", "--platform", "linux/amd64"),
            *("--mirror", f"*={self.proxy.host}", "--plain-http", self.proxy.host),
        )

    def fails(
        self, code: int | tuple[int, ...], *names: str, image: str = "team/app:1"
    ) -> Finished:
        """Make sure that create fails so, and that no bundle and nothing else is there."""
        outside = tree_of(self.folder.parent)
        done = refused(self.create(image), code, *names)
        assert not (self.folder / "shop.tar.zst").exists()
        new = set(tree_of(self.folder.parent)) - set(outside)
        assert all("/app" in name or name.endswith(".partial") for name in new), new
        return done


@pytest.fixture
def vendor(
    tmp_path: Path,
    source_registry: DockerRegistry,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Vendor:
    for name in _ENVIRONMENT:
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    folder = tmp_path / "inside" / "work"
    folder.mkdir(parents=True)
    write_key_pair(folder, "vendor")
    return Vendor(folder, make_proxy(source_registry.host))


def _serving(raw: bytes, media_type: str = OCI_MANIFEST) -> Answer:
    """An answer to a request for a manifest: these bytes, under their own digest."""
    headers: Mapping[str, str] = {
        "Content-Type": media_type,
        "Docker-Content-Digest": digest_of(raw),
    }
    return Answer(200, headers, raw)


def _serve(vendor: Vendor, raw: bytes, media_type: str = OCI_MANIFEST) -> None:
    vendor.push(make_image([b"content"]))
    vendor.proxy.add(Rule(_serving(raw, media_type), "GET", "/manifests/", times=None))
    head = Rewrite(headers={"Docker-Content-Digest": None})
    vendor.proxy.add(Rule(head, "HEAD", "/manifests/", times=None))


def _doctored(**changes: object) -> bytes:
    return json.dumps({**make_image([b"content"]).document, **changes}).encode()


class TestK02:
    """Other bytes than the digest asks for."""

    def test_for_an_image_pinned_by_digest(self, vendor: Vendor) -> None:
        image = make_image([b"pinned"])
        vendor.push(image)
        other = make_image([b"other"]).raw
        vendor.proxy.add(Rule(_serving(other), "GET", "/manifests/", times=None))
        vendor.fails(40, "UpstreamDigestMismatch", image=f"team/app@{image.digest}")

    def test_for_a_manifest_of_an_index(self, vendor: Vendor) -> None:
        index = platform_index("app", "linux/amd64", "linux/arm64")
        vendor.push(index)
        rule = Rule(FlipByte(30), "GET", index.children[0].digest, times=None)
        vendor.proxy.add(rule)
        vendor.fails(40, "UpstreamDigestMismatch")

    @pytest.mark.parametrize("which", ["config", "layer"])
    def test_for_a_blob(self, vendor: Vendor, which: str) -> None:
        image = make_image([generated_layer(400_000)])
        vendor.push(image)
        config, layer = image.blobs
        rule = Rule(FlipByte(7), "GET", config if which == "config" else layer, times=None)
        vendor.proxy.add(rule)
        vendor.fails(40, "UpstreamDigestMismatch")

    def test_for_a_blob_that_is_cut_short_once(self, vendor: Vendor) -> None:
        image = make_image([generated_layer(4 << 20)])
        vendor.push(image)
        digest = list(image.blobs)[1]
        vendor.proxy.add(Rule(ResetResponse(2 << 20), "GET", digest))
        succeeded(vendor.create("team/app:1"))


def test_k06_two_of_ten_are_missing(vendor: Vendor) -> None:
    for number in range(8):
        vendor.push(make_image([b"%d" % number]), f"app{number}")
    done = refused(
        vendor.create(*(f"team/app{number}:1" for number in range(10))), 40, "UpstreamNotFound"
    )
    assert "2 of 10" in done.err
    assert {"app8", "app9"} == {f"app{n}" for n in range(10) if f"app{n}:1" in done.err}
    assert sorted(path.name for path in vendor.folder.iterdir()) == [
        *("app", "vendor.key", "vendor.pub"),
    ]


class TestK11:
    """Manifests that lead elsewhere."""

    @pytest.mark.parametrize(
        "digest",
        ["sha256:../../x", "sha256:" + "../" * 21 + "x", "../x", "sha256:" + "A" * 64, "md5:00"],
    )
    @pytest.mark.parametrize("field", ["layers", "config"])
    def test_by_a_digest(self, vendor: Vendor, digest: str, field: str) -> None:
        entry: dict[str, Any] = {"mediaType": "a/b", "digest": digest, "size": 3}
        _serve(vendor, _doctored(**{field: [entry] if field == "layers" else entry}))
        vendor.fails(14, "DigestUnsupported")
        assert not [one for one in vendor.proxy.requests() if ".." in one.path]

    def test_by_urls(self, vendor: Vendor, make_proxy: MakeProxy) -> None:
        elsewhere = make_proxy(vendor.proxy.upstream)
        image = make_image([opaque_layer(b"foreign")])
        layer = dict(image.document["layers"][0])  # type: ignore[index]
        layer |= {"urls": [f"{elsewhere.url}/layer"], "digest": digest_of(b"not there")}
        _serve(vendor, _doctored(layers=[layer]))
        vendor.fails(14, "ForeignLayer")
        assert elsewhere.requests() == []

    def test_by_an_index_in_itself_without_end(self, vendor: Vendor) -> None:
        image = make_image([b"content"])
        for _ in range(12):
            image = replace(make_index([image]), platform="linux/amd64")
        vendor.push(image)
        vendor.fails((14, 40), "LimitExceeded", "UpstreamNotFound")

    @pytest.mark.parametrize(
        ("raw", "media_type", "name"),
        [
            (b"[" * 100_000, OCI_MANIFEST, "DocumentInvalid"),
            (b"<html>", OCI_MANIFEST, "DocumentInvalid"),
            (b"<html>", "text/html", "MediaTypeUnsupported"),
            (b'{"schemaVersion":2,"schemaVersion":2}', OCI_MANIFEST, "DuplicateJSONKey"),
            (
                b'{"schemaVersion":1}',
                "application/vnd.docker.distribution.manifest.v1+json",
                "MediaTypeUnsupported",
            ),
            (b" " * ((4 << 20) + 1), OCI_MANIFEST, "LimitExceeded"),
        ],
        ids=["deep", "html", "html said so", "twice", "schema 1", "large"],
    )
    def test_by_being_none(self, vendor: Vendor, raw: bytes, media_type: str, name: str) -> None:
        _serve(vendor, raw, media_type)
        vendor.fails(14, name, *(["DocumentInvalid"] if "html" in media_type else []))


class TestD10:
    """References that are none."""

    @pytest.mark.parametrize(
        "reference",
        [
            "user:pw@h/a",
            "team/../a:1",
            "team/%2e%2e/a:1",
            "team/a?x=1",
            "team/a#x",
            "team/a:1\r\nHost: evil",
            "team/" + "a" * 300,
            "team/\u0430pp:1",
            "host:99999/a:1",
            "team/a@sha256:1234",
            "-option",
            "team/app:" + "t" * 129,
            "a" * 64,
            "",
            " team/app:1",
        ],
    )
    @pytest.mark.parametrize("where", ["option", "file", "manifest"])
    def test_is_never_asked_for(self, vendor: Vendor, reference: str, where: str) -> None:
        if where == "manifest":
            done = vendor.create(text=deployment("web", reference))
        else:
            (vendor.folder / "images.txt").write_text(reference, newline="")
            given = ("--image", reference) if where == "option" else ("--images-file", "images.txt")
            done = run_here(
                vendor.folder,
                *("airgap-bundle", "create", *given, "--name", "shop", "--version", "1"),
                *("--key", "vendor.key", "--output", "shop.tar.zst"),
                *("--mirror", f"*={vendor.proxy.host}", "--plain-http", vendor.proxy.host),
            )
        if where == "file" and reference.strip() in ("", "team/app:1"):
            return
        if where in ("option", "file"):
            refused(done, (2, 14), "ImageReferenceInvalid", "UsageError")
        elif reference:
            refused(done, 14, "ImageReferenceInvalid")
        assert vendor.proxy.requests("GET", "/manifests/") == []
