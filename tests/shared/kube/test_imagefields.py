from __future__ import annotations

import base64
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import LimitExceeded
from airgap_shared.kube.documents import load_objects
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagerules import RULES, Confidence
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.splitreferences import compose_pieces
from airgap_shared.kube.uses import Embedded, ImageUse, PieceRole, Span, Verdict

DIGEST = "sha256:" + "ab" * 32


def uses(text: str) -> list[ImageUse]:
    return [
        use
        for obj in load_objects(ManifestFile("app.yaml", text.encode()))
        for use in find_images(obj)
    ]


def uses_in(kind: str, body: dict[str, object], api: str = "example.com/v1") -> list[ImageUse]:
    return uses(json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, **body}))


def texts(found: list[ImageUse], verdict: Verdict) -> list[str]:
    return [use.text for use in found if use.verdict is verdict]


WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers:
      - {name: a, image: busybox}
      containers:
      - {name: b, image: "quay.io/a/b:1"}
      - name: c
        image: registry:5000/a/c@DIGEST
      ephemeralContainers:
      - {name: d, image: index.docker.io/library/debian:12}
      volumes:
      - name: model
        image: {reference: "quay.io/crio/artifact:v2", pullPolicy: Always}
""".replace("DIGEST", DIGEST)


def test_every_field_that_the_kubelet_reads_is_found_in_document_order() -> None:
    spec = "spec.template.spec"
    assert [(use.text, use.rule, use.verdict, str(use.path)) for use in uses(WORKLOAD)] == [
        ("busybox", "init-container", Verdict.IMAGE, f"{spec}.initContainers[0].image"),
        ("quay.io/a/b:1", "container", Verdict.IMAGE, f"{spec}.containers[0].image"),
        (f"registry:5000/a/c@{DIGEST}", "container", Verdict.IMAGE, f"{spec}.containers[1].image"),
        (
            "index.docker.io/library/debian:12",
            "ephemeral-container",
            Verdict.IMAGE,
            f"{spec}.ephemeralContainers[0].image",
        ),
        (
            "quay.io/crio/artifact:v2",
            "image-volume",
            Verdict.IMAGE,
            f"{spec}.volumes[0].image.reference",
        ),
    ]


def test_a_place_is_file_object_and_path() -> None:
    assert uses(WORKLOAD)[0].place == (
        "app.yaml#Deployment/web#spec.template.spec.initContainers[0].image"
    )


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ("auto", Verdict.UNDECIDED, "placeholder"),
        ("{{ .Values.image }}", Verdict.UNDECIDED, "template"),
        ("$(params.image)", Verdict.UNDECIDED, "template"),
        ("${IMAGE}", Verdict.UNDECIDED, "template"),
        ("$IMAGE", Verdict.UNDECIDED, "template"),
        ("quay.io/a/b:$(tag)", Verdict.UNDECIDED, "template"),
        ("<your image>", Verdict.UNDECIDED, "template"),
        ("ko://knative.dev/serving/cmd/queue", Verdict.UNDECIDED, "ko builds"),
        ("*:latest", Verdict.IGNORED, "pattern"),
        ("Not A Reference", Verdict.UNDECIDED, "not an image reference"),
        ("quay.io/Upper/case:1", Verdict.UNDECIDED, "not an image reference"),
        ("a" * 300, Verdict.UNDECIDED, "not an image reference"),
        ("reg.ns.svc:5000/a/b:1", Verdict.IGNORED, "inside the cluster"),
        ("reg.ns.svc.cluster.local/a/b:1", Verdict.IGNORED, "inside the cluster"),
        (1.10, Verdict.UNDECIDED, "no text"),
        (True, Verdict.UNDECIDED, "no text"),
        ("", Verdict.IGNORED, "empty"),
        (None, Verdict.IGNORED, "empty"),
    ],
)
def test_what_stands_for_an_image_and_is_none_is_shown(
    text: object, verdict: Verdict, reason: str
) -> None:
    (use,) = uses_in("Pod", {"spec": {"containers": [{"image": text}]}}, "v1")
    assert (use.verdict, use.rule) == (verdict, "container")
    assert reason in use.reason


def test_the_text_of_a_number_is_reported_as_written() -> None:
    (use,) = uses("apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 1.10}]}\n")
    assert use.text == "1.10"


_NUMBERS = {"2.0": "2", "1.10": "1.1", "1e3": "1000", "0x10": "16", "007": "7", "7": "7"}
_THING = "apiVersion: example.com/v1\nkind: Thing\n"


@pytest.mark.parametrize("number", _NUMBERS)
def test_a_number_for_a_tag_is_what_the_cluster_gets(number: str) -> None:
    env = f"[{{name: X_IMAGE, value: q.io/a/y}}, {{name: X_TAG, value: {number}}}]"
    split, variables = uses(
        f"{_THING}spec: {{image: {{repository: q.io/a/x, tag: {number}}}, env: {env}}}\n"
    )
    for use, name in ((split, "q.io/a/x"), (variables, "q.io/a/y")):
        assert (use.text, use.verdict) == (f"{name}:{_NUMBERS[number]}", Verdict.IMAGE)
        assert (f"{number} is the number {_NUMBERS[number]}" in use.reason) == (number != "7")


@pytest.mark.parametrize("number", _NUMBERS)
def test_nobody_knows_what_a_program_makes_of_a_number_in_a_text(number: str) -> None:
    (use,) = uses(f"{_THING}data:\n  v: |\n    image: {{repository: q.io/a/x, tag: {number}}}\n")
    assert use.text == f"q.io/a/x:{_NUMBERS[number]}"
    assert use.verdict is (Verdict.IMAGE if number == "7" else Verdict.UNDECIDED)
    assert ("put it in quotes" in use.reason) == (number != "7")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Custom resources by the name of the field.
        ({"spec": {"imageName": "ghcr.io/cnpg/postgresql:17"}}, ["ghcr.io/cnpg/postgresql:17"]),
        ({"spec": {"dockerImage": "spilo:4"}}, ["spilo:4"]),
        ({"spec": {"image": "flink"}}, ["flink"]),
        ({"spec": {"sidecar_image": "a/b:1"}}, ["a/b:1"]),
        ({"spec": {"steps": [{"image": "alpine:3"}]}}, ["alpine:3"]),
        ({"spec": {"images": [{"image": "a/b:1"}, {"image": "a/b:2"}]}}, ["a/b:1", "a/b:2"]),
        (
            {"spec": {"image": {"value": "a/b", "options": ["a/b:1", "a/c:1"]}}},
            ["a/b", "a/b:1", "a/c:1"],
        ),
        ({"spec": {"extensions": [{"image": {"reference": "q.io/a:1"}}]}}, ["q.io/a:1"]),
        # Full references anywhere.
        ({"spec": {"package": "xpkg.upbound.io/a/b:v1"}}, ["xpkg.upbound.io/a/b:v1"]),
        ({"spec": {"x": f"busybox@{DIGEST}"}}, [f"busybox@{DIGEST}"]),
        (
            {"data": {"provisioner": "registry.k8s.io/sig-storage/csi:v6"}},
            ["registry.k8s.io/sig-storage/csi:v6"],
        ),
        (
            {"spec": {"url": "docker://registry:5000/kubevirt/x:devel"}},
            ["registry:5000/kubevirt/x:devel"],
        ),
        (
            {"spec": {"url": "oci://quay.io/a/charts/b", "ref": {"tag": "v1"}}},
            ["quay.io/a/charts/b:v1"],
        ),
        ({"spec": {"srcImage": "docker://quay.io/a/b:v1"}}, ["quay.io/a/b:v1"]),
        ({"spec": {"storageUri": "oci+fetch://ghcr.io/a/model:v1"}}, ["ghcr.io/a/model:v1"]),
        # Families of flat fields and of variables.
        (
            {"env": [{"name": "A_IMAGE", "value": "a/b"}, {"name": "A_IMAGE_TAG", "value": "1"}]},
            ["a/b:1"],
        ),
        (
            {"env": [{"name": "A_REPO", "value": "q.io/a/b"}, {"name": "A_TAG", "value": "1"}]},
            ["q.io/a/b:1"],
        ),
        ({"spec": {"proxyImage": "a/b", "proxyTag": "v2", "x": "y"}}, ["a/b:v2"]),
        ({"spec": {"registry": "q.io", "image": "a/b:1"}}, ["q.io/a/b:1"]),
        ({"spec": {"from": {"kind": "DockerImage", "name": "centos/python"}}}, ["centos/python"]),
        # Variables and parameters by their name.
        (
            {"env": [{"name": "HELPER_IMAGE", "value": "openebs/linux-utils:ci"}]},
            ["openebs/linux-utils:ci"],
        ),
        ({"env": [{"name": "MAVEN_BUILDER", "value": "quay.io/a/b:1"}]}, ["quay.io/a/b:1"]),
        (
            {"env": [{"name": "KAFKA_IMAGES", "value": "4.2=quay.io/a/k:4\n4.3=quay.io/a/k:5"}]},
            ["quay.io/a/k:4", "quay.io/a/k:5"],
        ),
        (
            {"env": [{"name": "DB_REPOSITORY", "value": "m.gcr.io/a/db,ghcr.io/a/db"}]},
            ["m.gcr.io/a/db", "ghcr.io/a/db"],
        ),
        ({"params": [{"name": "BUILDER_IMAGE", "default": "a/kaniko:1"}]}, ["a/kaniko:1"]),
        ({"params": [{"name": "image", "value": "ubuntu"}]}, ["ubuntu"]),
        # Arguments.
        ({"args": ["--solver-image=quay.io/a/b:1"]}, ["quay.io/a/b:1"]),
        ({"args": ["--solver-image=a/b:1"]}, ["a/b:1"]),
        ({"args": ["--images=a/b:1,c/d:2", "--registry=quay.io/a"]}, ["a/b:1", "c/d:2"]),
        (
            {"spec": {"images": {"proxy": "a/proxy:1", "agent": "a/agent"}}},
            ["a/proxy:1", "a/agent"],
        ),
        ({"args": ["--engine-image", "longhornio/engine:1", "x"]}, ["longhornio/engine:1"]),
        (
            {"args": ["-shell-image-win", f"mcr.microsoft.com/ps:nano@{DIGEST}"]},
            [f"mcr.microsoft.com/ps:nano@{DIGEST}"],
        ),
        (
            {"args": ["sleep 1; docker run --rm -v /a:/b debian:latest cat /etc/x"]},
            ["debian:latest"],
        ),
        (
            {"script": "cat <<EOF\nFROM busybox\nRUN x\nEOF\ndocker pull alpine"},
            ["busybox", "alpine"],
        ),
        # Embedded documents.
        ({"data": {"pod.yaml": "spec:\n  containers:\n  - image: busybox\n"}}, ["busybox"]),
        ({"data": {"c.json": '{"agent": {"image": "kserve/agent:v1"}}'}}, ["kserve/agent:v1"]),
        ({"data": {"a": "b: |\n  image: a/b:1\n  c: d\n"}}, ["a/b:1"]),
        ({"data": {"t": "{{ if .X }}\nimage: busybox:1.28\n{{ end }}\n"}}, ["busybox:1.28"]),
        (
            {"metadata": {"annotations": {"hooks": '[{"image": "registry:5000/a/b:devel"}]'}}},
            ["registry:5000/a/b:devel"],
        ),
        # Split references.
        (
            {
                "spec": {
                    "driver": {"repository": "nvcr.io/nvidia", "image": "driver", "version": "5.9"}
                }
            },
            ["nvcr.io/nvidia/driver:5.9"],
        ),
        ({"spec": {"baseImage": "quay.io/a/etcd", "version": "v3"}}, ["quay.io/a/etcd:v3"]),
        ({"spec": {"redis": {"repository": "a/redis", "tag": "7"}}}, ["a/redis:7"]),
        ({"spec": {"image": {"name": "quay.io/a/b", "tag": "1"}}}, ["quay.io/a/b:1"]),
        ({"items2": [{"image": "debian", "tag": "9.1"}]}, ["debian:9.1"]),
        (
            {"global": {"hub": "r.io/rel", "tag": "1.1", "proxy": {"image": "proxyv2"}}},
            ["r.io/rel/proxyv2:1.1"],
        ),
        (
            {
                "images": {
                    "defaults": {"registry": "r.io"},
                    "a": {"repository": "x", "name": "y", "tag": "1"},
                }
            },
            ["r.io/x/y:1"],
        ),
    ],
)
def test_images_are_found_wherever_they_stand(body: dict[str, object], expected: list[str]) -> None:
    found = uses_in("Thing", body)
    assert texts(found, Verdict.IMAGE) == expected
    assert texts(found, Verdict.UNDECIDED) == []
    assert all(use.rule and use.reason for use in found)


def docs(text: str) -> dict[str, object]:
    return {"data": {"config.yaml": text}}


# Shapes of real projects, in names of nobody.
SHAPES: list[tuple[str, dict[str, object], list[str]]] = [
    (
        "the variables of an operator, all pinned",
        {"env": [{"name": f"RELATED_IMAGE_{n}", "value": f"q.io/a/{n}@{DIGEST}"} for n in "bc"]},
        [f"q.io/a/b@{DIGEST}", f"q.io/a/c@{DIGEST}"],
    ),
    (
        "a ClusterServiceVersion",
        {
            "metadata": {
                "annotations": {
                    "containerImage": "percona/op:1",
                    "alm-examples": '[{"kind": "A", "spec": {"db": {"image": "q.io/a/db:8"}}}]',
                }
            },
            "spec": {"relatedImages": [{"name": "x", "image": "q.io/a/x:1"}]},
        },
        ["percona/op:1", "q.io/a/db:8", "q.io/a/x:1"],
    ),
    (
        "a template of a job, of a kind of its own, as text",
        docs(
            "kind: TrainJob\nspec:\n  replicas:\n    master:\n      template:\n        spec:\n"
            "          containers:\n          - name: t\n            image: trainer\n"
        ),
        ["trainer"],
    ),
    (
        "versions of one service, in a configuration",
        docs(
            "bus:\n  versions:\n  - version: 2.8.1\n    busImage: bus:2.8.1\n"
            "    reloaderImage: team/reloader:0.7\n"
        ),
        ["bus:2.8.1", "team/reloader:0.7"],
    ),
    (
        "JSON in a ConfigMap",
        {"data": {"agent": '{"image" : "team/agent:v1", "memoryRequest": "100Mi"}'}},
        ["team/agent:v1"],
    ),
    ("a database", {"spec": {"imageName": "ghcr.io/a/pg:17"}}, ["ghcr.io/a/pg:17"]),
    (
        "a catalog of images",
        {"spec": {"images": [{"major": 16, "image": "ghcr.io/a/pg:16"}]}},
        ["ghcr.io/a/pg:16"],
    ),
    (
        "values of a Helm release",
        {"spec": {"values": {"redis": {"repository": "public.ecr.aws/redis", "tag": "8"}}}},
        ["public.ecr.aws/redis:8"],
    ),
    (
        "a list that a program offers",
        docs("image:\n  value: ghcr.io/a/one:1\n  options:\n  - ghcr.io/a/two:1\n"),
        ["ghcr.io/a/one:1", "ghcr.io/a/two:1"],
    ),
    (
        "flags and their values",
        {"args": ["-nop-image", f"g.io/nop@{DIGEST}", "-shell-image-win", f"m.com/ps:n@{DIGEST}"]},
        [f"g.io/nop@{DIGEST}", f"m.com/ps:n@{DIGEST}"],
    ),
    (
        "a disk of a virtual machine",
        {"spec": {"volumes": [{"containerDisk": {"image": "registry:5000/a/disk:devel"}}]}},
        ["registry:5000/a/disk:devel"],
    ),
    (
        "items of a loop",
        {"withItems": [{"image": "debian", "tag": "9.1"}, {"image": "alpine", "tag": "3.6"}]},
        ["debian:9.1", "alpine:3.6"],
    ),
    (
        "an image and its version in annotations",
        {
            "metadata": {
                "annotations": {"x.io/debug-image": "cr.io/a/d", "x.io/debug-image-version": "v1"}
            }
        },
        ["cr.io/a/d:v1"],
    ),
]


@pytest.mark.parametrize(("body", "expected"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_shapes_of_real_projects(body: dict[str, object], expected: list[str]) -> None:
    found = uses_in("Thing", body)
    assert texts(found, Verdict.IMAGE) == expected
    assert texts(found, Verdict.UNDECIDED) == []


def test_a_template_is_settled_where_the_object_fills_it_in() -> None:
    params: list[object] = [{"name": "BUILDER", "default": "q.io/a/b:1"}]
    body: dict[str, object] = {"params": params, "steps": [{"image": "$(params.BUILDER)"}]}
    found = uses_in("Thing", body)
    assert texts(found, Verdict.IMAGE) == ["q.io/a/b:1"]
    assert texts(found, Verdict.IGNORED) == ["$(params.BUILDER)"]
    assert texts(uses_in("Thing", {"steps": body["steps"]}), Verdict.UNDECIDED) == [
        "$(params.BUILDER)"
    ]


def test_pieces_say_where_each_part_stands() -> None:
    body = docs("global:\n  hub: r.io/rel\n  tag: '1.1'\n  proxy: {image: proxyv2}\n")
    (use,) = uses_in("ConfigMap", body, "v1")
    text = str(body["data"]["config.yaml"])  # type: ignore[index]
    assert compose_pieces(use.pieces) == use.text == "r.io/rel/proxyv2:1.1"
    tokens = []
    for piece in use.pieces:
        (step,) = piece.inside
        assert isinstance(step, Embedded)
        assert step.token is not None
        tokens.append((piece.role, str(step.path), text[step.token.start : step.token.end]))
    assert tokens == [
        (PieceRole.REGISTRY, "global.hub", "r.io/rel"),
        (PieceRole.NAME, "global.proxy.image", "proxyv2"),
        (PieceRole.TAG, "global.tag", "'1.1'"),
    ]


def test_a_piece_begins_behind_the_scheme_of_a_url() -> None:
    (use,) = uses_in("Thing", {"spec": {"url": "oci://q.io/a/b", "ref": {"tag": "1"}}})
    assert [(piece.text, piece.inside) for piece in use.pieces] == [
        ("q.io/a/b", (Span(6, 14),)),
        ("1", ()),
    ]


@pytest.mark.parametrize(
    ("body", "expected", "reason"),
    [
        ({"spec": {"tool": {"repository": "quay.io/a", "image": "b"}}}, "quay.io/a/b", "its tag"),
        ({"spec": {"url": "oci://quay.io/a/charts/b"}}, "quay.io/a/charts/b", "version"),
        ({"spec": {"repository": "quay.io/a/b"}}, "quay.io/a/b", "its tag"),
        ({"spec": {"image": "pilot", "hub": "", "tag": ""}}, "pilot", "fields beside"),
        ({"spec": {"image": "pilot", "hub": "", "tag": "1"}}, "pilot:1", "field beside"),
        ({"spec": {"image": "db", "version": "1"}}, "db:1", "something else"),
        ({"spec": {"osImage": "ubuntu"}}, "ubuntu", "something else"),
        ({"data": {"values": "pilot:\n  image: pilot\n"}}, "pilot", "in a text"),
        ({"data": {"x": "zarf.dev/agent:ignore"}}, "zarf.dev/agent:ignore", "label"),
        ({"data": {"x": "quay.io/a/b:${TAG}"}}, "quay.io/a/b:${TAG}", "template"),
        ({"data": {"q-image": "ko://x.dev/cmd/queue"}}, "ko://x.dev/cmd/queue", "ko builds"),
        ({"spec": {"image": "$(params.image)"}}, "$(params.image)", "template"),
        (
            {"spec": {"image": {"repository": "quay.io/a/b", "tag": "{{ .v }}"}}},
            "quay.io/a/b:{{ .v }}",
            "template",
        ),
        ({"data": {"c.py": 'spawner.image = "image"\n'}}, "image", "something else"),
        ({"spec": {"image": 1.5}}, "1.5", "number"),
    ],
)
def test_image_like_text_is_put_before_a_person(
    body: dict[str, object], expected: str, reason: str
) -> None:
    found = uses_in("Thing", body)
    assert texts(found, Verdict.UNDECIDED) == [expected]
    assert texts(found, Verdict.IMAGE) == []
    assert reason in found[0].reason


@pytest.mark.parametrize(
    ("kind", "field", "other"),
    [("Secret", "data", "binaryData"), ("ConfigMap", "binaryData", "data")],
)
def test_base64_is_read_only_where_an_object_keeps_it(kind: str, field: str, other: str) -> None:
    content = base64.b64encode(b"singleuser:\n  image:\n    name: quay.io/a/b\n    tag: '1'\n")
    data = {"values.yaml": content.decode()}
    (use,) = uses_in(kind, {field: data}, "v1")
    assert use.text == "quay.io/a/b:1"
    assert use.place.endswith(f"{field}['values.yaml']|base64|yaml[0].singleuser.image")
    assert uses_in(kind, {other: data}, "v1") == []


def test_places_inside_texts_are_named() -> None:
    inner = "spec:\n  containers:\n  - image: busybox\n"
    outer = yaml.safe_dump({"repository": "x", "manifest": inner})
    (use,) = uses_in("ConfigMap", {"data": {"config": outer}}, "v1")
    assert use.place == (
        "app.yaml#ConfigMap/x#data.config|yaml[0].manifest|yaml[0].spec.containers[0].image"
    )
    assert (use.rule, use.verdict) == ("container", Verdict.IMAGE)


# Taken for images by simpler readers; the design page lists how often.
TRAPS: list[dict[str, object]] = [
    {"tolerations": [{"key": "node-role.kubernetes.io/master"}]},
    {"resources": {"limits": {"nvidia.com/gpu": 1}}},
    {"env": [{"name": "A", "value": "app.kubernetes.io/name"}]},
    {"env": [{"name": "REDIS_ADDR", "value": "redis-cart:6379"}]},
    {"args": ["--address=istiod.istio-system.svc:15012", "--x=frontend:80", "0.0.0.0:9090"]},
    {"roleRef": {"name": "system:auth-delegator"}, "subjects": [{"name": "role:master"}]},
    {"rules": [{"resources": ["pods/eviction", "nodes/status"], "verbs": ["read:servers"]}]},
    {"data": {"rules": "sum(apiserver_request:burnrate1h) > 0"}},
    {"data": {"icon.svg": '<svg xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="#a"/>'}},
    {"data": {"gw": "kserve/kserve-ingress-gateway", "ca": "default/cluster-rw:5432"}},
    {"data": {"jvm": "--add-opens=java.base/sun.net.util=ALL-UNNAMED"}},
    {"data": {"path": "test/e2e/images/argosay/v2", "mod": "k8s.io/ingress-nginx"}},
    {"metadata": {"annotations": {"seccomp": "docker/default,runtime/default"}}},
    {"data": {"type": "text/css", "net": "10.0.0.0/8", "platform": "linux/amd64", "k": "aws:kms"}},
    {"spec": {"ref": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}}},
    {"data": {"note": "see pxc.percona.com/v1-2-0 and tekton.dev/pipeline"}},
    {"spec": {"imagePullPolicy": "IfNotPresent", "imageFormat": "2", "imageFeatures": "layering"}},
    {"env": [{"name": "OPERATOR_INIT_IMAGE_VERSION", "value": "master"}]},
    {"spec": {"enableCommonBootImageImport": True, "imagePullSecrets": [{"name": "regcred"}]}},
    {"spec": {"defaultRegistry": "docker.io", "registry_config": "/etc/registry/config.yml"}},
    {"spec": {"imageDigest": f"{DIGEST}", "imageId": "abc"}},
    {"spec": {"chart": {"repository": "bitnami", "name": "redis", "version": 17}}},
    {
        "env": [
            {"name": "ENABLE_IMAGE", "value": "true"},
            {"name": "IMAGE_PULL_SECRET", "value": "x"},
        ]
    },
    {"data": {"url": "https://quay.io/a/b:1", "mail": "a@b.example", "s3": "s3://bucket/a:1"}},
    {
        "data": {
            "host": "docker.elastic.co",
            "git": "github.com/a/b",
            "repository": "github.com/a/b",
        }
    },
    {"data": {"time": "12:30:45", "date": "2024-01-01T00:00:00Z", "ipv6": "[::1]:80"}},
    {"spec": {"source": {"repository": "github.com/a/b", "tag": "v1"}}},
    {"spec": {"dependencies": [{"name": "b", "repository": "https://a.b/c", "version": "1"}]}},
    {"spec": {"sysctl": "net.core/somaxconn", "path": "/var/lib/x:ro", "mount": "a:/b:ro"}},
]


@pytest.mark.parametrize("body", TRAPS, ids=lambda body: json.dumps(body)[:60])
def test_traps_do_not_reach_the_report(body: dict[str, object]) -> None:
    assert uses_in("Thing", body) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"data": {"_example": "image: quay.io/a/b:1"}}, "documentation"),
        ({"spec": {"description": "such as quay.io/a/b:1"}}, "documentation"),
        (
            {
                "metadata": {
                    "annotations": {
                        "kubectl.kubernetes.io/last-applied-configuration": '"quay.io/a/b:1"'
                    }
                }
            },
            "documentation",
        ),
        ({"status": {"image": "quay.io/a/b:1"}}, "status"),
        ({"spec": {"build": {"output": {"image": "quay.io/a/b:1"}}}}, "makes"),
        ({"spec": {"imageReferences": ["ghcr.io/a/b:1"]}}, "pattern"),
        ({"spec": {"images": ["ghcr.io/a/*"]}}, "pattern"),
        ({"spec": {"image": "*"}}, "pattern"),
        ({"env": [{"name": "A", "value": "kubernetes.io/os:linux"}]}, "label"),
        ({"env": [{"name": "A", "value": "github.com/a/b:v1"}]}, "source code"),
        ({"env": [{"name": "IMAGES_ADDR", "value": "images:8080"}]}, "port"),
        ({"data": {"x.sh": "# such as quay.io/a/b:1\necho"}}, "comment"),
        ({"args": ["--destination", "quay.io/a/b:1"]}, "makes"),
        ({"script": "docker build -t quay.io/a/b:1 . && docker push quay.io/a/b:1"}, "makes"),
        ({"args": ["--output", "type=image,name=quay.io/a/b:1,push=true"]}, "makes"),
        (
            {"env": [{"name": "CLI_IMAGE", "value": "reg.openshift.svc:5000/a/b:1"}]},
            "inside the cluster",
        ),
    ],
)
def test_references_that_are_not_pulled_are_ignored_with_the_reason(
    body: dict[str, object], reason: str
) -> None:
    found = uses_in("Thing", body)
    assert {use.verdict for use in found} == {Verdict.IGNORED}
    assert all(reason in use.reason for use in found)


def crd(properties: dict[str, object]) -> list[ImageUse]:
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": properties}}}}
    return uses_in(
        "CustomResourceDefinition",
        {"spec": {"versions": [{"schema": schema}]}},
        "apiextensions.k8s.io/v1",
    )


def test_a_schema_is_no_image_but_its_defaults_may_be() -> None:
    (use,) = crd({"docker_image": {"type": "string", "default": "zalando/spilo:4.1"}})
    assert (use.text, use.verdict, use.rule) == (
        "zalando/spilo:4.1",
        Verdict.IMAGE,
        "named-field",
    )
    assert str(use.path).endswith(".properties.docker_image.default")
    containers = {"items": {"properties": {"image": {"description": "Container image name"}}}}
    assert crd({"containers": containers}) == []
    assert crd({"default": {"image": {"type": "string"}}}) == []
    (described,) = crd({"x": {"description": "like quay.io/a/b:1"}})
    assert (described.verdict, described.reason) == (Verdict.IGNORED, "part of a schema")
    (within,) = crd({"pod": {"default": {"containers": [{"image": "busybox"}]}}})
    assert within.verdict is Verdict.IMAGE
    (untagged,) = crd({"image": {"default": "nvcr.io/a/driver"}})
    assert untagged.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("api", ["example.com/v1", "v1", "apiextensions.k8s.io.example.com/v1"])
def test_a_kind_of_ones_own_is_no_schema_whatever_its_name(api: str) -> None:
    pod: dict[str, object] = {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    (use,) = uses_in("CustomResourceDefinition", pod, api)
    assert (use.text, use.verdict) == ("busybox", Verdict.IMAGE)


@pytest.mark.parametrize(
    "key", ["output", "destination", "pushTo", "glob", "labels", "nodeSelector", "matchImages"]
)
def test_a_container_is_one_whatever_it_stands_below(key: str) -> None:
    pod = {
        "template": {"containers": [{"name": "c", "image": "busybox"}], "image": "quay.io/a/b:1"}
    }
    found = uses_in("Thing", {"spec": {key: pod}})
    assert texts(found, Verdict.IMAGE) == ["busybox"]
    assert texts(found, Verdict.IGNORED) == ["quay.io/a/b:1"]


@pytest.mark.parametrize("key", ["description", "documentation", "_example"])
def test_a_container_in_a_description_is_none(key: str) -> None:
    pod = {"containers": [{"name": "c", "image": "quay.io/a/b:1"}]}
    found = uses_in("Thing", {"spec": {key: pod}, "status": pod})
    assert [use.verdict for use in found] == [Verdict.IGNORED] * 2


@pytest.mark.parametrize("scheme", ["https", "http", "DOCKER", "containerd", "docker-daemon"])
def test_an_image_behind_another_scheme_is_shown(scheme: str) -> None:
    (use,) = uses_in("Thing", {"spec": {"image": f"{scheme}://quay.io/a/b:1"}})
    assert (use.text, use.verdict) == (f"{scheme}://quay.io/a/b:1", Verdict.UNDECIDED)


@pytest.mark.parametrize(
    "text", ["https://example.com/logo.png", "https://host:8080/a.qcow2", "https://a/b?c=d"]
)
def test_a_picture_or_a_disk_is_no_image(text: str) -> None:
    assert uses_in("Thing", {"spec": {"image": text}}) == []


def test_hidden_growth_is_stopped() -> None:
    text = "x" * 100_000
    many = "".join(f"  k{number}: *a\n" for number in range(900))
    with pytest.raises(LimitExceeded):
        uses(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  a: &a {text}\n{many}"
        )


def test_text_within_text_within_text_is_read_to_a_limit() -> None:
    value: object = {"image": "busybox"}
    for _ in range(8):
        value = {"image": json.dumps(value)}
    found = uses_in("Thing", {"spec": value})
    assert all(use.verdict is not Verdict.IMAGE for use in found)


def test_rules_are_data_with_names_of_their_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert all(rule.what and rule.why for rule in RULES)
    certain = {rule.name for rule in RULES if rule.confidence is Confidence.CERTAIN}
    assert certain == {"container", "init-container", "ephemeral-container", "image-volume"}


KEYS = st.sampled_from(["spec", "template", "a", "b-c", "jobTemplate", "x.y/z"])
REFERENCES = st.from_regex(
    r"([a-z]{1,5}\.io(:[1-9][0-9]{0,3})?/)?([a-z]{1,5}/)?[a-z]{2,8}(:[0-9]\.[0-9])?", fullmatch=True
)
LISTS = st.sampled_from(["containers", "initContainers", "ephemeralContainers"])


@st.composite
def nested(draw: st.DrawFn) -> tuple[dict[str, object], list[str]]:
    """A value of random nesting, and the references in it, in document order."""
    expected: list[str] = []

    def build(depth: int) -> dict[str, object]:
        value: dict[str, object] = {}
        for key in draw(st.lists(KEYS, unique=True, max_size=3 if depth < 4 else 0)):
            children = build(depth + 1)
            value[key] = [children] if draw(st.booleans()) else children
        for key in draw(st.lists(LISTS, unique=True, max_size=2)):
            images = draw(st.lists(REFERENCES, max_size=3))
            expected.extend(images)
            value[key] = [{"name": "c", "image": image} for image in images]
        return value

    return build(0), expected


@settings(deadline=None)
@given(nested(), st.booleans())
def test_known_images_in_random_nesting_are_exactly_found(
    drawn: tuple[dict[str, object], list[str]], as_yaml: bool
) -> None:
    value, expected = drawn
    document = {"apiVersion": "a.io/v1", "kind": "Thing", "metadata": {"name": "x"}, "body": value}
    text = yaml.safe_dump(document, sort_keys=False) if as_yaml else json.dumps(document)
    found = uses(text)
    assert texts(found, Verdict.IMAGE) == expected
    assert len(found) == len(expected)
    assert found == uses(text)
