from __future__ import annotations

from airgap_bundler.discovery import discover
from airgap_bundler.proposing import propose_rules
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.ruleset import DEFAULT_RULES
from airgap_shared.kube.rulesfile import parse_rules

APP = rb"""
apiVersion: example.com/v1
kind: Thing
metadata: {name: x}
spec:
  osImage: rhel
  image: "{{ \"a\nb\" }}"
"""


def test_a_proposal_decides_nothing_until_somebody_does() -> None:
    objects = load_objects(ManifestFile("app.yaml", APP))
    undecided = discover(objects).undecided
    assert len(undecided) == 2
    proposal = propose_rules(undecided, ())
    assert parse_rules(proposal.encode(), "r") == DEFAULT_RULES
    assert "# app.yaml#Thing/x#spec.osImage [named-field]" in proposal

    lines = proposal.splitlines()
    start = lines.index("ignore:")
    decided = [
        line.removeprefix("# ") if line.startswith(("# - ", "#   reason")) else line
        for line in lines[start:]
    ]
    decided = [line.replace("#   reason", "  reason") for line in decided]
    rules = parse_rules("\n".join([*lines[:start], *decided]).encode(), "r")
    assert discover(objects, rules=rules).undecided == ()
    images = [line.removeprefix("# ") if "rhel" in line else line for line in lines]
    rules = parse_rules("\n".join(images[:start]).encode(), "r")
    assert [str(image.reference) for image in discover(objects, rules=rules).images] == [
        "docker.io/library/rhel:latest"
    ]
