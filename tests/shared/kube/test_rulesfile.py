from __future__ import annotations

import json

import pytest

from airgap_shared.errors import AirgapError, RulesInvalid
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.ruleset import DEFAULT_RULES
from airgap_shared.kube.rulesfile import parse_rules
from airgap_shared.kube.splitreferences import compose_pieces
from airgap_shared.kube.uses import ImageUse, Verdict


def find(body: dict[str, object], rules: str, kind: str = "Thing") -> list[ImageUse]:
    document = {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "x"}, **body}
    file = ManifestFile("app.yaml", json.dumps(document).encode())
    parsed = parse_rules(f"format: 1\n{rules}".encode(), "rules.yaml")
    return [use for obj in load_objects(file) for use in find_images(obj, parsed)]


@pytest.mark.parametrize(
    ("body", "rules", "text", "rule"),
    [
        (
            {"data": {"note": "uses a/b:1 here"}},
            "images: ['a/b:1']",
            "a/b:1",
            "declared",
        ),
        (
            {"data": {"d.yaml": "x:\n- pulls: a/b:1\n  image: c/d:1\n"}},
            "images: [{image: 'a/b:1', reason: why}]",
            "a/b:1",
            "declared",
        ),
        ({"spec": {"osImage": "rhel"}}, "images: [rhel]", "rhel", "named-field"),
        (
            {"spec": {"engine": [{"img": "mine"}]}},
            "fields: [{path: 'spec.engine[].img', kind: Thing, group: example.com}]",
            "mine",
            "own-field",
        ),
        (
            {"spec": {"a": {"b": {"img": "x/y"}}}},
            "fields: [{path: spec.**.img}]",
            "x/y",
            "own-field",
        ),
        (
            {"spec": {"m": {"one": {"where": "q.io/a", "what": "b", "which": "7"}}}},
            "split: [{repository: 'spec.m.*.where', name: 'spec.m.*.what', tag: 'spec.m.*.which'}]",
            "q.io/a/b:7",
            "own-split",
        ),
    ],
)
def test_the_user_says_what_is_an_image(
    body: dict[str, object], rules: str, text: str, rule: str
) -> None:
    found = find(body, rules)
    assert [(use.rule, use.verdict) for use in found if use.text == text] == [(rule, Verdict.IMAGE)]
    for use in found:
        assert not use.pieces or compose_pieces(use.pieces) == use.text


@pytest.mark.parametrize(
    "rules",
    [
        "fields: [{path: spec.img, kind: Other}]",
        "fields: [{path: spec.img, group: other.com}]",
        "fields: [{path: img}]",
        "images: ['word-with-more:1']",
        "split: [{repository: spec.none}]",
    ],
)
def test_rules_reach_no_further_than_they_say(rules: str) -> None:
    assert find({"spec": {"img": "word", "text": "a-word-with-more:1"}}, rules) == []


@pytest.mark.parametrize(
    "rules",
    [
        "ignore: [{text: 'quay.io/a/*', reason: mine}]",
        "ignore: [{place: '*#spec.image', reason: mine}]",
        "ignore: [{place: 'app.yaml#Thing/x#spec.*', text: '*:1', reason: mine}]",
        "images: ['quay.io/a/b:1']\nignore: [{place: '*#spec.image', reason: mine}]",
    ],
)
def test_the_user_says_what_is_none(rules: str) -> None:
    (use,) = find({"spec": {"image": "quay.io/a/b:1"}}, rules)
    assert (use.verdict, use.reason) == (Verdict.IGNORED, "mine")


def test_an_image_that_is_listed_is_not_ignored_by_its_text() -> None:
    rules = "images: ['quay.io/a/b:1']\nignore: [{text: 'quay.io/*', reason: mine}]"
    (use,) = find({"spec": {"image": "quay.io/a/b:1"}}, rules)
    assert use.verdict is Verdict.IMAGE


def test_what_a_description_mentions_stays_a_description() -> None:
    found = find({"spec": {"description": "quay.io/a/b:1"}}, "images: ['quay.io/a/b:1']")
    assert [use.verdict for use in found] == [Verdict.IGNORED]


def test_positions_in_places_are_meant_literally() -> None:
    rules = "ignore: [{place: '*containers[1].image', reason: mine}]"
    found = find({"containers": [{"image": "a:1"}, {"image": "b:1"}]}, rules)
    assert [use.verdict for use in found] == [Verdict.IMAGE, Verdict.IGNORED]


def test_every_mistake_is_named_with_its_line() -> None:
    text = b"""format: 2
images:
- Not An Image
- {image: a/b:1, resaon: x}
ignore:
- {reason: x}
- {text: x}
fields:
- {path: 'a['}
- {kind: X}
split:
- {tag: spec.tag}
- {repository: 'a.**.b'}
other: 1
"""
    with pytest.raises(RulesInvalid) as caught:
        parse_rules(text, "rules.yaml")
    problems = "\n".join(caught.value.details)
    for expected in (
        "rules.yaml:1: format must be 1",
        "rules.yaml:3: images[0] not an image reference",
        "rules.yaml:4: images[1].resaon unknown",
        "ignore[0] needs a text or a place",
        "ignore[1] needs a reason",
        "rules.yaml:9: fields[0].path not a path",
        "fields[1] needs a path",
        "split[0] needs a repository or a name",
        "split[1] ** cannot be used",
        "rules.yaml:14: other unknown",
    ):
        assert expected in problems.replace("rules.yaml: ", "")


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"format: 1\n", b"format: 1\nimages:\n"])
def test_a_file_may_say_nothing(text: bytes) -> None:
    assert parse_rules(text, "rules.yaml") == DEFAULT_RULES


@pytest.mark.parametrize(
    "text", [b"[]", b"a: [", b"\xff", b"format: 1\n---\nformat: 1\n", b"format: 1\nimages: x\n"]
)
def test_what_is_no_rules_file_is_refused(text: bytes) -> None:
    with pytest.raises(AirgapError, match=r"rules\.yaml|rules file"):
        parse_rules(text, "rules.yaml")
