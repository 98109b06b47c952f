from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airgap_shared.bundle import names
from airgap_shared.bundle.index import check_index, compose_index
from airgap_shared.errors import (
    AirgapError,
    AmbiguousManifest,
    DocumentInvalid,
    DuplicateJSONKey,
    MemberMismatch,
)
from support.bundles import Attached, make_contents
from support.images import make_artifact, make_image, platform_index

CONTENTS = make_contents(
    {"nginx:1": make_image([b"one"]), "q.io/app": platform_index("app", "linux/amd64")}
)
NGINX, APP = CONTENTS.statement.images
IMAGES = (replace(NGINX, literals=("nginx:1", "docker.io/nginx:1")), APP)
SIZES = {m.digest: m.size for m in CONTENTS.statement.members}
RAW = compose_index(IMAGES, SIZES)


def test_the_index_has_a_descriptor_for_each_spelling() -> None:
    document = json.loads(RAW)
    found = [
        (entry["annotations"][names.REF_NAME], entry["digest"], entry["size"])
        for entry in document["manifests"]
    ]
    assert found == [
        ("nginx:1", str(NGINX.root), SIZES[NGINX.root]),
        ("docker.io/nginx:1", str(NGINX.root), SIZES[NGINX.root]),
        ("q.io/app", str(APP.root), SIZES[APP.root]),
    ]
    assert {
        entry["annotations"]["io.containerd.image.name"] for entry in document["manifests"]
    } == {
        "docker.io/library/nginx:1",
        "q.io/app:latest",
    }
    check_index(RAW, IMAGES, SIZES)


def test_an_index_without_images() -> None:
    check_index(compose_index((), {}), (), {})


def test_further_annotations_are_allowed() -> None:
    document = json.loads(RAW)
    document["manifests"][0]["annotations"]["org.example"] = "x"
    check_index(json.dumps(document).encode(), IMAGES, SIZES)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda entries: entries.pop(), MemberMismatch),
        (
            lambda entries: entries.append({**entries[0], "digest": f"sha256:{'0' * 64}"}),
            MemberMismatch,
        ),
        (lambda entries: entries[0].update(size=1), MemberMismatch),
        (lambda entries: entries[0].update(mediaType="application/x"), MemberMismatch),
        (lambda entries: entries[0].pop("annotations"), MemberMismatch),
        (lambda entries: entries[0]["annotations"].clear(), MemberMismatch),
        (lambda entries: entries[2]["annotations"].update({names.REF_NAME: "x"}), MemberMismatch),
        (lambda entries: entries.append(entries[0]), MemberMismatch),
        (lambda entries: entries[0].update(urls=["https://example.org"]), MemberMismatch),
        (lambda entries: entries[0].update(data="eA=="), MemberMismatch),
        (lambda entries: entries[0].pop("digest"), DocumentInvalid),
        (lambda entries: entries.append("x"), DocumentInvalid),
        (lambda entries: entries[0].update(Digest=f"sha256:{'0' * 64}"), AmbiguousManifest),
        (lambda entries: entries[0].update(platform={"OS": "linux"}), AmbiguousManifest),
        (lambda entries: entries[0].update(platform="linux"), DocumentInvalid),
    ],
)
def test_an_index_that_names_anything_else_is_refused(
    change: Callable[[list[dict[str, Any]]], object], error: type[AirgapError]
) -> None:
    document = json.loads(RAW)
    change(document["manifests"])
    with pytest.raises(error) as caught:
        check_index(json.dumps(document).encode(), IMAGES, SIZES)
    assert caught.value.where.startswith(names.INDEX)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"schemaVersion": 1}, MemberMismatch),
        ({"schemaVersion": "2"}, DocumentInvalid),
        ({"schemaVersion": None}, DocumentInvalid),
        ({"mediaType": "text/html"}, MemberMismatch),
        ({"mediaType": 1}, DocumentInvalid),
        ({"layers": []}, AmbiguousManifest),
        ({"config": {}}, AmbiguousManifest),
        ({"Manifests": []}, AmbiguousManifest),
        ({"subject": {"Digest": ""}}, AmbiguousManifest),
        ({"subject": "x"}, DocumentInvalid),
        ({"MANIFE\u017fTS": None}, AmbiguousManifest),
    ],
)
def test_an_index_of_another_kind_is_refused(
    change: dict[str, object], error: type[AirgapError]
) -> None:
    with pytest.raises(error):
        check_index(json.dumps({**json.loads(RAW), **change}).encode(), IMAGES, SIZES)


def test_an_index_need_not_say_its_type() -> None:
    document = json.loads(RAW)
    del document["mediaType"]
    check_index(json.dumps(document).encode(), IMAGES, SIZES)


def test_an_index_with_a_key_twice_is_refused() -> None:
    with pytest.raises(DuplicateJSONKey):
        check_index(RAW[:-1] + b',"manifests":[]}', IMAGES, SIZES)


def test_what_is_attached_is_listed_without_a_name() -> None:
    app = platform_index("app", "linux/amd64")
    sbom = make_artifact(b"sbom", "application/spdx+json", app)
    contents = make_contents(
        {"q.io/app": app, "other:1": make_image([b"one"])},
        attached={
            "q.io/app": [
                Attached(sbom, app),
                Attached(sbom, app, ".sbom"),
                Attached(app.children[0], sbom, ".sig"),
            ],
            "other:1": [Attached(app, make_image([b"one"]), ".att")],
        },
    )
    images = contents.statement.images
    sizes = {m.digest: m.size for m in contents.statement.members}
    raw = compose_index(images, sizes)
    entries = json.loads(raw)["manifests"]
    unnamed = [entry for entry in entries if "annotations" not in entry]
    assert [entry["digest"] for entry in unnamed] == [sbom.digest, app.children[0].digest]
    check_index(raw, images, sizes)
    for entry in unnamed:
        for changed in ([one for one in entries if one != entry], [*entries, entry]):
            document = {**json.loads(raw), "manifests": changed}
            with pytest.raises(MemberMismatch):
                check_index(json.dumps(document).encode(), images, sizes)
        entry["annotations"] = {names.REF_NAME: "name"}
        with pytest.raises(MemberMismatch):
            check_index(
                json.dumps({**json.loads(raw), "manifests": entries}).encode(), images, sizes
            )
        del entry["annotations"]
