"""Rules of the user's own: proposed, checked in, and carried with the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import Shell
from support.journey import refused

APP = """
apiVersion: example.com/v1
kind: Thing
metadata: {name: x}
spec: {osImage: rhel, engine: {unit: quay.io/a/engine}}
"""


def discover(folder: Path, *arguments: str) -> dict[str, list[dict[str, str]]]:
    done = Shell(folder).run(
        "airgap-bundle", "discover", "app.yaml", "--format", "json", *arguments
    )
    assert done.code == 0, done.err
    document: dict[str, list[dict[str, str]]] = json.loads(done.out)
    return document


def references(document: dict[str, list[dict[str, str]]], key: str) -> list[str]:
    return [entry["reference"] for entry in document[key]]


def test_rules_are_proposed_and_taken(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP)
    before = discover(tmp_path, "--write-rules", "rules.yaml")
    assert (references(before, "images"), references(before, "undecided")) == ([], ["rhel"])
    proposal = (tmp_path / "rules.yaml").read_text()

    again = Shell(tmp_path).run(
        "airgap-bundle", "discover", "app.yaml", "--write-rules", "rules.yaml"
    )
    assert again.code == 2
    assert (tmp_path / "rules.yaml").read_text() == proposal

    (tmp_path / "rules.yaml").write_text(
        "format: 1\nimages: ['quay.io/operator/hidden:1']\n"
        "ignore: [{text: rhel, reason: a disk}]\nfields: [{path: spec.engine.unit}]\n"
    )
    after = discover(tmp_path, "--rules", "rules.yaml", "--strict")
    assert references(after, "images") == ["quay.io/a/engine:latest", "quay.io/operator/hidden:1"]
    assert references(after, "ignored") == ["rhel"]


@pytest.mark.parametrize("options", [(), ("--why", "rhel")])
def test_what_nobody_judged_is_one_object_with_the_inventory(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "app.yaml").write_text(APP)
    command = ("airgap-bundle", "discover", "app.yaml", "--strict", *options, "--format", "json")
    done = refused(Shell(tmp_path).run(*command), 14, "UndecidedImages")
    document = json.loads(done.out)
    assert document["error"]["name"] == "UndecidedImages"
    assert "rhel" in json.dumps({key: document[key] for key in document if key != "error"})


def test_mistakes_in_rules_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP)
    (tmp_path / "rules.yaml").write_text("format: 1\nimages: [No]\nelse: 1\n")
    done = Shell(tmp_path).run("airgap-bundle", "discover", "app.yaml", "--rules", "rules.yaml")
    assert done.code == 2
    assert "RulesInvalid" in done.err
    assert "rules.yaml:2: images[0]" in done.err
    assert "rules.yaml:3: else" in done.err


def test_one_reference_is_explained(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(APP)
    done = Shell(tmp_path).run("airgap-bundle", "discover", "app.yaml", "--why", "rhel")
    assert done.code == 0
    assert "undecided: [named-field]" in done.out
    assert "app.yaml#Thing/x#spec.osImage" in done.out
    missing = Shell(tmp_path).run(
        "airgap-bundle", "discover", "app.yaml", "--why", "quay.io/a/engine"
    )
    assert "not found" in missing.out
