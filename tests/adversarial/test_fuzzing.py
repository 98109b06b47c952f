"""Group L: bundles and registries that nobody thought of, and what must hold for all of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import airgap_shared.errors
from airgap_shared.bundle.admission import Gate
from airgap_shared.errors import AirgapError
from airgap_shared.stores.medium import FileMedium
from airgap_shared.stores.opening import open_bundle
from airgap_shared.trust.keys import parse_public_key
from airgap_shared.trust.policy import TrustPolicy
from support.archives import listings
from support.budget import budget
from support.bundles import KEY, RELEASE, Contents, make_contents
from support.clocks import impatient
from support.commands import Finished
from support.docker_registry import DockerRegistry
from support.forging import Forger, Workpiece
from support.hostile import ENVELOPE, Draft, Key
from support.images import (
    OCI_TAR_GZIP,
    BuiltImage,
    ImageStyle,
    Layer,
    chunks_of,
    make_artifact,
    make_image,
    make_index,
    opaque_layer,
    platform_index,
    tar_layer,
)
from support.in_process import state_of
from support.journey import deployment, succeeded, tree_of
from support.registry_storage import Snapshot
from support.schedules import schedule
from support.victim import Victim

pytestmark = pytest.mark.usefixtures("own_renderer")

_Figure = Callable[[str, int], None]
#: Parts that may run beside each other.
_PARTS = range(4)
_FAR = datetime(2099, 1, 1, tzinfo=UTC)


@contextmanager
def _emptied(registry: DockerRegistry) -> Iterator[None]:
    """A registry with nothing in it, and nothing left in it afterwards."""
    shutil.rmtree(registry.storage.root / "docker", ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(registry.storage.root / "docker", ignore_errors=True)


def _named_error(done: Finished) -> type[AirgapError]:
    """The error that a command says it ended with; it says one, and ends with its code (I8)."""
    assert "Traceback" not in done.err + done.out, done.err
    name = next(line for line in done.err.splitlines() if line.startswith("error: "))
    kind = getattr(airgap_shared.errors, name.split(":")[1].strip())
    assert isinstance(kind, type) and issubclass(kind, AirgapError), name
    assert done.code == kind.exit_code != 1, done.err
    return kind


def _assert_complete(registry: DockerRegistry, snapshot: Snapshot) -> None:
    """Every byte is what it is stored as, and behind every tag is all that it needs (I2, I3)."""
    assert all(stored == real for stored, real in snapshot.blobs.items())
    for (repository, _), digest in snapshot.tags.items():
        ahead = [digest]
        while ahead:
            one = ahead.pop()
            assert (repository, one) in snapshot.manifests, (repository, one)
            document = json.loads(registry.storage.read_blob(one))
            ahead += [child["digest"] for child in document.get("manifests", ())]
            needed = [document["config"]] if "config" in document else []
            for blob in (*needed, *document.get("layers", ())):
                assert (repository, blob["digest"]) in snapshot.layers, (repository, blob)
                assert blob["digest"] in snapshot.blobs


# L01 --------------------------------------------------------------------------------------------

_NAMES = (
    "nginx",
    "nginx:1.27",
    "docker.io/team/nginx:1.27",
    "quay.io/team/app:1",
    "reg.example:5000/deep/er/app:1.0_rc-1",
    "localhost/app",
    "gcr.io/a/b.c-d__e:x",
)
_LAYERS = st.one_of(
    st.binary(max_size=3000).map(opaque_layer),
    st.dictionaries(st.sampled_from("abc"), st.binary(max_size=2000), max_size=2).map(tar_layer),
    st.sampled_from([opaque_layer(b"shared"), opaque_layer(bytes(200_000), OCI_TAR_GZIP)]),
)
_STYLES = st.builds(
    ImageStyle,
    docker=st.booleans(),
    with_media_type=st.booleans(),
    annotations=st.dictionaries(st.sampled_from("xy"), st.text(max_size=5), max_size=1),
)
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64")


def _image(layers: list[Layer], style: ImageStyle) -> BuiltImage:
    return make_image(layers, style=style)


_SINGLE = st.builds(_image, st.lists(_LAYERS, max_size=3), _STYLES)
_INDEXES = st.builds(
    lambda layers, kept, style: make_index(
        [make_image([layer], one, style) for layer, one in zip(layers, kept, strict=False)], style
    ),
    st.lists(_LAYERS, min_size=1, max_size=3),
    st.permutations(_PLATFORMS),
    _STYLES,
)
_NESTED = st.lists(_INDEXES, min_size=1, max_size=2).map(make_index)
_ARTIFACTS = st.builds(
    lambda content, image: make_artifact(content, "application/x.test", image),
    st.binary(min_size=1, max_size=500),
    st.one_of(st.none(), _SINGLE),
)
_IMAGES = st.dictionaries(
    st.sampled_from(_NAMES), st.one_of(_SINGLE, _SINGLE, _INDEXES, _NESTED, _ARTIFACTS), max_size=4
)
_FILES = st.dictionaries(
    st.sampled_from(["values.yaml", "more/values.json", "d" * 80 + "/" + "f" * 80 + ".yaml"]),
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3).map(
        lambda values: json.dumps(values).encode()
    ),
    max_size=2,
)


def _contents(images: Mapping[str, BuiltImage], files: Mapping[str, bytes]) -> Contents:
    app = {"app.yaml": deployment("web", *images).encode()} if images else {}
    contents = make_contents(images, {**app, **files})
    release = replace(RELEASE, expires=_FAR)
    return replace(contents, statement=replace(contents.statement, release=release))


def _read(bundle: Path, key_pem: bytes) -> list[tuple[str, bytes]]:
    """The members of a bundle as our reader gives them."""
    policy = TrustPolicy.of_keys((parse_public_key(key_pem),))
    with FileMedium(bundle) as medium:
        opened = open_bundle(medium, Gate(policy, RELEASE.created))
        found = [
            (member.path, b"".join(medium.read(position)))
            for position, member in enumerate(opened.statement.members)
        ]
        medium.finish()
    with FileMedium(bundle) as medium:
        return [(ENVELOPE, medium.read_envelope()), *found]


def _assert_listed_alike(bundle: Path, key_pem: bytes) -> None:
    """L05: every tool sees the names, sizes and bytes that we accept."""
    members = _read(bundle, key_pem)
    entries = [(name, len(content)) for name, content in members]
    for tool, listing in listings(bundle.read_bytes()).items():
        assert list(listing.entries) == entries, tool
        assert listing.content == b"".join(content for _, content in members), tool


@dataclass(frozen=True, slots=True)
class _Import:
    """One import of some contents into an empty registry, and what it says of itself."""

    victim: Victim
    folder: Path
    contents: Contents

    @property
    def bundle(self) -> Path:
        return self.folder / "whole.tar.zst"

    def apply(self) -> Finished:
        options = ("--image-namespace", "apps/l01", "--output", str(self.folder / "out"))
        return self.victim.apply(self.bundle.read_bytes(), *options)

    def overlay(self) -> dict[str, bytes | None]:
        """Everything to be deployed."""
        tree = tree_of(self.folder / "out")
        return {path: data for path, data in tree.items() if not path.startswith(".airgap")}

    def assert_arrived(self, images: Mapping[str, BuiltImage], snapshot: Snapshot) -> None:
        """All bytes of all images are stored under the names that were noted for them."""
        record = json.loads((self.folder / "out" / ".airgap" / "relocation.json").read_text())
        places = {entry["digest"]: entry for entry in record["images"]}
        storage = self.victim.registry.storage
        for image in images.values():
            repository = places[image.digest]["repository"]
            for digest, raw in image.all_manifests().items():
                assert (repository, digest) in snapshot.manifests
                assert storage.read_blob(digest) == raw
            for digest, content in image.all_blobs().items():
                assert (repository, digest) in snapshot.layers
                assert storage.read_blob(digest) == b"".join(chunks_of(content))
        for entry in record["images"]:
            if entry["tag"] is not None:
                assert snapshot.tags[entry["repository"], entry["tag"]] == entry["digest"]


@given(images=_IMAGES, files=_FILES)
@settings(
    max_examples=budget(5, 100),
    deadline=None,
    # To shrink an example takes a registry, and minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_l01_l05_any_content_arrives_byte_for_byte_and_only_once(
    victim: Victim, images: dict[str, BuiltImage], files: dict[str, bytes]
) -> None:
    (victim.folder / "vendor.pub").write_bytes(KEY.public_key.pem)
    with TemporaryDirectory() as folder, _emptied(victim.registry):
        shutil.rmtree(state_of(victim.folder), ignore_errors=True)
        one = _Import(victim, Path(folder), _contents(images, files))
        one.contents.write(one.bundle)
        _assert_listed_alike(one.bundle, KEY.public_key.pem)
        succeeded(one.apply())
        first, overlay = victim.registry.storage.snapshot(), one.overlay()
        one.assert_arrived(images, first)
        _assert_complete(victim.registry, first)

        victim.proxy.clear()
        succeeded(one.apply())
        assert victim.proxy.requests("PUT|PATCH") == []
        assert victim.registry.storage.snapshot() == first
        assert one.overlay() == overlay


# L02 --------------------------------------------------------------------------------------------

_CHANGED = budget(40, 1000)
_LISTED = budget(4, 50)
_REFUSED_BEFORE_PUSHING = range(10, 20)


@pytest.fixture(scope="module")
def workpieces(key: Key) -> list[Workpiece]:
    """Honest bundles to be changed: small, so that every part of them is hit often."""
    image = make_image([opaque_layer(b"layer"), opaque_layer(b"another layer")])
    index = platform_index("many", "linux/amd64", "linux/arm64")
    app = {"app.yaml": deployment("web", "team/app:1", "reg.test:5000/many:2")}
    drafts = (
        Draft.of({"docker.io/team/app:1": image}, {"a.yaml": deployment("web", "team/app:1")}),
        Draft.of({"docker.io/team/app:1": image, "reg.test:5000/many:2": index}, app),
        Draft.of({}, {"notes.txt": "nothing to pull"}),
    )
    works = [Workpiece.of(draft.pack(key)) for draft in drafts]
    return [work for work in works if work is not None]


class _Forgeries:
    """Applies what a forger makes, and watches the registry and the overlay."""

    def __init__(self, victim: Victim, key: Key) -> None:
        self._victim = victim
        self._key = key
        self.accepted = self.refused = self.listed = 0

    def try_one(self, work: Workpiece, random: Random) -> None:
        forged = Forger(self._key, random).forge(work)
        story = f"{forged.changes}"
        with _emptied(self._victim.registry):
            done = self._victim.apply(forged.data, piped=random.random() < 0.5)
            scene = self._victim.scene()
            found = scene.registry
            manifests = {digest for _, digest in found.manifests}
            assert set(found.blobs) <= forged.digests | manifests | scene.own, story
            _assert_complete(self._victim.registry, found)
            if done.code == 0:
                self._accepted(forged.data, forged.signed, found)
            else:
                self._refused(done, found, story)
        shutil.rmtree(self._victim.folder / "deploy", ignore_errors=True)

    def _accepted(self, data: bytes, signed: bytes, found: Snapshot) -> None:
        """What was signed is there, all of it."""
        self.accepted += 1
        roots = {image["root"] for image in json.loads(signed)["predicate"]["images"]}
        assert roots <= {digest for _, digest in found.manifests}
        assert (self._victim.folder / "deploy" / "overlays" / "midstream").is_dir()
        if self.listed < _LISTED:
            self.listed += 1
            copy = self._victim.folder / "copy.tar.zst"
            copy.write_bytes(data)
            _assert_listed_alike(copy, self._key.public_pem)
            copy.unlink()

    def _refused(self, done: Finished, found: Snapshot, story: str) -> None:
        """An error with a name; no tag, no overlay, and nothing at all to be pulled."""
        self.refused += 1
        kind = _named_error(done)
        assert kind.exit_code in (2, *_REFUSED_BEFORE_PUSHING, 22), (done.err, story)
        assert found.tags == {}, story
        if kind.exit_code in _REFUSED_BEFORE_PUSHING:
            assert found.manifests == frozenset(), story
        assert not (self._victim.folder / "deploy" / "overlays").exists(), story
        assert not (self._victim.folder / "deploy" / "base").exists(), story


@pytest.mark.parametrize("part", _PARTS)
def test_l02_l05_changed_bundles_are_refused_or_mean_what_was_signed(
    victim: Victim, key: Key, workpieces: list[Workpiece], figure: _Figure, part: int
) -> None:
    forgeries = _Forgeries(victim, key)
    for number in range(_CHANGED):
        random = Random(part * 1_000_000 + number)  # noqa: S311 - repeatable on purpose
        forgeries.try_one(random.choice(workpieces), random)
    assert forgeries.refused > _CHANGED // 2
    figure("bundles changed in their structure and signed again", _CHANGED)
    figure("of these accepted, with exactly what was signed", forgeries.accepted)
    figure("accepted bundles listed alike by GNU tar, libarchive and Python", forgeries.listed)


# L06 --------------------------------------------------------------------------------------------

_SCHEDULES = budget(2, 60)


@pytest.fixture(scope="module")
def several(key: Key) -> bytes:
    """A bundle with enough in it for faults to be in the middle."""
    base = opaque_layer(bytes(range(256)) * 40)
    index = platform_index("many", "linux/amd64", "linux/arm64")
    images = {
        "docker.io/team/app:1": make_image([base, opaque_layer(b"app")]),
        "docker.io/team/web:2": make_image([base, opaque_layer(b"web" * 9000)]),
        "reg.test:5000/many:3": index,
    }
    app = deployment("web", "team/app:1", "team/web:2", "reg.test:5000/many:3")
    return Draft.of(images, {"app.yaml": app}).pack(key)


def _state(victim: Victim) -> tuple[Snapshot, dict[str, bytes | None]]:
    snapshot = victim.registry.storage.snapshot()
    _assert_complete(victim.registry, snapshot)
    tree = tree_of(victim.folder / "deploy")
    return snapshot, {path: data for path, data in tree.items() if not path.startswith(".airgap")}


def _assert_same(
    one: tuple[Snapshot, dict[str, bytes | None]], other: tuple[Snapshot, dict[str, bytes | None]]
) -> None:
    assert one[0].blobs == other[0].blobs
    assert one[0].manifests == other[0].manifests
    assert one[0].tags == other[0].tags
    assert one[1] == other[1]


def _run_schedule(victim: Victim, bundle: bytes, number: int, options: tuple[str, ...]) -> int:
    """Apply under a schedule's faults, and again without; the code under faults."""
    victim.proxy.clear()
    for rule in schedule(number):
        victim.proxy.add(rule)
    done = victim.apply(bundle, *options)
    if done.code != 0:
        kind = _named_error(done)
        assert 20 <= kind.exit_code <= 25, (number, done.err)
    return done.code


@pytest.mark.parametrize("part", _PARTS)
def test_l06_after_any_faults_another_run_ends_as_if_there_had_been_none(
    victim: Victim, several: bytes, figure: _Figure, part: int
) -> None:
    failed = 0
    for number in range(part * _SCHEDULES, (part + 1) * _SCHEDULES):
        options = ("--image-namespace", f"l06/n{number}", "--jobs", "2")
        with _emptied(victim.registry):
            succeeded(victim.apply(several, *options))
            honest = _state(victim)
        shutil.rmtree(victim.folder / "deploy")
        with _emptied(victim.registry), impatient():
            code = _run_schedule(victim, several, number, options)
            state = _state(victim)
            failed += code != 0
            if code == 0:
                _assert_same(state, honest)
            else:
                # Tags name their own images only, and an overlay is there as a whole or not.
                assert state[0].tags.items() <= honest[0].tags.items(), number
                assert state[1] in ({}, honest[1]), number
            victim.proxy.clear()
            succeeded(victim.apply(several, *options))
            _assert_same(_state(victim), honest)
        shutil.rmtree(victim.folder / "deploy")
    figure("schedules of registry faults tried", _SCHEDULES)
    figure("of these ended with an error, and whole after another run", failed)
