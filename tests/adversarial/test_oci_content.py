"""Group C: signed bundles whose images are not what images must be."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.budget import budget
from support.commands import Shell
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.hostile import Draft, Key, Member, blob_path
from support.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    OCI_TAR_GZIP,
    BuiltImage,
    ImageStyle,
    digest_of,
    make_image,
    make_index,
    opaque_layer,
    platform_index,
)
from support.journey import Journey, deployment, refused, succeeded
from support.judging import judge_cost, judge_failure
from support.large import write_large_bundle
from support.loopback_server import LoopbackHandler, LoopbackServer
from support.pushing import fetch_blob, fetch_manifest, has_blob, push_image
from support.victim import Victim

_NAME = "docker.io/team/app:1"
_FILES = {"app.yaml": deployment("web", "team/app:1")}

Document = dict[str, Any]
Change = Callable[[Document], object]


def _draft(*images: BuiltImage) -> Draft:
    names = [_NAME, *(f"docker.io/team/app:{n}" for n in range(2, len(images) + 1))]
    return Draft.of(dict(zip(names, images, strict=True)), _FILES)


def _doctored(image: BuiltImage, change: Change) -> BuiltImage:
    """The image with another manifest: what ``change`` makes of the decoded one."""
    document = json.loads(image.raw)
    change(document)
    return replace(image, raw=json.dumps(document).encode())


def _signed_with(change: Change) -> Draft:
    return _draft(_doctored(make_image([b"content"]), change))


@pytest.fixture
def shell(tmp_path: Path, key: Key) -> Shell:
    """A folder with the public key, where commands run as processes of their own."""
    (tmp_path / "vendor.pub").write_bytes(key.public_pem)
    return Shell(tmp_path)


def test_an_honest_bundle_from_the_specification_alone_is_taken(victim: Victim, key: Key) -> None:
    """The control: what the hostile builder makes is a bundle."""
    image = make_index([make_image([b"a"]), make_image([b"b"], "linux/arm64")])
    data = _draft(image).pack(key)
    for piped in (False, True):
        succeeded(victim.verify(data, piped=piped))
        succeeded(victim.apply(data, piped=piped))
    assert (_manifest_digests(victim)) >= set(image.all_manifests())


def _manifest_digests(victim: Victim) -> set[str]:
    return {digest for _, digest in victim.registry.storage.manifest_links()}


class TestC01:
    """A changed byte in a layer."""

    @pytest.mark.parametrize("size", [1, 8 << 20])
    @pytest.mark.parametrize("place", [0, 0.5, 1])
    def test_is_found_before_the_layer_is_stored(
        self, victim: Victim, key: Key, size: int, place: float
    ) -> None:
        content = bytes([size % 251]) * size
        draft = _draft(make_image([opaque_layer(content)]))
        number = next(n for n, m in enumerate(draft.members) if m.content == content)
        at = int(place * (size - 1))
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        signed = {"digest": digest_of(content)}
        hostile = draft.changed(
            number, content=changed, path=blob_path(digest_of(content)), signed=signed
        )

        victim.resists(hostile.pack(key), 13, "DigestMismatch", signed=draft.digests)

        assert digest_of(content) not in victim.registry.storage.blobs()
        assert digest_of(changed) not in victim.registry.storage.blobs()

    @pytest.mark.parametrize("place", [0, 0.5, 1])
    def test_of_a_large_layer(self, victim: Victim, place: float) -> None:
        large = write_large_bundle(victim.folder, budget(16 << 20, 1 << 30))
        large.flip(large.position_of(int(place * (large.size - 1))))
        before = victim.scene()

        done = refused(victim.apply(large.path), 13, "DigestMismatch")

        large.path.unlink()
        judge_failure(done, before, victim.scene(), large.signed - {large.layer})
        for repository in victim.registry.storage.repositories():
            assert not has_blob(victim.registry.host, repository, large.layer)


@pytest.mark.parametrize("wrong", [-1, 1, 1000])
def test_c02_a_layer_of_another_size_than_its_descriptor(
    victim: Victim, key: Key, wrong: int
) -> None:
    def change(manifest: Document) -> None:
        manifest["layers"][0]["size"] += wrong

    victim.resists_draft(_signed_with(change), key, 13, "SizeMismatch")


class TestC02:
    """Descriptors that are wrong beside one of the same digest that is right."""

    @pytest.mark.parametrize("first", [True, False])
    def test_a_layer(self, victim: Victim, key: Key, first: bool) -> None:
        def change(manifest: Document) -> None:
            layer = manifest["layers"][0]
            manifest["layers"].insert(0 if first else 1, {**layer, "size": layer["size"] + 5})

        victim.resists_draft(_signed_with(change), key, 14, "AmbiguousManifest")

    def test_a_config_that_is_a_layer(self, victim: Victim, key: Key) -> None:
        def change(manifest: Document) -> None:
            manifest["layers"].append({**manifest["config"], "size": 1})

        victim.resists_draft(_signed_with(change), key, 14, "AmbiguousManifest")

    @pytest.mark.parametrize("wrong", [{"size": 7}, {"mediaType": OCI_INDEX}])
    def test_a_manifest_of_an_index(self, victim: Victim, key: Key, wrong: Document) -> None:
        def change(index: Document) -> None:
            index["manifests"].insert(0, {**index["manifests"][0], **wrong})

        index = _doctored(make_index([make_image([b"a"])]), change)
        victim.resists_draft(_draft(index), key, 14, "AmbiguousManifest")

    def test_two_that_are_right(self, victim: Victim, key: Key) -> None:
        def change(index: Document) -> None:
            arm = {"os": "linux", "architecture": "arm64"}
            index["manifests"].append({**index["manifests"][0], "platform": arm})

        image = _doctored(
            make_image([b"a"]), lambda manifest: manifest["layers"].append(manifest["layers"][0])
        )
        victim.accepts(_draft(_doctored(make_index([image]), change)), key)


class TestC03:
    """A manifest that names content which is not there."""

    def test_a_layer(self, victim: Victim, key: Key) -> None:
        def change(manifest: Document) -> None:
            manifest["layers"][0]["digest"] = digest_of(b"elsewhere")

        image = _doctored(make_image([b"content"]), change)
        blobs = {d: c for d, c in image.blobs.items() if d in image.raw.decode()}
        victim.resists_draft(_draft(replace(image, blobs=blobs)), key, 14, "DescriptorUnresolved")

    def test_a_manifest(self, victim: Victim, key: Key) -> None:
        index = make_index([make_image([b"a"]), make_image([b"b"], "linux/arm64")])
        partial = replace(index, children=index.children[:1])
        victim.resists_draft(_draft(partial), key, 14, "DescriptorUnresolved")

    def test_a_manifest_that_is_there_as_a_layer(self, victim: Victim, key: Key) -> None:
        inner = make_image([b"inner"])

        def change(manifest: Document) -> None:
            manifest["layers"].append(
                {"mediaType": OCI_MANIFEST, "digest": inner.digest, "size": len(inner.raw)}
            )

        outer = _doctored(make_image([b"outer"]), change)
        victim.resists_draft(_draft(outer, inner), key, 14, "DescriptorUnresolved")


class TestC04:
    """Signed content that no image needs."""

    def test_a_blob(self, victim: Victim, key: Key) -> None:
        draft = _draft(make_image([b"content"]))
        stranger = Member(blob_path(digest_of(b"stranger")), b"stranger", "blob")
        hostile = replace(draft, members=(*draft.members, stranger))
        victim.resists_draft(hostile, key, 10, "MemberUnexpected")

    def test_a_manifest(self, victim: Victim, key: Key) -> None:
        draft = _draft(make_image([b"content"]), make_image([b"other"]))
        index = json.loads(draft.members[1].content)
        index["manifests"].pop()
        hostile = draft.changed(1, content=json.dumps(index).encode())
        victim.resists_draft(replace(hostile, images=draft.images[:1]), key, 10, "MemberUnexpected")


class TestC05:
    """A manifest that two readers would understand as two things."""

    def test_layers_and_manifests(self, victim: Victim, key: Key) -> None:
        victim.resists_draft(
            _signed_with(lambda manifest: manifest.update(manifests=[])),
            key,
            14,
            "AmbiguousManifest",
        )

    def test_an_index_with_a_config(self, victim: Victim, key: Key) -> None:
        child = make_image([b"a"])
        config = json.loads(child.raw)["config"]
        index = _doctored(make_index([child]), lambda document: document.update(config=config))
        victim.resists_draft(_draft(index), key, 14, "AmbiguousManifest")

    def test_another_media_type_inside(self, victim: Victim, key: Key) -> None:
        victim.resists_draft(
            _signed_with(lambda manifest: manifest.update(mediaType=OCI_INDEX)),
            key,
            14,
            "AmbiguousManifest",
        )

    def test_another_media_type_in_the_parent(self, victim: Victim, key: Key) -> None:
        child = make_image([b"a"], style=None)
        untyped = _doctored(child, lambda document: document.pop("mediaType"))
        index = make_index([replace(untyped, media_type=OCI_INDEX)])
        hostile = replace(index, children=(untyped,))
        victim.resists_draft(_draft(hostile), key, 14, "AmbiguousManifest")

    def test_a_key_that_stands_twice(self, victim: Victim, key: Key) -> None:
        image = make_image([b"content"])
        raw = image.raw.replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "layers": []')
        victim.resists_draft(_draft(replace(image, raw=raw)), key, 14, "DuplicateJSONKey")

    @pytest.mark.parametrize(
        "change",
        [
            lambda manifest: manifest.update(Layers=[manifest["layers"][0]]),
            lambda manifest: manifest.update({"layer\u017f": []}),
            lambda manifest: manifest.update(MANIFESTS=[]),
            lambda manifest: manifest.update(Config=manifest["config"]),
            lambda manifest: manifest.update(MediaType=OCI_INDEX),
            lambda manifest: manifest.update(Subject=None),
            lambda manifest: manifest["layers"][0].update(Digest=digest_of(b"other")),
            lambda manifest: manifest["layers"][0].update(Size=1),
            lambda manifest: manifest["config"].update(URLs=["http://127.0.0.1:1/"]),
            lambda manifest: manifest.update(x=1, X=2),
        ],
    )
    def test_keys_that_only_some_readers_tell_apart(
        self, victim: Victim, key: Key, change: Change
    ) -> None:
        victim.resists_draft(_signed_with(change), key, 14, "AmbiguousManifest")

    def test_a_layer_that_was_not_signed_and_is_there(self, victim: Victim, key: Key) -> None:
        """What Go's readers would pull: the registry has the layer and would take the manifest."""
        other = make_image([b"not signed"])
        push_image(victim.registry.host, "there/app", "old", other)
        draft = _signed_with(lambda manifest: manifest.update(Layers=other.document["layers"]))
        refused(victim.apply(draft.pack(key), namespace="there"), 14, "AmbiguousManifest")
        assert ("there/app", "1") not in victim.registry.storage.all_tags()

    def test_a_child_of_an_index(self, victim: Victim, key: Key) -> None:
        index = _doctored(
            make_index([make_image([b"a"])]),
            lambda index: index["manifests"][0].update(DIGEST=digest_of(b"other")),
        )
        victim.resists_draft(_draft(index), key, 14, "AmbiguousManifest")

    @pytest.mark.parametrize(
        "change",
        [
            lambda index: index.update(Manifests=index["manifests"]),
            lambda index: index["manifests"][0].update(Digest=digest_of(b"other")),
            lambda index: index.update(layers=[]),
        ],
    )
    def test_index_json(self, victim: Victim, key: Key, change: Change) -> None:
        draft = _draft(make_image([b"content"]))
        index = json.loads(draft.members[1].content)
        change(index)
        hostile = draft.changed(1, content=json.dumps(index).encode())
        victim.resists_draft(hostile, key, 14, "AmbiguousManifest")

    @pytest.mark.parametrize("kind", [DOCKER_MANIFEST, DOCKER_LIST])
    def test_a_type_that_only_docker_could_name(self, victim: Victim, key: Key, kind: str) -> None:
        image = make_image([b"a"], style=ImageStyle(docker=True))
        if kind == DOCKER_LIST:
            image = make_index([image], ImageStyle(docker=True))
        untyped = _doctored(image, lambda document: document.pop("mediaType"))
        victim.resists_draft(_draft(untyped), key, 14, "AmbiguousManifest")


def test_c06_a_manifest_that_does_not_say_what_it_is(victim: Victim, key: Key) -> None:
    image = _doctored(make_image([b"content"]), lambda document: document.pop("mediaType"))
    succeeded(victim.apply(_draft(image).pack(key)))

    repository = next(n for n, d in victim.registry.storage.manifest_links() if d == image.digest)
    found = fetch_manifest(victim.registry.host, repository, "1")
    assert (found.raw, found.media_type) == (image.raw, OCI_MANIFEST)


class TestC08:
    """Too many and too deep."""

    @staticmethod
    def _chain(length: int) -> BuiltImage:
        image = make_image([b"content"])
        for _ in range(length):
            image = make_index([image])
        return image

    def test_as_deep_as_allowed(self, victim: Victim, key: Key) -> None:
        victim.accepts(_draft(self._chain(7)), key)

    @pytest.mark.parametrize("depth", [8, 100, 1000])
    def test_indexes_in_indexes(self, victim: Victim, key: Key, depth: int) -> None:
        victim.resists_draft(_draft(self._chain(depth)), key, 14, "LimitExceeded")

    def test_a_chain_that_other_images_hold_in_the_middle(self, victim: Victim, key: Key) -> None:
        """Each image on its own is shallow; the last one is not."""
        chain = [self._chain(0)]
        for _ in range(1000):
            chain.append(make_index([chain[-1]]))
        every_sixth = [*chain[::6], chain[-1]]
        victim.resists_draft(_draft(*every_sixth), key, 14, "LimitExceeded")

    @pytest.mark.parametrize("count", [20_001, 100_000])
    def test_a_hundred_thousand_manifests_in_an_index(
        self, victim: Victim, key: Key, count: int
    ) -> None:
        child = make_image([b"content"])

        def change(index: Document) -> None:
            entry = {"mediaType": "a/b", "digest": child.digest, "size": 1}
            index["manifests"] = [entry] * count

        victim.resists_draft(
            _draft(_doctored(make_index([child]), change)), key, 14, "LimitExceeded"
        )

    @pytest.mark.parametrize("kind", ["deep", "wide"])
    def test_cheaply(self, shell: Shell, key: Key, kind: str) -> None:
        child = make_image([b"content"])
        entry = {"mediaType": OCI_MANIFEST, "digest": child.digest, "size": len(child.raw)}
        wide = _doctored(
            make_index([child]), lambda index: index.update(manifests=[entry] * 20_001)
        )
        image = self._chain(1000) if kind == "deep" else wide
        (shell.folder / "hostile.tar.zst").write_bytes(_draft(image).pack(key))
        command = ("airgap-import", "verify", "hostile.tar.zst", "--key", "vendor.pub")
        judge_cost(refused(shell.run(*command, measure=True), 14, "LimitExceeded"))


@pytest.mark.parametrize(
    "size",
    ["-1", "1.5", '"12"', "true", "null", str(2**63), "[1]", "1e999", "1.0", "-0.0", "NaN"],
)
def test_c09_a_size_that_is_none(victim: Victim, key: Key, size: str) -> None:
    victim.resists_draft(_draft(_of_size_text(size)), key, 14, "DocumentInvalid")


def test_c09_a_size_of_five_thousand_digits(victim: Victim, key: Key) -> None:
    victim.resists_draft(_draft(_of_size_text("1" + "0" * 5000)), key, 14, "DocumentInvalid")


def _of_size_text(size: str) -> BuiltImage:
    image = make_image([b"content"])
    document = json.loads(image.raw)
    document["layers"][0]["size"] = "SIZE"
    return replace(image, raw=json.dumps(document).replace('"SIZE"', size).encode())


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**53])
def test_c09_a_size_that_not_every_reader_reads_alike(victim: Victim, key: Key, size: int) -> None:
    victim.resists_draft(_draft(_of_size_text(str(size))), key, 14, "DocumentInvalid")


def test_c09_a_size_that_nothing_has(victim: Victim, key: Key) -> None:
    victim.resists_draft(_draft(_of_size_text(str(2**53 - 1))), key, 13, "SizeMismatch")


@pytest.mark.parametrize("size", ["-1", "1.5", '"12"', "true", str(2**63)])
def test_c09_a_size_of_a_member_that_is_none(victim: Victim, key: Key, size: str) -> None:
    draft = _draft(make_image([b"content"]))
    hostile = draft.changed(len(draft.members) - 1, signed={"size": json.loads(size)})
    victim.resists_draft(hostile, key, 11, "StatementInvalid")


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "md5:" + "a" * 32,
        "blake3:" + "a" * 64,
        "sha256:" + "a" * 63 + "\n",
        "sha256:" + "a" * 32 + "/" + "a" * 31,
        "a" * 64,
        "",
    ],
)
def test_c10_a_digest_that_is_none(victim: Victim, key: Key, digest: str) -> None:
    def change(manifest: Document) -> None:
        manifest["layers"][0]["digest"] = digest

    victim.resists_draft(_signed_with(change), key, 14, "DigestUnsupported")


class TestC11:
    """Layers that say they live elsewhere."""

    @pytest.fixture
    def elsewhere(self) -> Iterator[_Elsewhere]:
        with _Elsewhere() as server:
            yield server

    def test_are_read_from_the_bundle_only(
        self, victim: Victim, key: Key, elsewhere: _Elsewhere
    ) -> None:
        def change(manifest: Document) -> None:
            manifest["layers"][0]["urls"] = [f"{elsewhere.url}/layer"]

        data = _draft(_doctored(make_image([b"foreign"]), change)).pack(key)
        succeeded(victim.verify(data))
        # docker-registry takes no manifest with URLs unless it is configured to.
        refused(victim.apply(data), 22, "RegistryRejected")
        assert elsewhere.paths == []

    @pytest.mark.parametrize(
        "kind",
        [
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ],
    )
    def test_are_pushed_when_they_are_there(self, victim: Victim, key: Key, kind: str) -> None:
        image = make_image([opaque_layer(kind.encode(), kind)])
        succeeded(victim.apply(_draft(image).pack(key)))
        assert image.digest in _manifest_digests(victim)

    def test_are_missed_when_the_bundle_lacks_them(
        self, victim: Victim, key: Key, elsewhere: _Elsewhere
    ) -> None:
        layer = opaque_layer(b"foreign", OCI_TAR_GZIP)

        def change(manifest: Document) -> None:
            manifest["layers"][0]["urls"] = [f"{elsewhere.url}/layer"]

        image = _doctored(make_image([layer]), change)
        blobs = {d: c for d, c in image.blobs.items() if d != layer.digest}
        draft = _draft(replace(image, blobs=blobs))
        victim.resists_draft(draft, key, 14, "DescriptorUnresolved", "ForeignLayer")
        assert elsewhere.paths == []


class _Elsewhere(LoopbackServer):
    """A server that nobody must ask."""

    def __init__(self) -> None:
        super().__init__(_ElsewhereHandler)
        self.paths: list[str] = []


class _ElsewhereHandler(LoopbackHandler):
    server: _Elsewhere

    def do_GET(self) -> None:  # noqa: N802
        self.server.paths.append(self.path)
        self.send_body(404, {}, b"")


@pytest.mark.parametrize(
    ("data", "code", "name"),
    [
        (base64.b64encode(b"contenT").decode(), 13, "DigestMismatch"),
        (base64.b64encode(b"more than it says").decode(), 13, "DigestMismatch"),
        ("not base64!", 14, "DocumentInvalid"),
    ],
)
def test_c12_embedded_data_that_is_something_else(
    victim: Victim, key: Key, data: str, code: int, name: str
) -> None:
    layer = opaque_layer(b"content")

    def change(manifest: Document) -> None:
        manifest["layers"][0]["data"] = data

    victim.resists_draft(_draft(_doctored(make_image([layer]), change)), key, code, name)


class TestManyValues:
    """Manifests and indexes that are full of something nobody asked for."""

    @staticmethod
    def _filled(image: BuiltImage, count: int) -> BuiltImage:
        junk = b',"x":[' + b"{}," * count + b"0]}"
        return replace(image, raw=image.raw.rstrip()[:-1] + junk)

    def test_cheaply(self, shell: Shell, key: Key) -> None:
        indexes = [make_index([make_image([b"%d" % number])]) for number in range(3)]
        draft = _draft(*(self._filled(one, 1_390_000) for one in indexes))
        (shell.folder / "hostile.tar.zst").write_bytes(draft.pack(key))
        command = ("airgap-import", "verify", "hostile.tar.zst", "--key", "vendor.pub")
        judge_cost(refused(shell.run(*command, measure=True), 14, "LimitExceeded"))

    @pytest.mark.parametrize("image", [make_image([b"a"]), make_index([make_image([b"a"])])])
    def test_more_than_allowed(self, victim: Victim, key: Key, image: BuiltImage) -> None:
        victim.accepts(_draft(self._filled(image, 1000)), key)
        victim.resists_draft(_draft(self._filled(image, 125_001)), key, 14, "LimitExceeded")

    def test_upstream(self, journey: Journey) -> None:
        images = [platform_index(f"a{n}", "linux/amd64", "linux/arm64") for n in range(4)]
        names = [f"team/app{number}:1" for number in range(len(images))]
        for name, image in zip(names, images, strict=True):
            journey.push(name, self._filled(image, 1_000_000))
        journey.deploy(*names)
        done = journey.create("--platform", "all", measure=True)
        judge_cost(refused(done, 14, "LimitExceeded"))


class TestC13:
    """Manifests as large as allowed, and one byte larger."""

    @staticmethod
    def _of_size(size: int) -> BuiltImage:
        image = make_image([b"content"])
        return replace(image, raw=image.raw + b" " * (size - len(image.raw)))

    def test_four_mebibytes(self, victim: Victim, key: Key) -> None:
        succeeded(victim.verify(_draft(self._of_size(4 << 20)).pack(key)))

    def test_one_more_byte(self, victim: Victim, key: Key) -> None:
        victim.resists_draft(_draft(self._of_size((4 << 20) + 1)), key, 14, "LimitExceeded")


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/octet-stream",
        "text/plain",
        "",
    ],
)
def test_c14_a_manifest_of_an_unknown_kind(victim: Victim, key: Key, kind: str) -> None:
    image = _doctored(make_image([b"content"]), lambda document: document.update(mediaType=kind))
    draft = _draft(replace(image, media_type=kind))
    victim.resists_draft(draft, key, 14, "MediaTypeUnsupported")


@pytest.mark.parametrize("version", [1, 3, "2", True, 2.0, None])
@pytest.mark.parametrize("of_index", [False, True])
def test_c14_a_schema_of_another_version(
    victim: Victim, key: Key, version: object, of_index: bool
) -> None:
    image = make_image([b"content"])
    changed = _doctored(
        make_index([image]) if of_index else image,
        lambda document: document.update(schemaVersion=version),
    )
    victim.resists_draft(_draft(changed), key, 14, "DocumentInvalid")


class TestC17:
    """Indexes from which platforms were left out."""

    def test_arrive_whole(self, journey: Journey, registry: DockerRegistry) -> None:
        """Written anew by create, so that the registry finds every child."""
        index = platform_index("app", "linux/amd64", "linux/arm64", "linux/s390x")
        upstream = journey.push("team/app:1", index)
        journey.deploy("team/app:1")
        succeeded(journey.create("--platform", "linux/amd64", "--platform", "linux/arm64"))
        succeeded(journey.apply())

        ((_, digest),) = {one for one in registry.storage.all_tags().items() if one[0][1] == "1"}
        kept = json.loads(registry.storage.read_blob(digest))["manifests"]
        assert digest != upstream
        assert [one["digest"] for one in kept] == [one.digest for one in index.children[:2]]
        assert {one["digest"] for one in kept} <= {d for _, d in registry.storage.manifest_links()}

    def test_that_are_sparse_upstream_are_refused(
        self, journey: Journey, source_registry: DockerRegistry
    ) -> None:
        index = platform_index("app", "linux/amd64", "linux/arm64")
        journey.push("team/app:1", index)
        shutil.rmtree(source_registry.storage.blob_path(index.children[1].digest).parent)
        journey.deploy("team/app:1")
        refused(journey.create("--platform", "all"), 40, "UpstreamNotFound")
        assert not journey.bundle.exists()

    def test_that_are_signed_and_sparse_are_refused(self, victim: Victim, key: Key) -> None:
        index = platform_index("app", "linux/amd64", "linux/arm64", "linux/s390x")
        sparse = replace(index, children=index.children[::2])
        victim.resists_draft(_draft(sparse), key, 14, "DescriptorUnresolved")


@pytest.mark.parametrize("piped", [False, True])
def test_c19_blobs_named_by_sha512(victim: Victim, key: Key, piped: bool) -> None:
    content = b"long name"
    digest = f"sha512:{hashlib.sha512(content).hexdigest()}"

    def change(manifest: Document) -> None:
        manifest["layers"][0]["digest"] = digest

    image = _doctored(make_image([opaque_layer(content)]), change)
    blobs = {d: c for d, c in image.blobs.items() if c != content}
    draft = _draft(replace(image, blobs=blobs))
    member = Member(blob_path(digest), content, "blob", signed={"digest": digest})
    victim.accepts(replace(draft, members=(*draft.members, member)), key, piped=piped)
    repository = next(
        name for name, link in victim.registry.storage.manifest_links() if link == image.digest
    )
    assert fetch_blob(victim.registry.host, repository, digest) == content


class TestC19:
    """Manifests named by sha512: no registry would find them by that name."""

    @staticmethod
    def _renamed(draft: Draft, image: BuiltImage) -> Draft:
        """The draft with another name for the manifest of an image, wherever it is named."""
        name = f"sha512:{hashlib.sha512(image.raw).hexdigest()}"
        members = tuple(
            replace(member, path=blob_path(name), signed={"digest": name})
            if member.content == image.raw
            else replace(
                member, content=member.content.replace(image.digest.encode(), name.encode())
            )
            if member.role == "index"
            else member
            for member in draft.members
        )
        images = json.loads(json.dumps(draft.images).replace(image.digest, name))
        return replace(draft, members=members, images=tuple(images))

    def test_of_an_image(self, victim: Victim, key: Key) -> None:
        image = make_image([b"content"])
        hostile = self._renamed(_draft(image), image)
        victim.resists_draft(hostile, key, 11, "StatementInvalid")

    def test_of_an_index(self, victim: Victim, key: Key) -> None:
        child = make_image([b"content"])
        name = f"sha512:{hashlib.sha512(child.raw).hexdigest()}"
        index = make_index([child])
        index = replace(index, raw=index.raw.replace(child.digest.encode(), name.encode()))
        victim.resists_draft(_draft(index), key, 14, "DigestUnsupported")
        victim.resists_draft(self._renamed(_draft(index), child), key, 11, "StatementInvalid")


class TestNamesOfImages:
    """index.json and the statement name images; both must say the same."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda index: index["manifests"].pop(),
            lambda index: index["manifests"].append(index["manifests"][0] | {"annotations": {}}),
            lambda index: index["manifests"][0]["annotations"].update(
                {"org.opencontainers.image.ref.name": "other:1"}
            ),
            lambda index: index["manifests"][0].update(size=7),
            lambda index: index["manifests"][0].update(mediaType=OCI_INDEX),
        ],
    )
    def test_index_json_differs(self, victim: Victim, key: Key, change: Change) -> None:
        draft = _draft(make_image([b"content"]))
        index = json.loads(draft.members[1].content)
        change(index)
        hostile = draft.changed(1, content=json.dumps(index).encode())
        victim.resists_draft(hostile, key, 10, "MemberMismatch")

    @pytest.mark.parametrize("options", [(), ("--move-tags",)])
    @pytest.mark.parametrize("of_child", [False, True])
    def test_a_tag_that_has_to_keep_another_manifest(
        self, victim: Victim, key: Key, options: tuple[str, ...], of_child: bool
    ) -> None:
        child, other = make_image([b"kept"]), make_image([b"other"])
        kept = make_index([child]) if of_child else child
        name = f"docker.io/team/app:airgap-{child.digest.partition(':')[2]}"
        data = Draft.of({_NAME: kept, name: other}, _FILES).pack(key)
        victim.proxy.clear()
        done = refused(victim.apply(data, *options), 14, "TargetCollision")
        assert _NAME in done.err
        assert name in done.err
        assert victim.proxy.mutations() == []

    def test_a_tag_that_keeps_its_own_image(self, victim: Victim, key: Key) -> None:
        image = make_image([b"kept by its name"])
        name = f"docker.io/team/app:airgap-{image.digest.partition(':')[2]}"
        files = {"app.yaml": deployment("web", name)}
        draft = Draft.of({name: image, "docker.io/team/app:1": image}, files)
        victim.accepts(draft, key)

    @pytest.mark.parametrize(
        "reference",
        [
            "docker.io/user:pw@host/a:1",
            "docker.io/team/../../a:1",
            "docker.io/team/%2e%2e/a:1",
            "docker.io/team/a?x=1",
            "docker.io/team/a#x",
            "docker.io/team/a:1\r\nX: y",
            "docker.io/" + "a" * 300 + ":1",
            "docker.io/tеam/a:1",
            "host:99999/a:1",
            "docker.io/team/a",
            "team/a:1",
            "",
        ],
    )
    def test_d10_a_signed_reference_that_is_none(
        self, victim: Victim, key: Key, reference: str
    ) -> None:
        draft = _draft(make_image([b"content"]))
        image = {**draft.images[0], "source": reference, "literals": [reference]}
        hostile = replace(draft, images=(image,))
        victim.resists_draft(hostile, key, 11, "StatementInvalid")


def test_the_proxy_would_have_seen_a_push(victim: Victim, key: Key) -> None:
    """The control: nothing pushed is no accident of the proxy."""
    proxy: FaultProxy = victim.proxy
    succeeded(victim.apply(_draft(make_image([b"seen by the proxy"])).pack(key)))
    assert proxy.mutations()
