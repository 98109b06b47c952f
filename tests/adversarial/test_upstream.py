"""Group K: what a source registry may try on create, and what may befall the file it writes."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airgap_shared.stores import settings
from airgap_shared.stores.settings import ClientSettings, Patience
from support.budget import budget
from support.commands import Finished
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import (
    Action,
    Answer,
    FlipByte,
    Hang,
    Meanwhile,
    ResetResponse,
    Rewrite,
    Rule,
    redirect,
)
from support.figures import Figure
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    ImageStyle,
    digest_of,
    generated_layer,
    make_image,
    make_index,
    opaque_layer,
    platform_index,
    tar_layer,
)
from support.in_process import run_here
from support.injection import trace
from support.journey import deployment, refused, succeeded, tree_of
from support.judging import judge_secrets
from support.tls import Certificate
from support.vendor import Vendor

_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
_NO_IMAGES = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


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


_LAYER: Any = make_image([b"content"]).document["layers"][0]  # type: ignore[index]


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

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"Layers": []}, "AmbiguousManifest"),
            ({"schemaVersion": 1}, "DocumentInvalid"),
            ({"schemaVersion": None}, "DocumentInvalid"),
            ({"layers": [{**_LAYER, "Digest": digest_of(b"other")}]}, "AmbiguousManifest"),
            ({"layers": [{**_LAYER, "size": 7}, _LAYER]}, "AmbiguousManifest"),
        ],
    )
    def test_by_being_two(self, vendor: Vendor, changes: dict[str, object], name: str) -> None:
        _serve(vendor, _doctored(**changes))
        vendor.fails(14, name)

    @pytest.mark.parametrize(
        ("wrong", "code", "name"),
        [
            ({"size": 7}, 13, "SizeMismatch"),
            ({"mediaType": OCI_INDEX}, 14, "AmbiguousManifest"),
            ({"digest": f"sha512:{'0' * 128}"}, 14, "DigestUnsupported"),
        ],
    )
    def test_by_what_an_index_says_of_them(
        self, vendor: Vendor, wrong: dict[str, object], code: int, name: str
    ) -> None:
        untyped = make_image([b"content"], style=ImageStyle(with_media_type=False))
        index = make_index([untyped])
        vendor.push(index)
        entry = index.document["manifests"][0]  # type: ignore[index]
        raw = json.dumps({**index.document, "manifests": [{**entry, **wrong}]}).encode()
        vendor.proxy.add(Rule(_serving(raw, OCI_INDEX), "GET", "/manifests/1", times=None))
        head = Rewrite(headers={"Docker-Content-Digest": None})
        vendor.proxy.add(Rule(head, "HEAD", "/manifests/", times=None))
        vendor.fails(code, name)
        assert not vendor.partial.exists()


class TestK01:
    """A tag that moves while create is at work."""

    @pytest.mark.parametrize("when", ["/manifests/", "/blobs/"])
    def test_gives_a_bundle_of_the_first_digest(self, vendor: Vendor, when: str) -> None:
        first, second = make_image([b"first"]), make_image([b"second"])
        vendor.push(first)
        once = threading.Lock()

        def move() -> None:
            if once.acquire(blocking=False):
                vendor.push(second)

        if when == "/manifests/":
            # After the first answer: whatever comes next finds the tag moved.
            vendor.proxy.add(
                Rule(Meanwhile(move), "GET", "/(manifests|blobs)/", first=2, times=None)
            )
        else:
            vendor.proxy.add(Rule(Meanwhile(move), "GET", when, times=None))
        succeeded(vendor.create("team/app:1"))
        assert not once.acquire(blocking=False), "the tag never moved"

        assert _bundled(vendor) == (first.digest, set(first.blobs))
        succeeded(vendor.verify())


def _bundled(vendor: Vendor) -> tuple[str, set[str]]:
    """The root and the blobs of the one image in the bundle."""
    members = vendor.statement()["members"]
    (image,) = vendor.statement()["images"]
    return image["root"], {one["digest"] for one in members if one["role"] == "blob"}


class TestK03:
    """A source that stumbles."""

    @pytest.mark.parametrize(
        "fault",
        [
            ResetResponse(100_000),
            Answer(500),
            Answer(502),
            Answer(503, {"Retry-After": "0"}),
            Answer(504),
            Answer(429, {"Retry-After": "0"}),
            ResetResponse(100_000, abrupt=False),
        ],
        ids=["reset", "500", "502", "503", "504", "429", "ended early"],
    )
    @pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
    def test_for_a_moment(self, vendor: Vendor, fault: Action, path: str) -> None:
        vendor.push(make_image([generated_layer(1 << 20)]))
        vendor.proxy.add(Rule(fault, "GET", path))
        succeeded(vendor.create("team/app:1"))
        succeeded(vendor.verify())

    @pytest.mark.parametrize(
        ("fault", "code", "names"),
        [
            (ResetResponse(0), 40, ("UpstreamUnavailable",)),
            (Answer(429, {"Retry-After": "86400"}), 40, ("UpstreamUnavailable",)),
            (Answer(403), 21, ("Denied",)),
            (Answer(404), 40, ("UpstreamNotFound",)),
        ],
        ids=["cut short", "told to wait for a day", "forbidden", "gone"],
    )
    def test_for_good(
        self, hasty: Vendor, fault: Action, code: int, names: tuple[str, ...]
    ) -> None:
        image = make_image([generated_layer(1 << 20)])
        hasty.push(image)
        hasty.proxy.add(Rule(fault, "GET", list(image.blobs)[1], times=None))
        hasty.fails(code, *names)
        hasty.proxy.clear()
        succeeded(hasty.create("team/app:1"))

    @pytest.mark.parametrize("which", [0, 1], ids=["config", "layer"])
    def test_by_having_lost_a_blob(self, hasty: Vendor, which: int) -> None:
        image = make_image([generated_layer(1 << 20)])
        hasty.push(image)
        blob = list(image.blobs)[which]
        hasty.proxy.add(Rule(Answer(404), "GET", blob, times=None))
        done = hasty.fails(40, "UpstreamNotFound")
        assert f"docker.io/team/app@{blob}" in done.err
        assert " was written – have the image pushed there again" in done.err or "kept" in done.err

    def test_by_stalling(self, hasty: Vendor) -> None:
        image = make_image([generated_layer(1 << 20)])
        hasty.push(image)
        hasty.proxy.add(Rule(Hang(), "GET", list(image.blobs)[1], times=None))
        hasty.fails(40, "UpstreamUnavailable")
        hasty.proxy.clear()
        succeeded(hasty.create("team/app:1"))

    @pytest.fixture
    def hasty(self, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> Vendor:
        """The same; create waits a second for an answer, and not at all before another try."""
        patience = Patience(backoff_base=0.0)
        monkeypatch.setattr(
            settings,
            "ClientSettings",
            partial(ClientSettings, read_timeout=1.0, chunk_timeout=1.0, patience=patience),
        )
        return vendor


class TestK04:
    """A disk that is full at some byte."""

    @pytest.fixture
    def small_disk(self, vendor: Vendor) -> Iterator[Callable[[int], None]]:
        """Puts a file system of so many bytes where the bundle is written."""
        place = vendor.folder / "disk"
        place.mkdir()

        def mount(size: int) -> None:
            subprocess.run(["umount", place], capture_output=True, check=False)
            options = f"size={size}"
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("no file systems can be mounted here")

        yield mount
        subprocess.run(["umount", place], capture_output=True, check=False)

    def test_on_small_disks(
        self, vendor: Vendor, small_disk: Callable[[int], None], figure: Figure
    ) -> None:
        vendor.push(make_image([generated_layer(300_000), tar_layer({"a": b"text " * 90_000})]))
        vendor.write(deployment("web", "team/app:1"))
        command = [*vendor.command()]
        command[command.index("shop.tar.zst")] = "disk/shop.tar.zst"
        whole = self._size(vendor, small_disk, command)
        tried = 0
        for size in range(4096, whole - 4096, whole // budget(8, 80)):
            small_disk(size)
            done = refused(run_here(vendor.folder, *command), 30, "DiskFull")
            assert list((vendor.folder / "disk").iterdir()) == [], size
            assert "no bundle was written" in done.err or "nothing was written" in done.err
            tried += 1
        figure("disks of different sizes that were full during create: clean each time", tried)

    @staticmethod
    def _size(
        vendor: Vendor, small_disk: Callable[[int], None], command: Sequence[str | Path]
    ) -> int:
        small_disk(8 << 20)
        succeeded(run_here(vendor.folder, *command))
        return (vendor.folder / "disk" / "shop.tar.zst").stat().st_size

    def test_at_any_write(self, vendor: Vendor, figure: Figure) -> None:
        """Whichever system call it is that finds no room."""
        vendor.push(make_image([generated_layer(3 << 20), tar_layer({"a": b"text " * 90_000})]))
        vendor.write(deployment("web", "team/app:1"))
        calls = "pwrite64,pwritev,write,ftruncate,fsync"
        command = vendor.command("--jobs", "1")
        counted = trace(vendor.shell, command, calls, path=vendor.partial).calls
        vendor.bundle.unlink()
        points = sorted(
            {(name, min(n, 12)) for name, n in Counter(c.name for c in counted).items()}
        )
        every = [(name, when) for name, last in points for when in range(1, last + 1)]
        for name, when in evenly(every, budget(5, len(every))):
            fault = f"{name}:error=ENOSPC:when={when}"
            traced = trace(vendor.shell, command, calls, fault, path=vendor.partial)
            if traced.done.code == 0:
                # The thread that was meant made fewer calls this time.
                vendor.bundle.unlink()
                continue
            refused(traced.done, 30, "DiskFull")
            assert not vendor.bundle.exists()
            assert not vendor.partial.exists()
        succeeded(vendor.create())


@pytest.mark.parametrize("part", range(2))
def test_k05_killed_at_many_points(vendor: Vendor, part: int, figure: Figure) -> None:
    vendor.push(make_image([generated_layer(3 << 20), tar_layer({"a": b"text " * 90_000})]))
    vendor.write(deployment("web", "team/app:1"))
    shell = replace(vendor.shell, variables={"SOURCE_DATE_EPOCH": "1750000000"})
    command = vendor.command("--jobs", "1")
    calls = "pwrite64,pwritev,write,ftruncate,fsync,rename,renameat,renameat2,sendto,openat"
    counted = trace(shell, command, calls).calls
    expected = vendor.bundle.read_bytes()
    vendor.bundle.unlink()
    points = [
        (name, when)
        for name, number in sorted(Counter(call.name for call in counted).items())
        for when in range(1, number + 1)
        if name != "openat" or when > 300  # most of them load Python
    ]
    killed = 0
    for name, when in evenly(points[part::2], budget(3, 50)):
        traced = trace(shell, command, calls, f"{name}:signal=SIGKILL:when={when}")
        if not traced.killed:
            assert traced.done.code == 0, traced.done.err
        else:
            killed += 1
            complete = vendor.bundle.exists()
            assert not complete or vendor.bundle.read_bytes() == expected
        succeeded(shell.run(*command))
        assert vendor.bundle.read_bytes() == expected
        assert not vendor.partial.exists()
        vendor.bundle.unlink()
    assert killed
    figure("points at which create was killed; run again it ended with the same bytes", killed)


def evenly(points: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """So many of the points, spread over all of them."""
    return [points[at * len(points) // count] for at in range(count)]


def test_k08_the_same_input_gives_the_same_bytes(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1750000000")
    vendor.push(make_image([generated_layer(3 << 20), tar_layer({"a": b"text " * 90_000})]))
    made = set()
    for jobs in ("1", "8"):
        succeeded(vendor.create("team/app:1", options=("--jobs", jobs)))
        made.add(vendor.bundle.read_bytes())
        vendor.bundle.unlink()
    assert len(made) == 1


class TestK09:
    """Layers that say they live at another address."""

    @pytest.mark.parametrize("there", [True, False])
    def test_are_taken_from_the_registry_only(
        self, vendor: Vendor, make_proxy: MakeProxy, there: bool
    ) -> None:
        elsewhere = make_proxy(vendor.proxy.upstream)
        image = make_image([opaque_layer(b"foreign", _FOREIGN)])
        layer = dict(image.document["layers"][0])  # type: ignore[index]
        layer |= {"urls": [f"{elsewhere.url}/layer"]}
        if not there:
            layer |= {"digest": digest_of(b"not there"), "size": 9}
        vendor.push(image)
        raw = json.dumps({**image.document, "layers": [layer]}).encode()
        vendor.proxy.add(Rule(_serving(raw), "GET", "/manifests/", times=None))
        vendor.proxy.add(
            Rule(
                Rewrite(headers={"Docker-Content-Digest": None}), "HEAD", "/manifests/", times=None
            )
        )
        if there:
            succeeded(vendor.create("team/app:1"))
            assert _bundled(vendor) == (digest_of(raw), set(image.blobs))
        else:
            vendor.fails(14, "ForeignLayer")
        assert elsewhere.requests() == []


class TestK10:
    """A release that would not count as newer than the one before."""

    def _create(
        self, vendor: Vendor, sequence: int, *options: str, text: str = _NO_IMAGES
    ) -> Finished:
        return vendor.create(text=text, options=("--sequence", str(sequence), *options))

    @pytest.mark.parametrize("way", ["replacing it", "told of it"])
    def test_is_refused(self, vendor: Vendor, way: str) -> None:
        succeeded(self._create(vendor, 15))
        options: tuple[str, ...] = ()
        if way == "told of it":
            vendor.bundle.rename(vendor.folder / "before.tar.zst")
            options = ("--previous", "before.tar.zst")
        before = tree_of(vendor.folder)

        done = refused(self._create(vendor, 12, *options), 2, "UsageError")

        assert "12 is lower than 15" in done.err
        assert "--allow-lower-sequence" in done.err
        assert tree_of(vendor.folder) == before
        succeeded(self._create(vendor, 12, *options, "--allow-lower-sequence"))
        assert vendor.statement()["sequence"] == 12

    @pytest.mark.parametrize("way", ["replacing it", "told of it"])
    @pytest.mark.parametrize("moved", ["a tag", "a manifest", "the version"])
    def test_is_refused_with_the_number_of_another(
        self, vendor: Vendor, way: str, moved: str
    ) -> None:
        vendor.push(make_image([b"one"]))
        app = deployment("web", "team/app:1")
        succeeded(self._create(vendor, 15, text=app))
        options: tuple[str, ...] = ()
        if way == "told of it":
            vendor.bundle.rename(vendor.folder / "before.tar.zst")
            options = ("--previous", "before.tar.zst")
        if moved == "a tag":
            vendor.push(make_image([b"another"]))
        elif moved == "a manifest":
            app += "---\n" + _NO_IMAGES
        else:
            options += ("--version", "2")
        vendor.write(app)
        before = tree_of(vendor.folder)

        for more in ((), ("--dry-run",)):
            done = refused(self._create(vendor, 15, *options, *more, text=app), 2, "UsageError")
            assert "the sequence 15 is that of" in done.err
            assert "other content" in done.err
            assert tree_of(vendor.folder) == before
        succeeded(self._create(vendor, 15, *options, "--allow-lower-sequence", text=app))

    def test_is_refused_with_the_time_of_another(
        self, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        succeeded(vendor.create(text=_NO_IMAGES))
        first = vendor.bundle.read_bytes()
        succeeded(vendor.create(text=_NO_IMAGES))
        assert vendor.bundle.read_bytes() == first
        refused(vendor.create(text=_NO_IMAGES + "data: {x: y}\n"), 2, "UsageError")
        assert vendor.bundle.read_bytes() == first

    def test_is_the_same_when_only_its_time_is_another(
        self, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hour_ago = str(int(time.time()) - 3600)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", hour_ago)
        succeeded(self._create(vendor, 15))
        first = vendor.bundle.read_bytes()
        monkeypatch.delenv("SOURCE_DATE_EPOCH")
        succeeded(self._create(vendor, 15))
        assert vendor.bundle.read_bytes() == first
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(hour_ago) + 1))
        refused(self._create(vendor, 15), 2, "UsageError")

    def test_is_none_within_one_second(self, vendor: Vendor) -> None:
        numbers = []
        for number in range(4):
            succeeded(vendor.create(text=_NO_IMAGES + f"data: {{x: v{number}}}\n"))
            numbers.append(vendor.statement()["sequence"])
        assert numbers == sorted(set(numbers))

    def test_is_none_when_it_counts_on(self, vendor: Vendor) -> None:
        succeeded(self._create(vendor, 15))
        succeeded(self._create(vendor, 15))
        succeeded(self._create(vendor, 16))
        succeeded(self._create(vendor, 17, "--previous", "shop.tar.zst"))

    def test_of_another_channel_is_another_matter(self, vendor: Vendor) -> None:
        succeeded(self._create(vendor, 15))
        succeeded(self._create(vendor, 3, "--channel", "beta"))

    def test_a_previous_bundle_that_is_none(self, vendor: Vendor) -> None:
        (vendor.folder / "before.tar.zst").write_bytes(b"no bundle")
        done = self._create(vendor, 3, "--previous", "before.tar.zst")
        refused(done, 10, "NotABundle")
        refused(self._create(vendor, 3, "--previous", "nothing"), 30, "MediaReadError")

    def test_what_is_no_whole_bundle_is_replaced(self, vendor: Vendor) -> None:
        vendor.bundle.write_bytes(b"")
        succeeded(self._create(vendor, 3))


@pytest.mark.parametrize("what", ["a layer", "the envelope"])
def test_k12_the_written_file_changes_before_it_is_read_back(vendor: Vendor, what: str) -> None:
    big, small = generated_layer(4 << 20, seed=1), generated_layer(1 << 20, seed=2)
    vendor.push(make_image([big, small]))

    def flip() -> None:
        at = 2 << 20 if what == "a layer" else 40
        with vendor.partial.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))

    # The largest comes first; when the next one is asked for it is in its place.
    vendor.proxy.add(Rule(Meanwhile(flip), "GET", small.digest))
    vendor.write(deployment("web", "team/app:1"))
    done = vendor.create(options=("--jobs", "1"))
    refused(
        done, (10, 11, 13), "DigestMismatch", "BundleCorrupt", "SignatureInvalid", "EnvelopeInvalid"
    )
    assert not vendor.bundle.exists()

    vendor.proxy.clear()
    succeeded(vendor.create(options=("--jobs", "1")))
    succeeded(vendor.verify())


def test_k13_a_file_system_without_large_files(vendor: Vendor) -> None:
    vendor.push(make_image([generated_layer(4 << 20)]))
    vendor.write(deployment("web", "team/app:1"))
    done = subprocess.run(
        [
            "bash",
            "-c",
            'ulimit -f 2048 && exec "$@"',
            "-",
            *vendor.shell.command_line(*vendor.command()),
        ],
        cwd=vendor.folder,
        env=vendor.shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    failed = refused(Finished(done.returncode, done.stdout, done.stderr), 30, "DiskFull")
    assert "--split" in failed.err
    assert not vendor.bundle.exists()
    assert not vendor.partial.exists()


class TestK14:
    """A source that wants the credentials elsewhere."""

    @pytest.fixture
    def elsewhere(self, vendor: Vendor, make_proxy: MakeProxy) -> FaultProxy:
        """Another server, which remembers; the vendor has credentials for the source alone."""
        entry = {"auth": base64.b64encode(b"robot:canary-secret").decode()}
        (vendor.folder / "auth.json").write_text(json.dumps({"auths": {vendor.proxy.host: entry}}))
        vendor.push(make_image([b"content"]))
        vendor.write(deployment("web", "team/app:1"))
        return make_proxy(
            vendor.proxy.upstream, Rule(Answer(200, {}, b'{"token": "x"}'), "", "/token")
        )

    @staticmethod
    def _create(vendor: Vendor) -> Finished:
        return vendor.create(options=("--authfile", "auth.json"))

    @staticmethod
    def _assert_nothing_leaked(vendor: Vendor, elsewhere: FaultProxy, done: Finished) -> None:
        told = [value for one in elsewhere.requests() for value in one.headers.values()]
        told += [one.path for one in elsewhere.requests()]
        judge_secrets(
            ["canary-secret", base64.b64encode(b"robot:canary-secret").decode()],
            [*told, done.out, done.err],
        )
        assert not any("authorization" in one.headers for one in elsewhere.requests())
        assert not vendor.bundle.exists()

    @pytest.mark.parametrize("host", ["elsewhere", "169.254.169.254", "localhost:1"])
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
    def test_as_the_realm_of_a_token(
        self, vendor: Vendor, elsewhere: FaultProxy, host: str, scheme: str
    ) -> None:
        # Another name is another host, even for the same address; another port is not.
        named = f"localhost:{elsewhere.host.partition(':')[2]}"
        realm = f"http://{named if host == 'elsewhere' else host}/token"
        challenge = {"WWW-Authenticate": f'{scheme} realm="{realm}",service="s",scope="x"'}
        vendor.proxy.add(Rule(Answer(401, challenge), times=None))
        done = refused(self._create(vendor), 25, "UnsafeTokenRealm")
        self._assert_nothing_leaked(vendor, elsewhere, done)
        assert elsewhere.requests() == []

    @pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
    def test_by_a_redirect(self, vendor: Vendor, elsewhere: FaultProxy, path: str) -> None:
        """A redirect of a GET may be followed, as to a store of blobs; without credentials."""
        basic = {"WWW-Authenticate": 'Basic realm="x"'}
        vendor.proxy.add(Rule(Answer(401, basic), "GET", "/v2/$"))
        elsewhere.add(Rule(Answer(404), times=None))
        vendor.proxy.add(Rule(redirect(f"{elsewhere.url}/x"), "GET", path, times=None))
        done = self._create(vendor)
        refused(done, (22, 25, 40), "UnsafeRedirect", "UpstreamNotFound", "RegistryRejected")
        assert any("authorization" in one.headers for one in vendor.proxy.requests())
        self._assert_nothing_leaked(vendor, elsewhere, done)

    def test_by_redirects_without_end(self, vendor: Vendor, elsewhere: FaultProxy) -> None:
        loop = redirect(f"{vendor.proxy.url}/v2/docker.io/team/app/manifests/1")
        vendor.proxy.add(Rule(loop, "GET", "/manifests/", times=None))
        done = refused(self._create(vendor), 25, "UnsafeRedirect")
        self._assert_nothing_leaked(vendor, elsewhere, done)

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "http://user:pw@127.0.0.1:1/", "gopher://h/", "http://"]
    )
    def test_by_a_redirect_to_no_address(
        self, vendor: Vendor, elsewhere: FaultProxy, location: str
    ) -> None:
        vendor.proxy.add(Rule(redirect(location), "GET", "/manifests/", times=None))
        done = refused(self._create(vendor), 25, "UnsafeRedirect")
        self._assert_nothing_leaked(vendor, elsewhere, done)

    @pytest.mark.parametrize("link", ["http://[::1/x", "//127.0.0.1:99999/x", "http://h/x", "\xe9"])
    def test_by_the_next_page_of_a_list(
        self, vendor: Vendor, elsewhere: FaultProxy, link: str
    ) -> None:
        empty = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
        headers = {"Content-Type": OCI_INDEX, "Link": f'<{link}>; rel="next"'}
        vendor.proxy.add(Rule(Answer(200, headers, empty), "GET", "/referrers/", times=None))
        done = refused(self._create(vendor), 25, "UnsafeRedirect")
        assert "the next page of a list is at" in done.err
        self._assert_nothing_leaked(vendor, elsewhere, done)

    def test_from_https_to_http(
        self,
        vendor: Vendor,
        elsewhere: FaultProxy,
        servers: ExitStack,
        certificate: Certificate,
    ) -> None:
        rule = Rule(redirect(f"{elsewhere.url}/x"), "GET", "/(manifests|blobs)/", times=None)
        safe = servers.enter_context(FaultProxy(vendor.proxy.upstream, rule, tls=certificate))
        done = run_here(
            vendor.folder,
            *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1"),
            *("--key", "vendor.key", "--output", "shop.tar.zst"),
            *("--mirror", f"*={safe.host}", "--ca-file", certificate.ca),
        )
        refused(done, 25, "UnsafeRedirect")
        self._assert_nothing_leaked(vendor, elsewhere, done)
        assert elsewhere.requests() == []
