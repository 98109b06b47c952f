"""What apply wrote down is read again, and nothing else is."""

from __future__ import annotations

import json

import pytest

from airgap_importer.mirrors.configurations import compose_configurations
from airgap_importer.mirrors.kind import Kind
from airgap_importer.mirrors.records import parse_records
from airgap_shared.errors import StateCorrupt

_DIGEST = "sha256:" + "a" * 64
_IMAGE = {"source": "docker.io/library/nginx:1", "reference": f"reg.bank/nginx:1@{_DIGEST}"}


def _relocation(*images: object) -> bytes:
    return json.dumps({"format": 1, "images": list(images)}).encode()


def _coverage(*images: object) -> bytes:
    return json.dumps({"format": 1, "images": list(images)}).encode()


def test_the_name_that_clusters_pull_by_counts() -> None:
    """``registry`` and ``repository`` may say how the image was pushed."""
    entry = {**_IMAGE, "registry": "push.bank:5000", "repository": "other"}
    records = parse_records("shop", _relocation(entry), _coverage())
    (image,) = records.images
    assert image.target.name == "reg.bank/nginx"
    found = compose_configurations(records, [Kind.ALL])
    assert not any(b"push.bank" in content for content in found.files.values())
    assert list(found.by_kind) == [kind for kind in Kind if kind is not Kind.ALL]


@pytest.mark.parametrize(
    "relocation",
    [
        b"{",
        b"[]",
        _relocation({"source": "x"}),
        _relocation({**_IMAGE, "source": 'a"\n[[registry]]'}),
        _relocation({**_IMAGE, "reference": "reg.bank/$1"}),
        json.dumps({"format": 1, "images": [], "plainHttp": "no"}).encode(),
        json.dumps({"format": 2, "images": []}).encode(),
    ],
)
def test_a_damaged_relocation_is_refused(relocation: bytes) -> None:
    with pytest.raises(StateCorrupt):
        parse_records("shop", relocation, _coverage())


@pytest.mark.parametrize(
    "field",
    [
        {},
        {"path": [], "value": "x"},
        {"path": "a", "value": "x"},
        {"path": [True], "value": "x"},
        {"path": [{}], "value": "x"},
        {"path": ["a"], "value": 1},
    ],
)
def test_a_damaged_coverage_is_refused(field: object) -> None:
    entry = {"place": "a#b#c", "source": "x", "target": "y", "fields": [field]}
    with pytest.raises(StateCorrupt):
        parse_records("shop", _relocation(), _coverage(entry))


def test_one_source_has_one_target() -> None:
    other = {"source": "docker.io/library/nginx:2", "reference": f"reg.bank/other:2@{_DIGEST}"}
    records = parse_records("shop", _relocation(_IMAGE, other), _coverage())
    with pytest.raises(StateCorrupt, match="several"):
        compose_configurations(records, [Kind.CRIO])
