"""An application that travels in parts: created, killed and gone on with, carried, imported."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from support.docker_registry import DockerRegistry
from support.fault_proxy import MakeProxy
from support.faults import Hang, ResetResponse, Rule
from support.images import generated_layer, make_image, tar_layer
from support.journey import Journey, refused, succeeded, tree_of
from support.parts import index_path, joined, part_path
from support.waiting import wait_until

_EPOCH = {"SOURCE_DATE_EPOCH": "1750000000"}
_BIG, _SMALL = generated_layer(5_000_077, seed=5), generated_layer(1_000_077, seed=1)
_PLAIN = tar_layer({"plain": b"plain text " * 200_000})
_SPLIT = ("--split", "2MB")


@pytest.fixture
def application(journey: Journey) -> Journey:
    journey.push("team/app:1", make_image([_BIG, _SMALL, _PLAIN]))
    journey.deploy("team/app:1")
    # Long ago, so that both bundles are the same; still valid today.
    return replace(journey, variables=_EPOCH)


def _create(journey: Journey, *options: str) -> None:
    succeeded(journey.create("--valid-days", "3660", *options))


def _whole(journey: Journey) -> bytes:
    """The same bundle in one file, made in another folder."""
    other = journey.folder.parent / "whole"
    shutil.copytree(journey.folder, other)
    for path in other.glob("shop.tar.zst*"):
        path.unlink()
    made = replace(journey, folder=other)
    _create(made)
    return made.bundle.read_bytes()


def _files(journey: Journey) -> list[str]:
    return sorted(path.name for path in journey.folder.glob("shop.tar.zst*"))


def test_from_registry_to_registry_in_parts(application: Journey, registry: DockerRegistry) -> None:
    done = succeeded(application.create("--valid-days", "3660", *_SPLIT, "--format", "json"))
    files = json.loads(done.out)["written"]
    assert sorted(files) == _files(application)
    assert len(files) == 5
    assert joined(application.bundle) == _whole(application)

    for name in files:
        succeeded(application.verify(bundle=name))
    succeeded(application.apply(bundle=files[1]))
    assert registry.storage.all_tags()
    again = replace(application, namespace="joined")
    succeeded(again.apply("--output", "joined", bundle="-", stdin=joined(application.bundle)))


def test_a_killed_create_goes_on_in_parts(
    application: Journey, source_registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    path = f"/blobs/{_BIG.digest}"
    proxy = make_proxy(
        source_registry.host,
        Rule(ResetResponse(4_500_000, abrupt=False), "GET", path),
        Rule(Hang(), "GET", path, first=2, times=None),
    )
    journey = replace(application, source=proxy.host)
    command = journey.create_command("--valid-days", "3660", "--jobs", "1", *_SPLIT)
    process = journey.shell.start(*command)
    try:
        wait_until(lambda: len(proxy.requests("GET", path)) >= 2, "the last request")
    finally:
        process.kill()
        process.communicate()
    assert all(name.endswith(".partial") for name in _files(journey))
    refused(journey.verify(), 30, "MediaReadError")
    proxy.clear()

    _create(journey, *_SPLIT)

    (rest,) = proxy.requests("GET", path)
    assert int(rest.headers["range"].removeprefix("bytes=").rstrip("-")) >= 3_000_000
    assert joined(journey.bundle) == _whole(journey)
    assert not [name for name in _files(journey) if name.endswith(".partial")]


def test_one_kind_of_bundle_replaces_the_other(application: Journey) -> None:
    _create(application)
    whole = application.bundle.read_bytes()
    _create(application, *_SPLIT)
    assert len(_files(application)) == 5
    assert not application.bundle.exists()
    _create(application)
    assert _files(application) == ["shop.tar.zst"]
    assert application.bundle.read_bytes() == whole


@pytest.mark.parametrize("name", ["shop.tar.zst.part-002", "shop.tar.zst.parts.json"])
def test_files_of_others_are_not_written_over(application: Journey, name: str) -> None:
    (application.folder / name).write_text("mine")
    before = tree_of(application.folder)
    done = refused(application.create(*_SPLIT), 2, "UsageError")
    assert name in done.err
    assert tree_of(application.folder) == before


def _split(journey: Journey, source: str, size: str, output: str) -> tuple[str | Path, ...]:
    return ("airgap-bundle", "split", source, "--size", size, "--output", output)


def test_a_finished_bundle_is_cut_and_cut_again(application: Journey) -> None:
    _create(application)
    whole = application.bundle.read_bytes()
    run = application.shell.run
    (application.folder / "sticks").mkdir()
    (application.folder / "discs").mkdir()

    succeeded(run(*_split(application, "shop.tar.zst", "3M", "sticks/shop.tar.zst")))
    succeeded(run(*_split(application, "sticks/shop.tar.zst", "1100K", "discs/other")))

    for place, count in (
        (application.folder / "sticks/shop.tar.zst", 3),
        (application.folder / "discs/other", 6),
    ):
        assert joined(place) == whole
        assert part_path(place, count).exists()
        assert not part_path(place, count + 1).exists()
        succeeded(application.verify(bundle=str(index_path(place).relative_to(application.folder))))


def test_splitting_writes_over_nothing_and_takes_bundles_only(application: Journey) -> None:
    _create(application, *_SPLIT)
    (application.folder / "text").write_text("no bundle")
    before = tree_of(application.folder)
    run = application.shell.run
    for output in ("shop.tar.zst", "text"):
        refused(run(*_split(application, "shop.tar.zst", "3M", output)), 2, "UsageError")
    refused(run(*_split(application, "text", "3M", "new")), 10, "NotABundle")
    refused(run(*_split(application, "missing", "3M", "new")), 30, "MediaReadError")
    part_path(application.bundle, 2).unlink()
    refused(run(*_split(application, "shop.tar.zst", "3M", "new")), 10, "PartMissing")
    after = tree_of(application.folder)
    assert before.keys() - after.keys() == {"shop.tar.zst.part-002"}
    assert after.keys() <= before.keys()


@pytest.mark.parametrize("name", [".", "/", "x.part-001", "x.parts.json"])
def test_a_name_that_no_bundle_can_have_is_refused(application: Journey, name: str) -> None:
    _create(application)
    before = tree_of(application.folder)
    run = application.shell.run
    refused(run(*_split(application, "shop.tar.zst", "3M", name)), 2, "UsageError")
    assert tree_of(application.folder) == before
