from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.kube.imagenames import names_image, speaks_of_image, speaks_of_repository
from airgap_shared.kube.imagetext import find_references
from airgap_shared.kube.uses import Verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pull quay.io/a/b:1, then ghcr.io/c/d:2.", ["quay.io/a/b:1", "ghcr.io/c/d:2"]),
        ("(localhost:5000/a:1)", ["localhost:5000/a:1"]),
        ("localhost/a:1", ["localhost/a:1"]),
        ("'registry:5000/kubevirt/x:devel'", ["registry:5000/kubevirt/x:devel"]),
        ("a=quay.io/a/b:1;b=quay.io/a/b:2", ["quay.io/a/b:1", "quay.io/a/b:2"]),
        ('{\\"x\\": \\"quay.io/a/b:1\\"}', ["quay.io/a/b:1"]),
        (
            "gcr.io/tekton-releases/github.com/tektoncd/cmd/nop:v1",
            ["gcr.io/tekton-releases/github.com/tektoncd/cmd/nop:v1"],
        ),
        ("quay.io/a/b:${TAG}", ["quay.io/a/b:${TAG}"]),
        ("quay.io/a/b:{{.Tag}}", ["quay.io/a/b:{{.Tag}}"]),
        ("quay.io/a/b", []),
        ("a/b:1", []),
        ("name:tag", []),
        ("https://quay.io/a/b:1", []),
        ("user:secret@quay.io/a/b:1", []),
        ("/quay.io/a/b:1", []),
        ("quay.io/a/B:1", []),
        ("k8s.io/a:1", []),
        ("quay.io/a/b:1/c", []),
        ("quay.io/a/b:", []),
        ("ab@sha256:1234", []),
    ],
)
def test_references_are_told_by_their_form(text: str, expected: list[str]) -> None:
    found = find_references(text)
    assert [finding.text for finding in found if finding.verdict is not Verdict.IGNORED] == expected
    assert all(text[finding.start : finding.end] == finding.text for finding in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run with --helper-image a/b:1", []),
        ("--helper-image=a/b:1 --x=c/d:1", ["a/b:1"]),
        ("HELPER_IMAGE=busybox:1", ["busybox:1"]),
        ("image: busybox\n", ["busybox"]),
        ("  - image: busybox", ["busybox"]),
        ('image = "busybox:1"', ["busybox:1"]),
        ("The image: it is large", []),
        ("image: true", []),
        ("imagePullPolicy: Always/x", []),
        ("podman pull -q alpine", ["alpine"]),
        ("docker run -it --name web nginx:1 sh", ["nginx:1"]),
        ("docker run", []),
        ("docker run 'nginx:1' sh; podman pull \"quay.io/a/b\"", ["nginx:1", "quay.io/a/b"]),
        ("docker run docker:dind " + "-x " * 300 + "docker run a/b", ["docker:dind", "a/b"]),
        ("SELECT a FROM Table", []),
        ("SELECT a\nFROM tables\nWHERE b", []),
        ("see\nFROM gcr.io/distroless/static\n", ["gcr.io/distroless/static"]),
        ("SELECT a\nFROM db.schema.tables\nJOIN b", []),
        ("FROM github.com/team/app\nFROM team/app", []),
        ("FROM golang:1 AS build\nRUN x\nFROM build\nFROM scratch", ["golang:1"]),
        ("docker build -t hello . && docker run hello", []),
    ],
)
def test_a_name_or_a_command_lets_short_references_count(text: str, expected: list[str]) -> None:
    found = find_references(text)
    assert [finding.text for finding in found if finding.verdict is not Verdict.IGNORED] == expected


@pytest.mark.parametrize(
    "name",
    [
        "image",
        "dockerImage",
        "docker_image",
        "sidecar-image",
        "imageName",
        "RELATED_IMAGE_KEYCLOAK",
        "CSI_IMAGE",
        "images",
        "OPERATOR_IMAGE_NAME",
        "engine-image",
        "shell-image-win",
        "imageGroupOne",
        "componentImages",
        "baseimage",
        "imageRepository",
    ],
)
def test_names_that_speak_of_images(name: str) -> None:
    assert speaks_of_image(name)


@pytest.mark.parametrize(
    "name",
    [
        "imagePullPolicy",
        "imagePullSecrets",
        "imageTag",
        "IMAGE_VERSION",
        "imageFormat",
        "imageFeatures",
        "pilgrimage2x",
        "name",
        "value",
        "ENABLE_IMAGE",
        "imageRegistry",
        "image-pull-secret",
        "magic",
        "imaginary",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not speaks_of_image(name)
    assert not names_image(name)


def test_only_some_names_make_a_bare_word_an_image() -> None:
    assert names_image("image")
    assert names_image("HELPER_IMAGE")
    assert names_image("imageName")
    assert not names_image("images")
    assert not names_image("imageGroupOne")
    assert speaks_of_repository("DB_REPOSITORY")
    assert not speaks_of_repository("reposition")


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["quay.io/a/b:1", "image:", "=", " ", "\n", "{{", "}}", ",", "a/b", "@", "x"]
        ),
        max_size=30,
    ),
    st.sampled_from(["", "image", "images", "repository"]),
)
def test_findings_are_parts_of_the_text_in_order_without_overlap(
    pieces: list[str], name: str
) -> None:
    text = "".join(pieces)
    end = 0
    for finding in find_references(text, name):
        assert end <= finding.start < finding.end <= len(text)
        assert text[finding.start : finding.end] == finding.text
        end = finding.end


@pytest.mark.parametrize(
    "unit",
    [
        "# a.b/c:1 ",
        "FROM --platform=",
        "FROM a:1\n",
        "--destination=",
        "name=",
        "docker build -t ",
        "oci://a.b/c ",
        "a.b/c:{",
        "image: x\n",
        "- ",
        "a.",
        "{{",
        "docker run -v\n",
        "a@",
        "image=",
        "x\n",
        "$(",
    ],
)
def test_hostile_texts_are_read_once(unit: str) -> None:
    # Anything that goes back over the text would not end with this many repetitions.
    find_references(unit * 30_000, "IMAGE")
