"""The import suite: the same for every kind of registry, with the same content afterwards."""

from __future__ import annotations

import time
from dataclasses import replace

from support.faults import Meanwhile, Rule
from support.journey import refused, succeeded
from support.kinds.doors import BasicDoor
from support.kinds.proxy import BehaviourProxy
from support.kinds.rows import SUCCESSOR, Column, Row
from support.kinds.stage import MakeStage, Release, Stage, column, rows, rows_with
from support.registry_storage import Snapshot


@column(Column.IMPORT, Column.AGAIN, Column.UPDATE)
@rows()
def test_a_release_is_imported_twice_and_followed_by_the_next(
    make_stage: MakeStage, first: Release, second: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)

    succeeded(stage.apply(first))
    assert stage.content() == first.content()
    assert stage.refused() == []
    # One to see that pushing is allowed; no session is opened and left for another one.
    assert len(stage.proxy.requests("DELETE")) == len(first.names)
    stage.proxy.clear()

    succeeded(stage.apply(first))
    assert stage.writes() == []
    assert stage.proxy.requests(path="/blobs/") == []
    assert stage.refused() == []

    succeeded(stage.apply(second))
    assert stage.content() == together(first, second)
    assert sent(stage) == new_blobs(first, second)


@column(Column.PASSWORD)
@rows_with(Column.PASSWORD)
def test_a_wrong_password_is_told_before_anything_else(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    assert row.pusher is not None
    stage.account = replace(row.pusher, password="wrong", identity=row.pusher.identity and "wrong")

    done = refused(stage.apply(first), 21, "AuthFailed")

    assert stage.host in done.err
    assert "log in" in done.err
    assert "nothing was changed" in done.err
    assert stage.writes() == []
    assert len(stage.proxy.requests()) <= 3
    assert stage.is_untouched()


@column(Column.RIGHT)
@rows(lambda row: row.reader is not None)
def test_without_the_right_to_push_nothing_is_sent(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    stage.account = row.reader

    done = refused(stage.apply(first), 21, "Denied")

    for name in first.names:
        assert f"{stage.namespace}/{name}" in done.err
    assert "nothing was changed" in done.err
    assert {one.method for one in stage.writes()} == {"POST"}
    assert stage.is_untouched()


@column(Column.EXPIRY)
@rows_with(Column.EXPIRY)
def test_tokens_that_end_during_the_import_are_renewed(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    if isinstance(row.kind.door, BasicDoor):
        stage.log_in_by_helper()
    stage.proxy.add(Rule(Meanwhile(lambda: end_tokens(stage)), "PUT", "/blobs/uploads/"))

    succeeded(stage.apply(first))

    assert stage.content() == first.content()


@rows(lambda row: row.id == "ecr")
def test_a_password_that_ends_and_cannot_be_renewed_is_told(
    make_stage: MakeStage, first: Release, row: Row
) -> None:
    stage = make_stage(row, *first.names)
    stage.proxy.add(Rule(Meanwhile(lambda: end_tokens(stage)), "PUT", "/blobs/uploads/"))

    done = refused(stage.apply(first), 21, "Denied", "AuthFailed")

    assert "authorization token has expired" in done.err
    assert "log in" in done.err
    assert stage.tags() == {}


def end_tokens(stage: Stage) -> None:
    """Have every token that was given out refused from now on."""
    if isinstance(stage.proxy, BehaviourProxy):
        site = stage.proxy.site
        site.expire()
        site.accounts = (*site.accounts, SUCCESSOR)
    else:
        time.sleep(3.2)


def together(*releases: Release) -> Snapshot:
    """What is there after several imports: nothing is ever taken away."""
    contents = [release.content() for release in releases]
    return Snapshot(
        {digest: real for one in contents for digest, real in one.blobs.items()},
        frozenset().union(*(one.manifests for one in contents)),
        frozenset().union(*(one.layers for one in contents)),
        {tag: digest for one in contents for tag, digest in one.tags.items()},
    )


def sent(stage: Stage) -> list[str]:
    """The digests of the blobs that arrived, of images only."""
    uploads = stage.proxy.requests("PUT", rf"{stage.namespace}/(?!airgap-).*/blobs/uploads/")
    return sorted(one.path.partition("digest=")[2].replace("%3A", ":") for one in uploads)


def new_blobs(before: Release, after: Release) -> list[str]:
    """The blobs that a release has and the one before had not."""
    known = {digest for _, digest in before.content().layers}
    return sorted({digest for _, digest in after.content().layers} - known)
