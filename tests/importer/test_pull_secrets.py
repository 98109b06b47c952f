"""Pods with rewritten images, and service accounts, refer to the secrets that were asked for."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airgap_importer.proof import promised_by, prove
from airgap_importer.pullsecrets import parse_secret_names
from airgap_importer.rendering import OwnRenderer, Renderer
from airgap_importer.secretcommands import secrets_text
from airgap_shared.errors import OverlayRefused, UsageError
from airgap_shared.kube.objects import KubeObject
from airgap_shared.kube.replacing import value_at
from airgap_shared.kube.uses import FieldPath
from support.budget import budget
from support.overlays import Application, application, relocation_of, write_overlay

_NAMES = ("regcred", "second.one")
_ADDED = [{"name": "regcred"}, {"name": "second.one"}]
_TEMPLATE = ("spec", "template", "spec")
#: Every kind that is known, and the way to its pod spec or to what stands for one.
_KINDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("v1", "Pod"): ("spec",),
    ("v1", "PodTemplate"): ("template", "spec"),
    ("v1", "ReplicationController"): _TEMPLATE,
    ("apps/v1", "Deployment"): _TEMPLATE,
    ("extensions/v1beta1", "Deployment"): _TEMPLATE,
    ("apps/v1", "StatefulSet"): _TEMPLATE,
    ("apps/v1", "DaemonSet"): _TEMPLATE,
    ("apps/v1", "ReplicaSet"): _TEMPLATE,
    ("batch/v1", "Job"): _TEMPLATE,
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("apps.openshift.io/v1", "DeploymentConfig"): _TEMPLATE,
    ("argoproj.io/v1alpha1", "Rollout"): _TEMPLATE,
    ("serving.knative.dev/v1", "Service"): _TEMPLATE,
}


def _workload(
    version: str, kind: str, name: str, pod: Mapping[str, object], namespace: str = ""
) -> dict[str, object]:
    value: object = dict(pod)
    for key in reversed(_KINDS[version, kind]):
        value = {key: value}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    assert isinstance(value, dict)
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **value}


def _stream(*objects: Mapping[str, object]) -> Application:
    return application("---\n".join(yaml.safe_dump(dict(obj)) for obj in objects))


def _rendered(app: Application, renderer: Renderer, folder: Path) -> dict[str, KubeObject]:
    """The objects as the overlay makes them, by kind and name, proven."""
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation, _NAMES)
    rendering = renderer.render(write_overlay(folder, overlay))
    prove(overlay, rendering, promised_by(relocation))
    return {str(obj.identity): obj for obj in rendering.objects}


def _pod(image: str, **fields: object) -> dict[str, object]:
    return {"containers": [{"name": "c", "image": image}], **fields}


def test_every_known_kind_gets_its_references(renderer: Renderer, tmp_path: Path) -> None:
    objects = [
        _workload(version, kind, f"x-{number}", _pod("nginx:1"))
        for number, (version, kind) in enumerate(_KINDS)
    ]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"}}
    found = _rendered(_stream(*objects, account), renderer, tmp_path)
    assert len(found) == len(_KINDS) + 1
    for number, ((_, kind), path) in enumerate(_KINDS.items()):
        value = found[f"{kind}/x-{number}"].value
        assert value_at(value, FieldPath((*path, "imagePullSecrets"))) == _ADDED
    assert found["ServiceAccount/sa"].value["imagePullSecrets"] == _ADDED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, _ADDED),
        ([], _ADDED),
        ([{"name": "old"}], [{"name": "old"}, *_ADDED]),
        ([{"name": "second.one"}], [{"name": "second.one"}, {"name": "regcred"}]),
        (_ADDED, _ADDED),
    ],
)
def test_what_is_there_stays_and_nothing_is_there_twice(
    before: object, after: object, renderer: Renderer, tmp_path: Path
) -> None:
    app = _stream(
        _workload("apps/v1", "Deployment", "web", _pod("nginx:1", imagePullSecrets=before)),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "sa"},
            "imagePullSecrets": before,
        },
    )
    found = _rendered(app, renderer, tmp_path)
    path = FieldPath((*_TEMPLATE, "imagePullSecrets"))
    assert value_at(found["Deployment/web"].value, path) == after
    assert found["ServiceAccount/sa"].value["imagePullSecrets"] == after
    is_patched = any("/pull-secrets/" in path for path in app.overlay(None, _NAMES).files)
    assert is_patched == (before != after)


def test_items_of_lists_and_namesakes_are_told_apart(renderer: Renderer, tmp_path: Path) -> None:
    items = [
        _workload("v1", "Pod", "web", _pod("nginx:1"), "a"),
        _workload("v1", "Pod", "web", _pod("redis:1", imagePullSecrets=[{"name": "x"}]), "b"),
    ]
    app = _stream({"apiVersion": "v1", "kind": "List", "items": items})
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation, ["regcred"])
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    prove(overlay, rendering, promised_by(relocation))
    found = {
        obj.identity.namespace: value_at(obj.value, FieldPath(("spec", "imagePullSecrets")))
        for obj in rendering.objects
    }
    assert found == {"a": [{"name": "regcred"}], "b": [{"name": "x"}, {"name": "regcred"}]}


def test_numbers_stay_names(renderer: Renderer, tmp_path: Path) -> None:
    app = _stream(_workload("v1", "Pod", "web", _pod("nginx:1")))
    overlay = app.overlay(None, ["123", "1e3", "0x10"])
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    path = FieldPath(("spec", "imagePullSecrets"))
    (pod,) = rendering.objects
    assert value_at(pod.value, path) == [{"name": "123"}, {"name": "1e3"}, {"name": "0x10"}]


def test_pods_of_images_that_were_not_rewritten_are_left_alone() -> None:
    overlay = _stream(
        _workload("v1", "Pod", "a", _pod("nginx:{{version}}")),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}},
    ).overlay(None, _NAMES)
    assert overlay.secrets.references == ()
    assert not any("/pull-secrets/" in path for path in overlay.files)


def test_without_a_name_nothing_is_different() -> None:
    app = _stream(_workload("v1", "Pod", "a", _pod("nginx:1")))
    assert app.overlay().files == app.overlay(None, []).files
    assert b"imagePullSecrets" not in b"".join(app.overlay().files.values())


def test_objects_to_be_created_have_them_too() -> None:
    pod = _workload("v1", "Pod", "x", _pod("nginx:1"))
    app = _stream({**pod, "metadata": {"generateName": "x-"}})
    overlay = app.overlay(None, _NAMES)
    created = yaml.safe_load(overlay.files["overlays/midstream/create/app.yaml"])
    assert created["spec"]["imagePullSecrets"] == _ADDED
    assert created["spec"]["containers"][0]["image"].startswith("registry.test:5000/")


def test_custom_resources_whose_field_is_known(renderer: Renderer, tmp_path: Path) -> None:
    app = _stream(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": "p"},
            "spec": {"image": "quay.io/prometheus/prometheus:v2"},
        },
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "CronWorkflow",
            "metadata": {"name": "w"},
            "spec": {"workflowSpec": {"templates": [{"container": {"image": "busybox:1"}}]}},
        },
    )
    found = _rendered(app, renderer, tmp_path)
    path = FieldPath(("spec", "imagePullSecrets"))
    assert value_at(found["Prometheus/p"].value, path) == _ADDED
    path = FieldPath(("spec", "workflowSpec", "imagePullSecrets"))
    assert value_at(found["CronWorkflow/w"].value, path) == _ADDED
    assert app.overlay(None, _NAMES).secrets.unreached == ()


def test_what_cannot_be_reached_is_reported() -> None:
    operator = _pod("nginx:1", imagePullSecrets="x")
    containers = [{"name": "c", "image": "redis:1", "env": [_RELATED]}]
    overlay = _stream(
        {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "metadata": {"name": "t"},
            "spec": {"image": "quay.io/a/b:1"},
        },
        _workload("apps/v1", "Deployment", "operator", {"containers": containers}),
        _workload("v1", "Pod", "odd", operator),
    ).overlay(None, _NAMES)
    assert overlay.secrets.to_document() == {
        "names": list(_NAMES),
        "namespaces": [""],
        "references": ["app.yaml#Deployment/operator#spec.template.spec.imagePullSecrets"],
        "unreached": [
            "app.yaml#Thing/t#spec.image",
            "app.yaml#Deployment/operator#spec.template.spec.containers[0].env[0].value",
            "app.yaml#Pod/odd#spec.imagePullSecrets: is no list of references",
        ],
    }


_RELATED = {"name": "RELATED_IMAGE_X", "value": "quay.io/a/c:1"}


def test_a_lost_reference_is_no_proof(tmp_path: Path) -> None:
    app = _stream(_workload("v1", "Pod", "a", _pod("nginx:1")))
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation, _NAMES)
    without = OwnRenderer().render(write_overlay(tmp_path / "1", app.overlay(relocation)))
    with pytest.raises(OverlayRefused, match="pull secrets") as refused:
        prove(overlay, without, promised_by(relocation))
    assert refused.value.details == ("app.yaml#Pod/a#spec.imagePullSecrets",)
    fewer = OwnRenderer().render(
        write_overlay(tmp_path / "2", app.overlay(relocation, ["regcred"]))
    )
    with pytest.raises(OverlayRefused):
        prove(overlay, dataclasses.replace(fewer), promised_by(relocation))


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a-", "a..b", "a/b", "user:password", "a b", "a" * 254, "a\n"]
)
def test_what_cannot_name_a_secret(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a secret"):
        parse_secret_names(["fine", name])


def test_names_count_once() -> None:
    assert parse_secret_names(["b", "a.b-c", "b"]) == ("b", "a.b-c")


def test_a_command_for_each_namespace_without_credentials() -> None:
    evil = "a; rm -rf $HOME"
    secrets = (
        _stream(
            _workload("v1", "Pod", "a", _pod("nginx:1"), "one"),
            _workload("v1", "Pod", "b", _pod("nginx:1"), evil),
            _workload("v1", "Pod", "c", _pod("nginx:1")),
        )
        .overlay(None, ["regcred"])
        .secrets
    )
    lines = [
        shlex.split(line)
        for line in secrets_text(secrets, ["reg.bank"]).splitlines()
        if "kubectl" in line
    ]
    end = ["--docker-server=reg.bank", "--docker-username=USER", "--docker-password=PASSWORD"]
    begin = ["kubectl", "create", "secret", "docker-registry", "regcred"]
    assert lines == [
        [*begin, *end],
        [*begin, f"--namespace={evil}", *end],
        [*begin, "--namespace=one", *end],
    ]


_ENTRIES = st.lists(
    st.sampled_from([{"name": "old"}, {"name": "regcred"}, {"name": "1"}]),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)
_FIELDS = st.one_of(st.just({}), st.builds(lambda found: {"imagePullSecrets": found}, _ENTRIES))
_OBJECTS = st.lists(
    st.builds(
        lambda kind, name, image, fields: _workload(kind[0], kind[1], name, _pod(image, **fields)),
        st.sampled_from(sorted(_KINDS)),
        st.sampled_from(["a", "a.c", "abc"]),
        st.sampled_from(["nginx:1", "redis:2", "{{x}}:1"]),
        _FIELDS,
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda value: json.dumps([value["apiVersion"], value["kind"], value["metadata"]]),
)


@given(objects=_OBJECTS)
@settings(
    max_examples=budget(8, 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_our_renderer_adds_references_as_kustomize_does(
    objects: list[dict[str, object]], renderer: Renderer
) -> None:
    app = _stream(*objects)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation, ["regcred"])
    with TemporaryDirectory() as folder:
        midstream = write_overlay(Path(folder), overlay)
        ours = OwnRenderer().render(midstream)
        try:
            theirs = renderer.render(midstream)
        except OverlayRefused as refused:
            assert renderer.name == "old-kubectl" and overlay.notes, refused
            return
    prove(overlay, ours, promised_by(relocation))
    prove(overlay, theirs, promised_by(relocation))
    assert {obj.identity: obj.value for obj in theirs.objects} == {
        obj.identity: obj.value for obj in ours.objects
    }
