"""Create and registries that count pulls: Docker Hub counts each GET of a manifest, and no HEAD."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rewrite, Rule
from support.images import BuiltImage, generated_layer, make_image, platform_index
from support.journey import refused, succeeded, write_key_pair
from support.pushing import push_image
from support.vendor import Vendor

_MANIFESTS = "/manifests/"
_LIMITED = Answer(429, {"Retry-After": "86400"}, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}')


@pytest.fixture
def vendor(tmp_path: Path, source_registry: DockerRegistry, make_proxy: MakeProxy) -> Vendor:
    folder = tmp_path / "work"
    folder.mkdir()
    write_key_pair(folder, "vendor")
    return Vendor(folder, make_proxy(source_registry.host))


def image(number: int) -> BuiltImage:
    return make_image([generated_layer(300_000, number), b"%d" % number])


def pushed(vendor: Vendor, count: int) -> list[str]:
    for number in range(count):
        vendor.push(image(number), f"app{number}")
    return [f"team/app{number}:1" for number in range(count)]


def pulls(proxy: FaultProxy) -> list[str]:
    """What Docker Hub would count."""
    return [one.path.rpartition("/")[2] for one in proxy.requests("GET", _MANIFESTS)]


def asked(proxy: FaultProxy) -> int:
    """How often it was asked about an image, and not about what may be attached to one."""
    return len(proxy.requests("HEAD", _MANIFESTS + "(?!sha256-)"))


def test_every_manifest_is_fetched_once(vendor: Vendor) -> None:
    names = pushed(vendor, 3)
    succeeded(vendor.create(*names))
    assert (pulls(vendor.proxy), asked(vendor.proxy)) == (["1", "1", "1"], 0)


def test_two_tags_of_one_image_are_one_pull(vendor: Vendor) -> None:
    one = image(1)
    for tag in ("1", "1.2", "1.2.3"):
        push_image(vendor.proxy.upstream, "docker.io/team/app", tag, one)
    digest = f"team/app@{one.digest}"
    succeeded(vendor.create("team/app:1", "team/app:1.2", "team/app:1.2.3", digest))
    assert len(pulls(vendor.proxy)) == 1
    assert 2 <= asked(vendor.proxy) <= 3
    assert len(vendor.statement()["images"]) == 4


def test_two_indexes_share_their_manifests(vendor: Vendor) -> None:
    """The children of an index are fetched by digest, once for all that name them."""
    index = platform_index("app", "linux/amd64", "linux/arm64")
    for name in ("one", "two"):
        vendor.push(index, name)
    succeeded(vendor.create("team/one:1", "team/two:1", options=["--platform", "linux/arm64"]))
    found = pulls(vendor.proxy)
    assert len(found) == len(set(found)) + 1 == 4
    assert found.count("1") == 2


def test_a_run_after_an_interrupted_one_pulls_nothing(vendor: Vendor) -> None:
    names = pushed(vendor, 3)
    layer = "|".join(list(image(2).blobs)[1:])
    vendor.proxy.add(Rule(Answer(403), "GET", layer, times=None))
    refused(vendor.create(*names), 21, "Denied")
    assert vendor.partial.exists()
    vendor.proxy.clear()
    succeeded(vendor.create(*names))
    assert (pulls(vendor.proxy), asked(vendor.proxy)) == ([], 3)
    config = next(iter(image(0).blobs))
    assert vendor.proxy.requests("GET", config) == []
    succeeded(vendor.verify())


@pytest.mark.parametrize("option", ["previous", "replaced"])
def test_a_release_pulls_what_the_one_before_does_not_hold(vendor: Vendor, option: str) -> None:
    names = pushed(vendor, 3)
    succeeded(vendor.create(*names))
    options = []
    if option == "previous":
        before = vendor.bundle.rename(vendor.folder / "before.tar.zst")
        options = ["--previous", str(before)]
    vendor.push(image(7), "app1")
    vendor.proxy.clear()
    succeeded(vendor.create(*names, options=options))
    assert [one.path for one in vendor.proxy.requests("GET", _MANIFESTS)] == [
        "/v2/docker.io/team/app1/manifests/1"
    ]
    assert asked(vendor.proxy) == 3
    succeeded(vendor.verify())


def test_a_registry_that_says_little_is_pulled_from(vendor: Vendor) -> None:
    """Without a digest in the answer to HEAD, or without HEAD, only the manifest itself tells."""
    names = pushed(vendor, 3)
    succeeded(vendor.create(*names))
    silent = Rewrite(headers={"Docker-Content-Digest": None})
    vendor.proxy.add(Rule(silent, "HEAD", "app0/manifests", times=None))
    vendor.proxy.add(Rule(Answer(405), "HEAD", "app1/manifests", times=None))
    succeeded(vendor.create(*names))
    again = [one.path for one in vendor.proxy.requests("GET", _MANIFESTS)][3:]
    assert sorted(again) == [f"/v2/docker.io/team/app{number}/manifests/1" for number in (0, 1)]


def test_a_damaged_earlier_bundle_is_no_source(vendor: Vendor) -> None:
    names = pushed(vendor, 2)
    succeeded(vendor.create(*names))
    before = vendor.folder / "before.tar.zst"
    raw = bytearray(vendor.bundle.read_bytes())
    vendor.bundle.unlink()
    # Beyond the envelope: in the frames of the metadata.
    position = raw.index(b"\x28\xb5\x2f\xfd", 4) + 40
    raw[position] ^= 1
    before.write_bytes(raw)
    vendor.proxy.clear()
    succeeded(vendor.create(*names, options=["--previous", str(before)]))
    assert len(pulls(vendor.proxy)) >= 1
    succeeded(vendor.verify())


def test_an_image_that_is_gone_is_missed_although_it_is_at_hand(vendor: Vendor) -> None:
    names = pushed(vendor, 2)
    succeeded(vendor.create(*names))
    vendor.proxy.add(Rule(Answer(404), "", "app1/manifests", times=None))
    failed = vendor.create(*names)
    refused(failed, 40, "UpstreamNotFound")
    assert "team/app1:1" in failed.err


class TestALimit:
    """A registry that counts, and says so."""

    def test_is_foretold(self, vendor: Vendor) -> None:
        names = pushed(vendor, 4)
        headers = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "1;w=21600"}
        vendor.proxy.add(Rule(Rewrite(headers=headers), "GET", _MANIFESTS, times=None))
        done = vendor.create(*names, options=["--jobs", "1"])
        succeeded(done)
        warning = f"{vendor.proxy.host} allows 1 more pulls of 100 in 6 h, and 3 images are still"
        assert done.err.count(warning) == 1

    def test_that_suffices_is_no_news(self, vendor: Vendor) -> None:
        names = pushed(vendor, 2)
        headers = {"RateLimit-Remaining": "1;w=21600"}
        vendor.proxy.add(Rule(Rewrite(headers=headers), "GET", _MANIFESTS, times=None))
        done = vendor.create(*names, options=["--jobs", "1"])
        succeeded(done)
        assert "allows" not in done.err

    def test_does_not_keep_two_runs_from_what_one_may_not(self, vendor: Vendor) -> None:
        names = pushed(vendor, 5)
        vendor.proxy.add(Rule(_LIMITED, "GET", _MANIFESTS, first=4, times=None))
        failed = vendor.create(*names, options=["--jobs", "1"])
        refused(failed, 40, "UpstreamUnavailable")
        assert "2 of 5 images could not be resolved" in failed.err
        for advice in ("log in", "--mirror", "run the same command again later"):
            assert advice in failed.err
        # The registry is not asked again once it has said no.
        assert len(pulls(vendor.proxy)) == 4
        vendor.proxy.clear()
        succeeded(vendor.create(*names))
        assert len(pulls(vendor.proxy)) == 2
        assert sorted(path.name for path in vendor.folder.iterdir() if "tar.zst" in path.name) == [
            "shop.tar.zst"
        ]
        succeeded(vendor.verify())

    def test_leaves_nothing_after_a_dry_run(self, vendor: Vendor) -> None:
        names = pushed(vendor, 2)
        vendor.proxy.add(Rule(_LIMITED, "GET", _MANIFESTS, first=2, times=None))
        before = sorted(vendor.folder.iterdir())
        failed = vendor.create(*names, options=["--jobs", "1", "--dry-run"])
        refused(failed, 40, "UpstreamUnavailable")
        assert sorted(vendor.folder.iterdir()) == sorted([*before, vendor.folder / "app"])

    @pytest.mark.parametrize("kept", [b"", b"{", b"[1]", b'{"sha256:00": "x"}', b'{"x": 1}'])
    def test_what_was_kept_may_be_damaged(self, vendor: Vendor, kept: bytes) -> None:
        names = pushed(vendor, 1)
        file = vendor.folder / "shop.tar.zst.manifests.partial"
        file.write_bytes(kept)
        succeeded(vendor.create(*names))
        assert not file.exists()

    def test_what_was_kept_cannot_be_another(self, vendor: Vendor) -> None:
        """Content under a digest that it does not have is not taken."""
        names = pushed(vendor, 1)
        forged = {image(0).digest: base64.b64encode(image(1).raw).decode()}
        file = vendor.folder / "shop.tar.zst.manifests.partial"
        file.write_text(json.dumps(forged))
        succeeded(vendor.create(*names))
        assert image(0).digest in json.dumps(vendor.statement()["images"])


class TestALogin:
    """Images that nobody may read without a login."""

    def test_is_asked_for_with_every_image_and_host(
        self, vendor: Vendor, htpasswd_registry: DockerRegistry
    ) -> None:
        names = pushed(vendor, 2)
        host = htpasswd_registry.host
        options = ["--mirror", f"private.example={host}", "--plain-http", host]
        private = ["private.example/team/one:1", "private.example/team/two:2"]
        failed = vendor.create(*names, *private, options=options)
        refused(failed, 21, "AuthFailed")
        assert "2 of 4 images could not be resolved" in failed.err
        for name in private:
            assert name in failed.err
        assert f"{host} wants a login, and no credentials are known for it" in failed.err
        assert f"log in to {host}" in failed.err
        assert "team/app0" not in failed.err
