"""Layers that several repositories share: taken over where that works, sent where it is off."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.images import make_image
from support.journey import succeeded
from support.kinds.rows import Row
from support.kinds.stage import MakeRelease, MakeStage, Release, rows

_LAYER = b"a layer for two owners " * 400


@rows(lambda row: row.id in ("ecr", "distribution"))
def test_layers_are_mounted_only_where_the_profile_says_so(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    mounts = row.id != "ecr"
    plan = json.loads(succeeded(stage.apply(first, "--dry-run", "--format", "json")).out)
    assert plan["registry"]["type"] == row.id
    assert plan["registry"]["mounts"] is mounts
    assert bool(plan["bytesMounted"]) is mounts

    done = json.loads(succeeded(stage.apply(first, "--format", "json")).out)

    tried = [one for one in stage.proxy.requests("POST") if "mount=" in one.path]
    assert bool(tried) is mounts
    assert bool(done["push"]["blobs_mounted"]) is mounts
    assert done["push"]["bytes_sent"] == plan["bytes"]
    assert done["push"]["blobs_sent"] == plan["blobs"]


@rows(lambda row: row.id in ("ghcr", "artifactory", "nexus"))
@pytest.mark.parametrize("piped", [False, True])
def test_layers_are_mounted_only_within_one_owner(
    make_stage: MakeStage, make_release: MakeRelease, row: Row, piped: bool
) -> None:
    # The registry behind is shared: every case has owners and repositories of its own.
    owner = f"{row.id}{int(piped)}.example"
    images = {
        f"{owner}/team/web:1": make_image([_LAYER, b"web"]),
        f"{owner}/team/db:1": make_image([_LAYER, b"db"]),
        f"other.{owner}/tool:1": make_image([_LAYER, b"tool"]),
    }
    release = make_release(1, images)
    stage = make_stage(row)
    stage.namespace = ""
    stage.behaviour.site.existing |= {owner, f"other.{owner}"}
    options = ("--naming", "path", "--format", "json")
    plan = json.loads(succeeded(stage.apply(release, *options, "--dry-run")).out)

    stdin = release.bundle.read_bytes() if piped else b""
    given = replace(release, bundle=Path("-")) if piped else release
    done = json.loads(succeeded(stage.apply(given, *options, stdin=stdin)).out)

    tried = [one for one in stage.proxy.requests("POST") if "mount=" in one.path]
    assert len(tried) == done["push"]["blobs_mounted"] > 0
    assert done["push"]["bytes_sent"] == plan["bytes"]
    assert done["push"]["blobs_sent"] == plan["blobs"]
    assert plan["bytesMounted"] > 0
    sent = [one for one in stage.proxy.requests("PUT") if "/blobs/uploads/" in one.path]
    assert sum(one.body_length for one in sent) == plan["bytes"]


@rows(lambda row: row.id == "ecr")
def test_a_pipe_is_enough_where_no_layer_is_taken_over(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    piped = replace(first, bundle=Path("-"))
    succeeded(stage.apply(piped, stdin=first.bundle.read_bytes()))
    assert stage.content() == first.content()
    assert not [one for one in stage.proxy.requests("POST") if "mount=" in one.path]
