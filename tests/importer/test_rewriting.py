"""Whatever the application looks like, every renderer shows the target everywhere."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from airgap_importer.proof import promised_by, prove
from airgap_importer.relocation import RelocatedImage, Relocation
from airgap_importer.rendering import Renderer, Rendering
from airgap_importer.rewriting import Means, Overlay
from airgap_shared.errors import OverlayRefused, UnrewrittenImage
from airgap_shared.kube.uses import Verdict
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.reference import parse_reference
from support.overlays import application, relocation_of, write_overlay

_A = "a" * 64
_B = "b" * 64
_S512 = "c" * 128
_BINARY = base64.b64encode(bytes(range(256))).decode()


def _pod(image: str, name: str = "web", metadata: str = "") -> str:
    return (
        "apiVersion: v1\nkind: Pod\n"
        f"metadata: {{name: {name}{metadata}}}\n"
        f"spec:\n  containers:\n  - {{name: main, image: {image!r}}}\n"
    )


def _pods(*images: str) -> str:
    return "---\n".join(_pod(image, f"web-{number}") for number, image in enumerate(images))


def _thing(body: str, name: str = "thing", kind: str = "Thing") -> str:
    return f"apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{body}\n"


_WORKLOADS = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: kube-system}
spec:
  template:
    spec:
      initContainers: [{name: init, image: busybox}]
      containers: [{name: agent, image: "quay.io/org/agent:1.2"}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{name: job, image: "quay.io/org/job:2"}]
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  containers: [{name: main, image: "quay.io/org/agent:1.2"}]
  ephemeralContainers: [{name: debug, image: "quay.io/org/debug:1"}]
  volumes: [{name: data, image: {reference: "quay.io/org/data:1"}}]
"""

_CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          image: {type: string, default: "nginx:1"}
          %s
"""

_LIST = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: "nginx:1"}]}}
- apiVersion: v1
  kind: List
  items:
  - {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {ephemeralContainers: [{image: a/b:1}]}}
"""

_TYPED_LIST = """\
apiVersion: v1
kind: PodList
items:
- {metadata: {name: a}, spec: {containers: [{image: "nginx:1"}]}}
"""

_JSON_STREAM = (
    '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},'
    '"spec":{"containers":[{"image":"nginx:1"}]}}\n'
    '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"},'
    '"spec":{"containers":[{"image":"nginx:1"}]}}\n'
)

_ANCHORS = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: a}}
spec:
  containers: &all [{{name: main, image: "nginx@sha256:{_A}"}}]
  initContainers: *all
"""

_CASES: dict[str, str | dict[str, str | bytes]] = {
    "a tag": _pod("quay.io/org/app:1.2"),
    "no tag": _pod("quay.io/org/app"),
    "a digest": _pod(f"quay.io/org/app@sha256:{_A}"),
    "tag and digest": _pod(f"quay.io/org/app:1@sha256:{_A}"),
    "sha512": _pod(f"quay.io/org/app@sha512:{_S512}"),
    "a port": _pod("reg.example:5000/org/app:1"),
    "a port without tag": _pod("reg.example:5000/org/app"),
    "a port and a digest": _pod(f"reg.example:5000/org/app@sha256:{_A}"),
    "an address": _pod("[::1]:5000/org/app:1"),
    "upper case and underscores": _pod("REG.example/org_a/app__b-c:V1.0_x"),
    "localhost": _pod("localhost/app:1"),
    "spellings of docker.io": _pods(
        "nginx:1",
        "docker.io/nginx:1",
        "library/nginx:1",
        "docker.io/library/nginx:1",
        "index.docker.io/library/nginx:1",
        "nginx:2",
        "redis",
        "docker.io/library/redis:latest",
    ),
    "two tags": _pods("quay.io/org/app:1", "quay.io/org/app:2", "quay.io/org/other:1"),
    "a tag and a digest of one name": _pods(
        "quay.io/org/app:1", f"quay.io/org/app@sha256:{_A}", f"quay.io/org/app:1@sha256:{_B}"
    ),
    "two tags, one of them none": _pods("app", "app:latest", "app:2"),
    "same last segment": _pods("quay.io/one/app:1", "ghcr.io/two/app:1"),
    "names that differ where a dot is": _pods("quay.io/a/b:1", "quayxio/a/b:1"),
    "numbers that look like numbers": _pods("app:1.10", "1e3:1", "on:1e3"),
    "workloads": _WORKLOADS,
    "a list": _LIST,
    "a typed list": _TYPED_LIST,
    "a JSON stream": {"app.json": _JSON_STREAM},
    "shared by anchors": _ANCHORS,
    "containers in a custom resource": _thing("spec: {a: [{containers: [{image: 'nginx:1'}]}]}"),
    "containers below initContainers": _thing(
        "spec: {initContainers: [{image: 'nginx:1'}], sub: {containers: [{image: 'nginx:1'}]}}"
    ),
    "containers in a list of lists": _thing("spec: {a: [[{containers: [{image: 'nginx:1'}]}]]}"),
    "containers that are a map": _pod("nginx:1") + "---\n" + _thing("spec: {containers: {a: b}}"),
    "containers that are null": _pod("nginx:1") + "---\n" + _thing("x: {containers: }"),
    "containers that are text": _pod("nginx:1") + "---\n" + _thing("spec: {containers: [a]}"),
    "an image that is a number": _pod("nginx:1")
    + "---\n"
    + _thing("spec: {containers: [{image: 3}]}"),
    "an image that is a map": _pod("nginx:1")
    + "---\n"
    + _thing("spec: {containers: [{image: {repository: nginx}}]}"),
    "a spec that is text": _pod("nginx:1") + "---\n" + _thing("spec: hello"),
    "a template that is text": _pod("nginx:1") + "---\n" + _thing("spec: {template: hello}"),
    "volumes that are text": _pod("nginx:1") + "---\n" + _thing("spec: {volumes: hello}"),
    "a CRD with an image property": _CRD % "x: {}" + "---\n" + _pod("nginx:1"),
    "a CRD with a containers property": _CRD % "containers: {type: array}"
    + "---\n"
    + _pod("nginx:1"),
    "a CRD with a list of containers": _CRD % "x: {containers: [{image: 'nginx:1'}]}"
    + "---\n"
    + _pod("nginx:1"),
    "a template beside an image": _pods("app:1", "app:{{v}}", "${APP}", "$(X):1"),
    "dots in names": _pod("nginx:1", "a.c") + "---\n" + _pod("nginx:2", "a.d"),
    "patched in two namespaces": _pod("nginx:1", "web", ", namespace: a")
    + "---\n"
    + _pod("nginx:2", "web", ", namespace: b"),
    "one name in two groups": _thing("spec: {containers: [{image: 'nginx:1'}]}", kind="Service")
    + "---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: thing}\n"
    "spec: {template: {spec: {containers: [{image: 'nginx:2'}]}}}\n",
    "a name that looks like a number": _pod("nginx:1", "'1e3'")
    + "---\n"
    + _pod("nginx:2", "'010'"),
    "a comment on the separator": _pod("nginx:1", "a") + "--- # next\n" + _pod("nginx:1", "b"),
    "a comment on one separator and a null document after another": _pod("nginx:1", "a")
    + "--- # next\n"
    + _pod("nginx:1", "b")
    + "---\nnull\n",
    "content on the separator": _pod("nginx:1", "a")
    + "--- {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: [{image: b}]}}\n",
    "an end marker": _pod("nginx:1", "a") + "...\n---\n" + _pod("nginx:1", "b") + "...\n",
    "a directive": "%YAML 1.1\n---\n" + _pod("nginx:1"),
    "documents that are no objects": "a: b\n---\n- c\n---\n{}\n---\nd\n---\n" + _pod("nginx:1"),
    "empty documents": "# top\n---\n---\n# nothing\n---\n"
    + _pod("nginx:1")
    + "---\n\n---\n# end\n",
    "carriage returns": _pods("nginx:1", "nginx:2").replace("\n", "\r\n"),
    "a byte order mark": {"a.yaml": b"\xef\xbb\xbf---\n" + _pod("nginx:1").encode()},
    "folders and files without objects": {
        "a/b/c.yaml": _pod("nginx:1"),
        "empty.yaml": "",
        "comment.yaml": "# nothing\n",
        "values.yaml": "image: nginx\n",
        "kustomization.yaml": "resources: [a/b/c.yaml]\n",
        "kustomization.yml": "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\nimages: [{name: nginx, newName: evil.example/nginx}]\n",
    },
    "objects in a file called kustomization.yaml": {"kustomization.yaml": _pod("nginx:1")},
    "a Flux kustomization": _pod("nginx:1")
    + "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
    "metadata: {name: flux}\nspec: {path: ./x}\n",
    "no objects": {"values.yaml": "a: b\n"},
    "no files": {},
    "binary data": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    f"binaryData: {{x: {base64.b64encode(b'image: nginx:1').decode()}, y: {_BINARY}}}\n",
    "an empty list": "apiVersion: v1\nkind: List\nitems: []\n",
    "local config": _pod("nginx:1")
    + "---\n"
    + _pod("nginx:2", "local", ", annotations: {config.kubernetes.io/local-config: 'true'}"),
    "odd keys on the way": _thing(
        "spec: {'a/b~c': {'on': {containers: [{image: 'x@sha256:AAA'}]}}}".replace("AAA", _A)
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_every_renderer_shows_the_target(case: str, renderer: Renderer, tmp_path: Path) -> None:
    app = application(_CASES[case])
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    proof = prove(overlay, rendering, promised_by(relocation))
    assert len(overlay.rewrites) == sum(
        use.verdict is Verdict.IMAGE and use.object in overlay.objects for use in app.uses
    )
    assert proof.uses == len(overlay.rewrites)


def _means(overlay: Overlay) -> dict[str, set[Means]]:
    found: dict[str, set[Means]] = {}
    for rewrite in overlay.rewrites:
        found.setdefault(rewrite.use.text, set()).add(rewrite.means)
    return found


def _midstream(overlay: Overlay) -> str:
    return overlay.files["overlays/midstream/kustomization.yaml"].decode()


def test_the_usual_application_needs_no_patches() -> None:
    overlay = application(_pods("nginx:1", "docker.io/library/nginx:1", "quay.io/a/b:2")).overlay()
    assert {means for found in _means(overlay).values() for means in found} == {Means.IMAGES}
    assert "- name: 'docker\\.io/library/nginx'" in _midstream(overlay)
    assert "patchesJson6902" not in _midstream(overlay)
    assert not overlay.notes


def test_the_tag_is_kept_for_people() -> None:
    overlay = application(_pod("nginx:1")).overlay()
    assert "newName: 'registry.test:5000/apps/nginx-" in _midstream(overlay)
    assert overlay.rewrites[0].target.reference.partition("@")[0].endswith(":1")


@pytest.mark.parametrize(
    "text",
    [
        f"nginx@sha256:{_A}",
        f"nginx:1@sha256:{_A}",
    ],
)
def test_what_old_kustomize_does_not_match_is_patched(text: str) -> None:
    assert _means(application(_pod(text)).overlay())[text] == {Means.PATCH}


def test_two_tags_of_one_name_are_patched_and_other_names_are_not() -> None:
    means = _means(application(_pods("app:1", "app:2", "other:1")).overlay())
    assert means == {"app:1": {Means.PATCH}, "app:2": {Means.PATCH}, "other:1": {Means.IMAGES}}


def test_an_entry_never_meets_what_another_entry_wrote(renderer: Renderer, tmp_path: Path) -> None:
    app = application(_pods("nginx:1", "registry.test:5000/apps/nginx:1", "registry.test:5000/x:1"))
    images = dict(relocation_of(app.uses).images)
    nginx = parse_reference("nginx:1")
    images[nginx.canonical] = RelocatedImage(
        nginx, "registry.test:5000", "apps/nginx", "1", Digest.of(b"nginx")
    )
    relocation = Relocation(images)
    overlay = app.overlay(relocation)
    assert _means(overlay)["registry.test:5000/apps/nginx:1"] == {Means.PATCH}
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    prove(overlay, rendering, promised_by(relocation))


def test_an_image_that_is_already_in_its_place_stays(renderer: Renderer, tmp_path: Path) -> None:
    text = f"registry.test:5000/apps/nginx:1@sha256:{_A}"
    app = application(_pod(text))
    there = RelocatedImage(
        parse_reference(text), "registry.test:5000", "apps/nginx", "1", Digest("sha256", _A)
    )
    relocation = Relocation({text: there})
    overlay = app.overlay(relocation)
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    assert prove(overlay, rendering, promised_by(relocation)).references == (text,)


def test_images_are_not_used_where_a_kustomize_would_stop_at_them() -> None:
    overlay = application(_CASES["a CRD with a containers property"]).overlay()
    assert _means(overlay)["nginx:1"] == {Means.PATCH}
    assert "containers is no list of containers" in overlay.notes[0]


def test_objects_that_only_new_kustomize_tells_apart(tmp_path: Path) -> None:
    overlay = application(_pod("nginx:1", "a.c") + "---\n" + _pod("nginx:2", "abc")).overlay()
    assert "name: 'a\\.c'" in _midstream(overlay)
    assert any("a.c" in note for note in overlay.notes)


@pytest.mark.parametrize(
    "text",
    [
        _pod("nginx:1", "a.c") + "---\n" + _pod("nginx:2", "abc"),
        _pod("nginx:1", "web", ", namespace: b") + "---\n" + _pod("nginx:2", "web"),
        _thing("spec: {containers: [{image: 'nginx:1'}]}", kind="Pod").replace(
            "example.com/v1", "v1"
        )
        + "---\n"
        + _thing("spec: {containers: [{image: 'nginx:2'}]}", kind="Pod"),
    ],
    ids=["a dot", "a namespace", "the core group"],
)
def test_objects_hard_to_tell_apart_are_right_or_refused(
    text: str, renderer: Renderer, tmp_path: Path
) -> None:
    app = application(text)
    relocation = relocation_of(app.uses)
    overlay = app.overlay(relocation)
    midstream = write_overlay(tmp_path, overlay)
    try:
        rendering = renderer.render(midstream)
    except OverlayRefused as refused:
        assert renderer.name == "old-kubectl", refused
        assert "couldn't find target" in refused.what
        assert overlay.notes
    else:
        prove(overlay, rendering, promised_by(relocation))


def test_base_holds_the_bytes_as_they_came() -> None:
    text = _pods("nginx:1", "redis:2").replace("\n", "\r\n") + "# the end"
    overlay = application({"a/app.yaml": text}).overlay()
    assert overlay.files["base/resources/a/app.yaml"] == text.encode()


def test_values_survive_writing_anew(renderer: Renderer, tmp_path: Path) -> None:
    body = (
        "spec:\n  octal: 010\n  yes: on\n  text: 'on'\n  number: 1.10\n  "
        'mark: "\\u2028\\u00e9\\U0001F600"\n  script: |\n    a\n\n    b\n'
    )
    app = application("a: b\n---\n" + _thing(body))
    rendering = renderer.render(write_overlay(tmp_path, app.overlay()))
    spec = rendering.objects[0].value["spec"]
    assert spec == {
        "octal": 8,
        "true": True,
        "text": "on",
        "number": 1.1,
        "mark": "\u2028é😀",
        "script": "a\n\nb\n",
    }


def test_an_object_that_can_only_be_created_is_written_beside_what_is_applied() -> None:
    text = (
        _pod("nginx:1")
        + "---\n# often\n"
        + _pod("redis:2").replace("name: web", "generateName: web-")
    )
    overlay = application({"a/jobs.yaml": text}).overlay()
    created = overlay.files["overlays/midstream/create/a-jobs.yaml"].decode()
    assert "kubectl create -f" in created
    assert "\n# often\n" in created
    assert "image: 'registry.test:5000/apps/redis-" in created
    assert "nginx" not in created
    assert b"redis" not in overlay.files["base/resources/a/jobs.yaml"]
    assert [rewrite.means for rewrite in overlay.rewrites] == [Means.IMAGES, Means.CREATE]
    assert overlay.rewrites[1].file == "overlays/midstream/create/a-jobs.yaml"


def test_objects_to_create_are_proven_too() -> None:
    app = application(_pod("redis:2").replace("name: web", "generateName: web-"))
    overlay = app.overlay()
    nothing = promised_by(Relocation({}))
    with pytest.raises(UnrewrittenImage, match="not verified"):
        prove(overlay, Rendering("test", ()), nothing)
    assert prove(overlay, Rendering("test", ()), promised_by(relocation_of(app.uses))).uses == 1


def test_what_is_marked_as_local_is_left_out_and_reported() -> None:
    mark = ", annotations: {config.kubernetes.io/local-config: 'false'}"
    overlay = application(_pod("nginx:1", "web", mark) + "---\n" + _pod("redis:1", "b")).overlay()
    assert overlay.notes == (
        "app.yaml#Pod/web: its annotation config.kubernetes.io/local-config keeps it from clusters;"
        " left out",
    )
    assert [rewrite.use.text for rewrite in overlay.rewrites] == ["redis:1"]
    assert b"nginx" not in overlay.files["base/resources/app.yaml"]


def test_an_object_without_any_name_is_rewritten_and_reported() -> None:
    overlay = application(_pod("nginx:1").replace("name: web", "labels: {}")).overlay()
    assert overlay.notes == (
        "app.yaml#Pod: has neither name nor generateName; give it one to create it",
    )
    assert b"image: 'registry.test" in overlay.files["overlays/midstream/create/app.yaml"]
    assert "resources: []" in overlay.files["base/kustomization.yaml"].decode()


@pytest.mark.parametrize(("other", "word"), [("nginx:1", "the same"), ("nginx:2", "later one")])
def test_of_an_object_that_is_there_twice_the_later_counts(
    other: str, word: str, renderer: Renderer, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {
        "a.yaml": _pod("nginx:1", "web", ", namespace: default") + "---\n" + _pod("redis:1", "b"),
        "b.yaml": _pod(other, "web", ", namespace: default"),
    }
    app = application(files)
    overlay = app.overlay()
    assert "b.yaml#Pod/web: is also in a.yaml" in overlay.notes[0]
    assert word in overlay.notes[0]
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    proof = prove(overlay, rendering, promised_by(relocation_of(app.uses)))
    assert len(proof.references) == 2
    assert any(reference.rpartition("@")[0].endswith(other[-2:]) for reference in proof.references)


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("v1", "PersistentVolume"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
    ],
)
def test_what_is_in_no_namespace_is_there_twice_in_any(
    api: str, kind: str, renderer: Renderer, tmp_path: Path
) -> None:
    metadata = "metadata: {name: q, namespace: %s, labels: {a: %s}}"
    text = f"apiVersion: {api}\nkind: {kind}\n{metadata}\n"
    overlay = application(text % ("a", "first") + "---\n" + text % ("b", "last")).overlay()
    assert "the later one counts" in overlay.notes[0]
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    prove(overlay, rendering, promised_by(Relocation({})))
    (found,) = rendering.objects
    fields = found.value["metadata"]
    assert isinstance(fields, dict)
    assert fields["labels"] == {"a": "last"}


def test_documents_are_taken_as_they_are_written_where_others_are_left_out() -> None:
    text = "a: b\n---\n# kept\n" + _pod("nginx:1")
    base = application(text).overlay().files["base/resources/app.yaml"].decode()
    assert "a: b" not in base
    assert base.endswith("---\n# kept\n" + _pod("nginx:1"))


@pytest.mark.parametrize("word", ["yes", "On", "n", "'yes'", "nothing", '"on"'])
def test_what_kubernetes_reads_as_a_boolean_stays_one(
    word: str, renderer: Renderer, tmp_path: Path
) -> None:
    text = _thing(f"spec: {{a: {word}}}") + "---\n# kept\n" + _pod("nginx:1")
    app = application(text)
    overlay = app.overlay()
    rendering = renderer.render(write_overlay(tmp_path, overlay))
    things = [obj for obj in rendering.objects if obj.identity.kind == "Thing"]
    assert things[0].value["spec"] == app.objects[0].value["spec"]
    base = overlay.files["base/resources/app.yaml"]
    assert (base == text.encode()) == (word in ("'yes'", "nothing", '"on"'))
    assert b"# kept" in base


def test_an_image_outside_the_bundle_is_named() -> None:
    app = application(_pods("nginx:1", "redis:1"))
    with pytest.raises(UnrewrittenImage) as missing:
        app.overlay(relocation_of(app.uses[:1]))
    assert missing.value.details == ("app.yaml#Pod/web-1#spec.containers[0].image: redis:1",)


def test_the_same_application_gives_the_same_bytes() -> None:
    text = _WORKLOADS + "---\n" + str(_CASES["spellings of docker.io"])
    assert application(text).overlay().files == application(text).overlay().files


def test_patches_of_alike_names_get_files_of_their_own() -> None:
    overlay = application(
        _pod(f"a@sha256:{_A}", "x", ", namespace: b-c")
        + "---\n"
        + _pod(f"a@sha256:{_A}", "c-x", ", namespace: b")
    ).overlay()
    patches = sorted(path for path in overlay.files if "/patches/" in path)
    assert patches == [
        "overlays/midstream/patches/pod-b-c-x-2.yaml",
        "overlays/midstream/patches/pod-b-c-x.yaml",
    ]
