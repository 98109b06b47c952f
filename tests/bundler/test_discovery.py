from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_bundler.discovery import (
    discover,
    inventory_document,
    parse_given_image,
    parse_images_file,
)
from airgap_shared.errors import UsageError
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.objects import KubeObject, ManifestFile


def pod(*images: str) -> tuple[KubeObject, ...]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": containers},
    }
    return load_objects(ManifestFile("app.yaml", json.dumps(document).encode()))


def test_spellings_of_one_image_are_one_entry() -> None:
    inventory = discover(
        pod("nginx", "docker.io/library/nginx:latest", "index.docker.io/nginx", "quay.io/a/b:1")
    )
    assert [image.reference.canonical for image in inventory.images] == [
        "docker.io/library/nginx:latest",
        "quay.io/a/b:1",
    ]
    assert inventory.literals["docker.io/library/nginx:latest"] == (
        "docker.io/library/nginx:latest",
        "index.docker.io/nginx",
        "nginx",
    )
    assert [use.path for use in inventory.images[0].uses] == [
        "spec.containers[0].image",
        "spec.containers[1].image",
        "spec.containers[2].image",
    ]
    assert [str(reference) for reference in inventory.references] == [
        "docker.io/library/nginx:latest",
        "quay.io/a/b:1",
    ]


def test_tag_and_digest_make_different_images() -> None:
    digest = "sha256:" + "ab" * 32
    inventory = discover(pod("nginx:1", "nginx:2", f"nginx:1@{digest}", f"nginx@{digest}"))
    assert len(inventory.images) == 4


def test_given_images_join_those_that_were_found() -> None:
    given_images = [parse_given_image("nginx:1"), *parse_images_file(b"# x\nredis:7\n", "list")]
    inventory = discover(pod("docker.io/nginx:1"), given_images)
    nginx, redis = inventory.images
    assert nginx.literals == ("docker.io/nginx:1", "nginx:1")
    assert [(use.rule, use.file) for use in nginx.uses] == [
        ("container", "app.yaml"),
        ("given", "--image"),
    ]
    assert [(use.rule, use.file, use.object) for use in redis.uses] == [("given", "list:2", "")]


def test_the_document_has_the_form_of_the_command_line_contract() -> None:
    inventory = discover(pod("quay.io/a/b:1", "{{ x }}", ""))
    document = inventory_document(inventory)
    assert json.loads(json.dumps(document)) == {
        "format": 1,
        "images": [
            {
                "reference": "quay.io/a/b:1",
                "literals": ["quay.io/a/b:1"],
                "uses": [
                    {
                        "file": "app.yaml",
                        "object": "Pod/web",
                        "path": "spec.containers[0].image",
                        "rule": "container",
                        "text": "quay.io/a/b:1",
                        "reason": "the kubelet runs it",
                    }
                ],
            }
        ],
        "undecided": [
            {
                "reference": "{{ x }}",
                "uses": [
                    {
                        "file": "app.yaml",
                        "object": "Pod/web",
                        "path": "spec.containers[1].image",
                        "rule": "container",
                        "text": "{{ x }}",
                        "reason": "a template that something replaces later",
                    }
                ],
            }
        ],
        "ignored": [
            {
                "reference": "",
                "uses": [
                    {
                        "file": "app.yaml",
                        "object": "Pod/web",
                        "path": "spec.containers[2].image",
                        "rule": "container",
                        "text": "",
                        "reason": "the field is empty",
                    }
                ],
            }
        ],
    }


def test_an_images_file_has_one_reference_a_line() -> None:
    content = b"\xef\xbb\xbf# images\r\nnginx:1\r\n\r\n  quay.io/a/b:2   # why\n"
    given_images = parse_images_file(content, "images.txt")
    assert [(str(image.reference), image.origin) for image in given_images] == [
        ("nginx:1", "images.txt:2"),
        ("quay.io/a/b:2", "images.txt:4"),
    ]


def test_all_bad_lines_of_an_images_file_are_named_together() -> None:
    with pytest.raises(UsageError) as caught:
        parse_images_file(b"nginx:1\nNot One\nredis:7\nquay.io/a/b:\n", "images.txt")
    assert len(caught.value.details) == 2
    assert caught.value.details[0].startswith("images.txt:2: ")
    assert caught.value.details[1].startswith("images.txt:4: ")


def test_an_images_file_is_utf8() -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        parse_images_file("nginx".encode("utf-16"), "images.txt")


def test_a_bad_given_image_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        parse_given_image("Not One")
    assert caught.value.where == "--image"


REFERENCES = st.from_regex(r"([a-z]{2,4}\.io/)?([ab]/)?[xyz](:[12])?", fullmatch=True)


@settings(deadline=None)
@given(st.lists(REFERENCES, max_size=12), st.randoms(use_true_random=False))
def test_the_inventory_does_not_depend_on_the_order(
    images: list[str], shuffler: random.Random
) -> None:
    shuffled = list(images)
    shuffler.shuffle(shuffled)
    first, second = discover(pod(*images)), discover(pod(*shuffled))
    assert first.literals == second.literals
    assert sum(len(image.uses) for image in first.images) == len(images)
