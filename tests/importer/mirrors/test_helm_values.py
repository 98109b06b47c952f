"""Split references become values of the names and the nesting that they have."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from airgap_importer.coverage import Coverage
from airgap_importer.mirrors.helmvalues import compose_helm_values
from airgap_importer.mirrors.outcome import Configuration
from airgap_importer.mirrors.records import parse_records
from airgap_importer.proof import promised_by, prove
from airgap_importer.rendering import OwnRenderer
from support.overlays import application, relocation_of, write_overlay

_TARGET = "registry.test:5000"


def _values(folder: Path, text: str) -> Configuration:
    app = application(text)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    rendering = OwnRenderer().render(write_overlay(folder, overlay))
    proof = prove(overlay, rendering, promised_by(relocation))
    coverage = json.dumps(Coverage(overlay, proof).to_document()).encode()
    return compose_helm_values(parse_records("shop", b'{"images": []}', coverage))


def test_values_in_a_config_map(tmp_path: Path) -> None:
    found = _values(
        tmp_path,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  values.yaml: |\n"
        "    # kept\n    global:\n      proxy:\n        image:\n          registry: quay.io\n"
        "          repository: team/proxy\n          tag: '1.2'\n      other: 1\n",
    )
    ((name, text),) = found.files.items()
    assert name == "app.yaml-configmap-settings.yaml"
    image = yaml.safe_load(text)["global"]["proxy"]["image"]
    assert (image["registry"], image["tag"]) == (_TARGET, "1.2")
    assert image["repository"].startswith("apps/proxy-")
    assert yaml.safe_load(text).keys() == {"global"}
    assert b"# ConfigMap/settings in app.yaml, data['values.yaml']|yaml[0]." in text


def test_a_custom_resource_is_read_below_its_spec(tmp_path: Path) -> None:
    found = _values(
        tmp_path,
        "apiVersion: nvidia.com/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n"
        "  driver: {repository: nvcr.io/nvidia, image: driver, version: v1.0.0}\n",
    )
    ((_, text),) = found.files.items()
    driver = yaml.safe_load(text)["driver"]
    assert f"{driver['repository']}/{driver['image']}:{driver['version']}".startswith(
        f"{_TARGET}/apps/driver-"
    )


def test_what_helm_cannot_set_alone_is_a_comment(tmp_path: Path) -> None:
    found = _values(
        tmp_path,
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n"
        "  items:\n  - image: {repository: quay.io/team/a, tag: '1'}\n"
        "  image: {repository: quay.io/team/b, tag: '2'}\n",
    )
    ((_, text),) = found.files.items()
    assert yaml.safe_load(text)["image"]["tag"] == "2"
    assert yaml.safe_load(text).keys() == {"image"}
    assert b"# not a value of its own: spec.items.0.image.tag = 1" in text


def test_where_there_is_nothing_for_helm_that_is_said(tmp_path: Path) -> None:
    found = _values(
        tmp_path,
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n"
        "  items:\n  - image: {repository: quay.io/team/a, tag: '1'}\n",
    )
    assert not found.files
    assert found.notes == ("Thing/t in app.yaml: no field that Helm could set by itself",)


def test_text_of_the_application_stays_text(tmp_path: Path) -> None:
    key = "a: [b\n# c"
    found = _values(
        tmp_path,
        json.dumps(
            {
                "apiVersion": "example.com/v1",
                "kind": "Thing",
                "metadata": {"name": "t"},
                "spec": {key: {"image": {"repository": "quay.io/team/a", "tag": "1"}}},
            }
        ),
    )
    ((_, text),) = found.files.items()
    assert yaml.safe_load(text)[key]["image"]["tag"] == "1"


def test_no_split_reference_is_no_file(tmp_path: Path) -> None:
    found = _values(
        tmp_path,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: 'a/b:1'}]}\n",
    )
    assert not found.files and found.notes
