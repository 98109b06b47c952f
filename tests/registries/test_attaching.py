"""Signatures, attestations and SBOMs in every kind of registry."""

from __future__ import annotations

import http.client
import json

import pytest

from support.attaching import cosign_tag, sbom_of, signature_list
from support.images import OCI_INDEX, make_image, make_index
from support.journey import succeeded
from support.kinds.rows import Column, Row
from support.kinds.stage import MakeRelease, MakeStage, Release, Stage, column, rows

_APP = make_image([b"signed content"])
_SIGNATURE = signature_list((b"payload", "c2ln"))
_SBOM = sbom_of(_APP)
_LIST = cosign_tag(_APP, "")


@pytest.fixture(scope="session")
def signed(make_release: MakeRelease) -> Release:
    """An image with a signature under cosign's tag, and with an SBOM that refers to it."""
    attached = {
        "team/app": {
            cosign_tag(_APP): _SIGNATURE,
            "its-sbom": _SBOM,
            _LIST: make_index([_SBOM]),
        }
    }
    return make_release(9, {"team/app:1": _APP}, attached)


@column(Column.SIGNATURES)
@rows()
def test_what_is_attached_to_an_image_comes_along(
    make_stage: MakeStage, signed: Release, row: Row
) -> None:
    stage = make_stage(row, *signed.names)

    done = succeeded(stage.apply(signed))

    assert "warning" not in done.err
    assert stage.refused() == []
    assert stage.tags()["app", cosign_tag(_APP)] == _SIGNATURE.digest
    stored = stage.content()
    for one in (_APP, _SIGNATURE, _SBOM):
        assert ("app", one.digest) in stored.manifests
        assert {("app", digest) for digest in one.all_blobs()} <= stored.layers
    assert listed(stage) == [_SBOM.digest]
    # Where the registry lists by itself, no list is written beside it.
    assert (("app", _LIST) in stage.tags()) is not row.kind.referrers
    stage.proxy.clear()

    succeeded(stage.apply(signed))
    assert stage.writes() == []


@rows(lambda row: row.id == "quay")
def test_a_registry_that_takes_images_only_gets_them_and_a_warning(
    make_stage: MakeStage, signed: Release, row: Row
) -> None:
    stage = make_stage(row, *signed.names)
    stage.behaviour.site.artifacts = False

    done = succeeded(stage.apply(signed))

    assert "warning" in done.err
    assert _SBOM.digest in done.err
    assert stage.tags() == {("app", "1"): _APP.digest, ("app", cosign_tag(_APP)): _SIGNATURE.digest}
    assert ("app", _SBOM.digest) not in stage.content().manifests
    copy = stage.folder / "deploy" / ".airgap" / "attachments"
    assert (copy / "blobs" / _SBOM.digest.replace(":", "/")).is_file()


def listed(stage: Stage) -> list[str]:
    """What clients find that refers to the image, by the API of the kind or else by the tag."""
    if not stage.row.kind.referrers:
        raw = stage.storage.read_blob(stage.tags()["app", _LIST])
    else:
        stage.behaviour.kind = stage.row.kind.unguarded()
        connection = http.client.HTTPConnection(stage.host, timeout=30)
        connection.request("GET", f"/v2/{stage.namespace}/app/referrers/{_APP.digest}")
        with connection.getresponse() as answer:
            assert answer.headers["Content-Type"] == OCI_INDEX
            raw = answer.read()
        connection.close()
        stage.behaviour.kind = stage.row.kind
    return [entry["digest"] for entry in json.loads(raw)["manifests"]]
