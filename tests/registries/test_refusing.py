"""What some kinds refuse: said clearly, with the code that fits, and with nothing half done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.docker_registry import MakeRegistry, RegistryOptions
from support.images import ImageStyle, generated_layer, make_image
from support.journey import refused, succeeded
from support.kinds import table
from support.kinds.rows import Column, Row
from support.kinds.stage import RECEIPTS, MakeRelease, MakeStage, Release, Stage, column, rows


def chosen(*ids: str) -> pytest.MarkDecorator:
    return rows(lambda row: row.id in ids)


@pytest.fixture(scope="session")
def moved(make_release: MakeRelease) -> Release:
    """A release whose only image changed, under the tag that it had."""
    return make_release(3, {"team/web:1": make_image([b"other content" * 40])})


@chosen("ecr", "harbor", "quay")
def test_immutable_tags_are_no_obstacle_until_one_has_to_move(
    make_stage: MakeStage, first: Release, second: Release, moved: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    stage.behaviour.site.immutable = ".*"
    for release in (first, first, second):
        succeeded(stage.apply(release))
    before, overlay = stage.tags(), stage.overlay()

    done = refused(stage.apply(moved, "--move-tags"), 23, "TagImmutable")

    assert f"{stage.namespace}/web:1" in done.err
    assert "another --image-namespace" in done.err
    assert (stage.tags(), stage.overlay()) == (before, overlay)


@chosen("ecr", "quay", "acr")
def test_a_registry_that_wants_it_slower_gets_it_slower(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    stage.behaviour.site.throttle = 17

    succeeded(stage.apply(first))

    assert any(one.status == 429 for one in stage.proxy.requests())
    assert stage.content() == first.content()


@chosen("distribution")
def test_a_proxy_that_takes_small_bodies_only_is_named_as_the_obstacle(
    make_stage: MakeStage, make_release: MakeRelease, row: Row
) -> None:
    large = make_release(4, {"team/large:1": make_image([generated_layer(2 << 20)])})
    stage = make_stage(replace(row, kind=table.NARROW_PROXY))

    done = refused(stage.apply(large), 22, "RegistryRejected")

    assert "413" in done.err
    assert "client_max_body_size" in done.err
    assert len(stage.proxy.requests("PUT")) <= 2, "it was tried again"
    assert stage.tags() == {}


def _is_refused_beforehand(stage: Stage, release: Release, name: str) -> None:
    done = refused(stage.apply(release), 22, "ManifestNotTaken")

    assert f"{stage.namespace}/{name}" in done.err
    assert "--registry-type distribution" in done.err
    assert stage.writes() == []
    assert stage.is_untouched()

    # Whoever says that it is none is told by the registry itself.
    refused(stage.apply(release, "--registry-type", "distribution"), 22, "RegistryRejected")
    assert stage.tags() == {}


@chosen("ecr")
def test_a_manifest_that_does_not_say_what_it_is_stops_an_import_into_ecr(
    make_stage: MakeStage, make_release: MakeRelease, row: Row
) -> None:
    untyped = make_image([b"content"], style=ImageStyle(with_media_type=False))
    release = make_release(5, {"team/old:1": untyped})
    stage = make_stage(row, *release.names)

    _is_refused_beforehand(stage, release, "old")


@chosen("zot")
def test_a_manifest_of_docker_stops_an_import_into_zot(
    make_stage: MakeStage, make_release: MakeRelease, row: Row
) -> None:
    docker = make_image([b"content"], style=ImageStyle(docker=True))
    release = make_release(6, {"team/docker:1": docker})
    stage = make_stage(row, *release.names)

    _is_refused_beforehand(stage, release, "docker")


@column(Column.RIGHT)
@chosen("distribution")
def test_a_registry_that_is_read_only_says_so(
    make_stage: MakeStage, make_registry: MakeRegistry, first: Release, row: Row
) -> None:
    stage = make_stage(row)
    stage.proxy.upstream = make_registry(RegistryOptions(read_only=True)).host

    done = refused(stage.apply(first), 22, "RegistryRejected")

    for name in first.names:
        assert f"{stage.namespace}/{name}" in done.err
    assert "read-only" in done.err
    assert "nothing was changed" in done.err


@chosen("dockerhub")
def test_an_import_into_docker_hub_leaves_the_pulls_to_the_cluster(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    """It counts the manifests that are read, and refuses when they were too many."""
    stage = make_stage(row)

    for _ in range(2):
        succeeded(stage.apply(first))

    read = stage.proxy.requests("GET", "/manifests/")
    assert {one.path.split("/")[3] for one in read} == {RECEIPTS}
    assert stage.behaviour.site.counts["pulls"] == len(read) <= 4
    assert stage.content() == first.content()


@pytest.mark.parametrize("namespace", ["one/two", "a/b/c"])
@chosen("dockerhub")
def test_docker_hub_has_no_deeper_names(
    make_stage: MakeStage, first: Release, row: Row, namespace: str
) -> None:
    stage = make_stage(row)
    stage.namespace = namespace

    done = refused(stage.apply(first), 2, "UsageError")

    assert "Docker Hub" in done.err
    assert "NAMESPACE/NAME" in done.err
    assert stage.writes() == []


@chosen("gar")
def test_google_wants_a_project_and_a_repository(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row)
    stage.namespace = "project"

    done = refused(stage.apply(first), 2, "UsageError")

    assert "PROJECT/REPOSITORY/NAME" in done.err
    assert stage.writes() == []
