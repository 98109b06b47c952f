from __future__ import annotations

import pytest

from airgap_bundler.explaining import explain, explanation_text
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile

APP = b"""
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data:
  image: nginx:1
  other: docker.io/library/nginx:1
  text: see team/tool and b
  script: docker run quay.io/a/b:1
  outImage: "{{ x }}/tail:1"
"""


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("nginx:1", ["image named-field data.image", "image full-reference data.other"]),
        ("quay.io/a/b:1", ["image full-reference data.script"]),
        ("team/tool", ["not found  data.text"]),
        ("tail:1", ["undecided named-field data.outImage", "not found  data.outImage"]),
        ("nowhere:1", []),
    ],
)
def test_every_place_of_a_reference_is_explained(wanted: str, expected: list[str]) -> None:
    objects = load_objects(ManifestFile("app.yaml", APP))
    uses = [use for obj in objects for use in find_images(obj)]
    found = explain(wanted, uses, objects)
    places = [entry.place.removeprefix("app.yaml#ConfigMap/x#") for entry in found]
    assert [
        f"{entry.verdict} {entry.rule} {place}" for entry, place in zip(found, places, strict=True)
    ] == expected
    text = explanation_text(wanted, found)
    assert wanted in text
    assert all(entry.reason in text for entry in found)
    assert bool(found) or "does not stand" in text
    assert all(entry.to_json()["place"] == entry.place for entry in found)
