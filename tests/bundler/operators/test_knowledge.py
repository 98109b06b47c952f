from __future__ import annotations

import json

import pytest

from airgap_bundler.operators.knowledge import (
    Needed,
    load_knowledge,
    needed_images,
    parse_knowledge,
)
from airgap_shared.errors import InternalError
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.oci.reference import parse_reference

TABLE = """
operators:
- name: maker
  when: {image: "*acme/maker"}
  pulls: ["quay.io/acme/worker:{version}", "quay.io/acme/tool:{release}"]
  why: compiled in
  source: {project: acme/maker, file: images.go, date: "2026-01", verified: true}
- name: shop
  when: {kind: Shop, group: acme.io, without: spec.image, version: spec.version}
  pulls: ["quay.io/acme/shop:{version}"]
  why: made from the version
  source: {project: acme/shop, file: shop.go, date: "2026-01", verified: false}
- name: charts
  when: {kind: Chart, group: acme.io}
  pulls: ["{whatever the chart holds}"]
  why: rendered inside
  source: {project: acme/charts, file: x, date: "2026-01", verified: false}
"""


def needed(kind: str, spec: dict[str, object], *listed: str) -> list[str]:
    document = {"apiVersion": "acme.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    objects = load_objects(ManifestFile("app.yaml", json.dumps(document).encode()))
    found = [(obj, tuple(find_images(obj))) for obj in objects]
    references = [parse_reference(text) for text in listed]
    return [n.reference for n in needed_images(parse_knowledge(TABLE), found, references)]


MAKER: dict[str, object] = {"containers": [{"image": "mirror.example.com/acme/maker:v2"}]}


def test_an_operator_is_told_by_its_image_in_whatever_registry() -> None:
    assert needed("Pod", MAKER) == ["quay.io/acme/tool:{release}", "quay.io/acme/worker:v2"]
    assert needed("Pod", {"containers": [{"image": "acme/other:v2"}]}) == []


def test_what_is_listed_is_not_missing() -> None:
    assert needed("Pod", MAKER, "quay.io/acme/tool:9") == ["quay.io/acme/worker:v2"]
    assert needed("Pod", MAKER, "other.io/acme/worker:v2", "acme/tool") == []
    assert "quay.io/acme/worker:v2" in needed("Pod", MAKER, "quay.io/acme/worker:v1")


def test_an_operator_is_told_by_the_objects_it_acts_on() -> None:
    assert needed("Shop", {"version": "7.1"}) == ["quay.io/acme/shop:7.1"]
    assert needed("Shop", {}) == ["quay.io/acme/shop:{version}"]
    assert needed("Shop", {"version": "7.1", "image": "mine:1"}) == []
    assert needed("Shop", {"version": "7.1"}, "quay.io/acme/shop:7.1") == []


def test_what_nobody_can_name_is_never_satisfied() -> None:
    assert needed("Chart", {}, "quay.io/a/b:1") == ["{whatever the chart holds}"]


def test_the_packaged_table_is_sound() -> None:
    known = load_knowledge()
    assert len({operator.name for operator in known}) == len(known) > 20
    for operator in known:
        assert bool(operator.when.image) != bool(operator.when.kind)
        assert operator.pulls
        assert operator.why
        assert operator.source.project
        assert operator.source.date


def test_reports_say_where_it_is_known_from() -> None:
    document = {"apiVersion": "acme.io/v1", "kind": "Shop", "metadata": {"name": "x"}}
    (obj,) = load_objects(ManifestFile("app.yaml", json.dumps(document).encode()))
    (entry,) = needed_images(parse_knowledge(TABLE), [(obj, ())], ())
    assert isinstance(entry, Needed)
    assert entry.to_json() == {
        "operator": "shop",
        "reference": "quay.io/acme/shop:{version}",
        "place": "app.yaml#Shop/x",
        "reason": "made from the version",
        "source": "acme/shop shop.go (2026-01)",
        "verified": False,
    }


@pytest.mark.parametrize("text", ["operators: [{name: x}]", "operators: [x]", "a: b"])
def test_mistakes_in_the_table_are_faults_of_the_program(text: str) -> None:
    with pytest.raises(InternalError):
        parse_knowledge(text)
