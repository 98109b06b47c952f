"""Layers that several repositories share: taken over where that works, sent where it is off."""

from __future__ import annotations

import json

from support.journey import succeeded
from support.kinds.rows import Row
from support.kinds.stage import MakeStage, Release, rows


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
