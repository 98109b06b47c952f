from __future__ import annotations

import json

from airgap_shared.console.report import statement_document, statement_text
from airgap_shared.oci.digest import Digest
from support.bundles import make_contents
from support.images import make_image, platform_index

STATEMENT = make_contents(
    {"nginx:1": make_image([b"x"]), "q.io/app": platform_index("app", "linux/amd64")},
    {"deploy.yaml": b"kind: Deployment\n"},
).statement


def test_a_statement_for_machines() -> None:
    document = statement_document(STATEMENT)
    assert json.loads(json.dumps(document)) == document
    assert document["app"] == "shop"
    assert document["created"] == "2026-01-01T00:00:00Z"
    assert document["statement"] == str(Digest.of(STATEMENT.to_json()))
    assert document["files"] == ["deploy.yaml"]
    assert document["members"] == len(STATEMENT.members)
    images = document["images"]
    assert isinstance(images, list)
    assert [(image["reference"], image["literals"]) for image in images] == [
        ("docker.io/library/nginx:1", ["nginx:1"]),
        ("q.io/app:latest", ["q.io/app"]),
    ]


def test_a_statement_for_people() -> None:
    text = statement_text(STATEMENT)
    for part in ("shop 1.5.2", "2026-06-30", "images (2):", "q.io/app:latest", "files (1):"):
        assert part in text
    for image in STATEMENT.images:
        assert str(image.root) in text


def test_a_bundle_without_images_and_files() -> None:
    text = statement_text(make_contents({}).statement)
    assert "images" not in text
    assert "files" not in text
