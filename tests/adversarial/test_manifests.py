"""Group D: applications whose files want to do more than be read."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry
from support.hostile import Draft, Key, Member
from support.images import make_image
from support.in_process import run_here
from support.injection import Call, trace
from support.journey import Journey, deployment, images_in, refused, succeeded
from support.judging import judge_cost, judge_failure
from support.vendor import Vendor
from support.victim import Victim

_NAME = "docker.io/team/app:1"
_HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
#: A comment makes every bundle's content its own.
_APP = deployment("web", "team/app:1")


def alias_bomb(levels: int) -> str:
    """A few hundred bytes that would be 9^levels values."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


def merge_bomb(levels: int) -> str:
    """The same by merge keys."""
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 9)}]}}")
    return "\n".join(lines)


class Both:
    """Both sides: somebody who bundles a file, and somebody who is sent it in a signed bundle."""

    def __init__(self, vendor: Vendor, victim: Victim, key: Key) -> None:
        self.vendor = vendor
        self.victim = victim
        self._key = key

    def draft(self, content: str | bytes, name: str = "app.yaml") -> Draft:
        """A signed bundle with this file."""
        draft = Draft.of({_NAME: make_image([b"content"])}, {"app.yaml": _APP, name: "x"})
        number = next(n for n, m in enumerate(draft.members) if m.path.endswith(f"/{name}"))
        raw = content.encode() if isinstance(content, str) else content
        return draft.changed(number, content=raw)

    def refuse(self, content: str | bytes, code: int | tuple[int, ...], *names: str) -> None:
        """Make sure that neither takes it; nothing is asked of any registry."""
        self.vendor.proxy.clear()
        done = refused(self.vendor.create(text=content), code, *names)
        assert "app.yaml" in done.err
        assert not self.vendor.bundle.exists()
        assert self.vendor.proxy.requests() == []
        self.refuse_signed(self.draft(content), code, *names)

    def refuse_signed(self, draft: Draft, code: int | tuple[int, ...], *names: str) -> Finished:
        """Make sure that the receiver refuses a signed bundle, with nothing sent."""
        before = self.victim.scene()
        self.victim.proxy.clear()
        done = refused(self.victim.apply(draft.pack(self._key)), code, *names)
        assert self.victim.proxy.mutations() == []
        judge_failure(done, before, self.victim.scene())
        return done

    def measure(self, content: str | bytes) -> None:
        """Make sure that a refusal costs little (I7)."""
        self.vendor.write(content)
        done = self.vendor.shell.run(*self.vendor.command(), measure=True)
        assert done.code == 14
        judge_cost(done)


@pytest.fixture
def both(vendor: Vendor, victim: Victim, key: Key) -> Both:
    return Both(vendor, victim, key)


class TestD01:
    """Aliases of aliases."""

    @pytest.mark.parametrize("levels", [7, 12, 100])
    def test_are_refused(self, both: Both, levels: int) -> None:
        both.refuse(_HEAD + alias_bomb(levels), 14, "YamlAliasLimit")

    def test_cheaply(self, both: Both) -> None:
        both.measure(_HEAD + alias_bomb(12))


class TestD02:
    """Merge keys of merge keys."""

    @pytest.mark.parametrize("levels", [7, 12])
    def test_are_refused(self, both: Both, levels: int) -> None:
        both.refuse(_HEAD + merge_bomb(levels), 14, "YamlAliasLimit")

    def test_cheaply(self, both: Both) -> None:
        both.measure(_HEAD + merge_bomb(12))


class TestD03:
    """Nesting without end."""

    @pytest.mark.parametrize("depth", [65, 30_000, 1_000_000])
    @pytest.mark.parametrize("opening", ["[", "{a: ", "- "], ids=["lists", "mappings", "blocks"])
    def test_is_refused(self, both: Both, depth: int, opening: str) -> None:
        both.refuse(f"{_HEAD}x:\n  " + opening * depth, 14, "YamlTooDeep")

    def test_is_refused_in_json(self, both: Both) -> None:
        both.refuse('{"apiVersion": ' + "[" * 100_000, 14, "YamlTooDeep")

    @pytest.mark.parametrize("depth", [30_000, 1_000_000])
    def test_cheaply(self, both: Both, depth: int) -> None:
        both.measure(f"{_HEAD}x:\n  " + "[" * depth)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [pwned]",
        "!!python/object/new:os.mkdir [pwned]",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!unknown value",
        "!<tag:example.com,2000:x> value",
        "!!binary aGVsbG8=",
        "!!set {a}",
    ],
)
def test_d04_tags_that_build_something(both: Both, value: str) -> None:
    both.refuse(f"{_HEAD}data:\n  x: {value}\n", 14, "YamlTagUnsupported")
    for folder in (both.vendor.folder, both.victim.folder, Path.cwd()):
        assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    "text",
    [
        _APP.replace("        image:", "        image: team/other:1\n        image:"),
        f"{_HEAD}kind: Secret\n",
        '{"apiVersion": "v1", "kind": "Pod", "kind": "Secret"}',
    ],
)
def test_d05_a_key_that_stands_twice(both: Both, text: str) -> None:
    both.refuse(text, 14, "YamlDuplicateKey")


_REMOTE_BASES = [
    "https://example.com/base.yaml",
    "http://example.com/base.yaml",
    "git@example.com:team/base.git",
    "ssh://git@example.com/team/base",
    "file:///srv/base",
    "git::https://example.com/base",
    "github.com/team/base//deploy?ref=v1",
    "github.com/team/base",
    "example.com/team/base.git",
]
_PLUGINS: Mapping[str, str] = {
    "an executable": "generators: [generator.yaml]\n",
    "a container": "transformers: [transformer.yaml]\n",
    "a validator": "validators: [validator.yaml]\n",
    "a chart": "helmCharts: [{name: x, repo: https://example.com/charts}]\n",
    "an old chart": "helmChartInflationGenerator: [{chartName: x}]\n",
    "definitions": "openapi: {path: schema.json}\n",
    "configurations": "configurations: [names.yaml]\n",
}
_FUNCTION = """apiVersion: example.com/v1
kind: Generator
metadata:
  name: generator
  annotations:
    config.kubernetes.io/function: |
      exec: {path: ./program.sh}
"""


def _kustomization(rest: str, typed: bool = True) -> str:
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" if typed else ""
    return f"{head}{rest}"


class TestD07:
    """Parts of the application that live elsewhere."""

    @pytest.mark.parametrize("base", _REMOTE_BASES)
    def test_are_not_built(self, vendor: Vendor, base: str) -> None:
        vendor.write(_kustomization(f"resources:\n- {base}\n"), "kustomization.yaml")
        done = refused(vendor.create(_NAME), 14, "RemoteBaseForbidden")
        assert base.replace("ssh://git@", "ssh://***@") in done.err
        assert not vendor.bundle.exists()

    @pytest.mark.parametrize("field", ["bases", "components", "crds", "patchesStrategicMerge"])
    def test_are_found_in_every_field(self, vendor: Vendor, field: str) -> None:
        vendor.write(_kustomization(f"{field}: [https://example.com/x]\n"), "kustomization.yaml")
        refused(vendor.create(_NAME), 14, "RemoteBaseForbidden")

    def test_a_folder_that_is_named_like_a_host_is_local(self, vendor: Vendor) -> None:
        vendor.write(_HEAD, "example.com/base/app.yaml")
        rest = "resources: [example.com/base/app.yaml]\n"
        vendor.write(_kustomization(rest), "kustomization.yaml")
        refused(vendor.create(_NAME), 2, "UsageError")

    @pytest.mark.parametrize("typed", [True, False])
    def test_of_a_part_of_the_application_are_left_out(self, vendor: Vendor, typed: bool) -> None:
        """The files of a folder are read as they are; a kustomization among them is not."""
        vendor.push(make_image([b"content"]))
        vendor.write(
            _kustomization("resources: [https://example.com/x]\n", typed), "part/kustomization.yaml"
        )
        succeeded(vendor.create(_NAME))
        paths = [one["path"] for one in vendor.statement()["members"]]
        assert [path for path in paths if "kustomization" in path] == []

    @pytest.mark.parametrize("typed", [True, False])
    def test_of_a_part_that_change_something_are_told(self, vendor: Vendor, typed: bool) -> None:
        vendor.push(make_image([b"content"]))
        vendor.write(deployment("web", _NAME))
        vendor.write(_kustomization("namePrefix: x-\n", typed), "part/kustomization.yaml")
        told = "part/kustomization.yaml: a kustomization inside the folder"
        done = succeeded(vendor.create())
        assert f"warning: skipped {told}" in done.err
        assert "namePrefix: NOT applied" in done.err
        vendor.bundle.unlink()
        strict = refused(vendor.create(options=("--strict",)), 2, "UsageError")
        assert "part/kustomization.yaml: namePrefix: NOT applied" in strict.err
        images = f"images: [{{name: {_NAME.partition(':')[0]}, newTag: '2'}}]\n"
        vendor.write(_kustomization(images, typed), "part/kustomization.yaml")
        refused(vendor.create(), 2, "UsageError")
        assert not vendor.bundle.exists()

    @pytest.mark.parametrize("typed", [True, False])
    @pytest.mark.parametrize("name", ["kustomization.yaml", "part/kustomization.yaml", "k.yaml"])
    def test_that_were_signed_are_not_built(
        self, both: Both, key: Key, name: str, typed: bool
    ) -> None:
        hostile = both.draft(_kustomization(f"resources: [{_REMOTE_BASES[0]}]\n", typed), name)
        _refused_or_local(both, key, hostile)

    @pytest.mark.case("D08")
    def test_nobody_is_asked_and_nothing_is_run(
        self, vendor: Vendor, victim: Victim, key: Key
    ) -> None:
        """The system calls of both commands: every process and every connection."""
        rest = "resources: [https://example.com/x]\ngenerators: [generator.yaml]\n"
        for folder in ("", "part/"):
            vendor.write(_kustomization(rest), f"{folder}kustomization.yaml")
            vendor.write(_FUNCTION, f"{folder}generator.yaml")
            vendor.write("#!/bin/sh\ntouch pwned\n", f"{folder}program.sh")
        refused_run = trace(vendor.shell, vendor.command(), "execve,connect")
        refused(refused_run.done, 14, "RemoteBaseForbidden")
        _assert_quiet(refused_run.calls, set())

        (vendor.folder / "app" / "kustomization.yaml").unlink()
        (vendor.folder / "app" / "generator.yaml").unlink()
        vendor.push(make_image([b"content"]))
        vendor.write(_APP)
        made = trace(vendor.shell, vendor.command(), "execve,connect")
        succeeded(made.done)
        _assert_quiet(made.calls, {vendor.proxy.host})

        files = {
            "app.yaml": _APP,
            "generator.yaml": _FUNCTION,
            "part/kustomization.yaml": _kustomization(rest, typed=False),
        }
        draft = Draft.of({_NAME: make_image([b"content"])}, files)
        # Without kubectl, whose own habits are not ours to judge: then nothing at all is started.
        shell = Shell(victim.folder, {"PATH": "/nonexistent"})
        (victim.folder / "received.tar.zst").write_bytes(draft.pack(key))
        command = (
            "airgap-import",
            "apply",
            "received.tar.zst",
            "--key",
            "vendor.pub",
            "--registry-endpoint",
            victim.proxy.host,
            "--plain-http",
            "--image-namespace",
            "d07",
            "--output",
            "deploy",
        )
        applied = trace(shell, command, "execve,connect")
        succeeded(applied.done)
        _assert_quiet(applied.calls, {victim.proxy.host})
        for place in (vendor.folder, victim.folder):
            assert not list(place.rglob("pwned"))


_PROGRAM = re.compile(r'"([^"]+)".* = 0$')
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?"([0-9a-f.:]+)"')


def _assert_quiet(calls: Sequence[Call], hosts: set[str]) -> None:
    """Nothing was started but Python; nobody was asked but these hosts."""
    programs = {
        Path(match[1]).name
        for call in calls
        if call.name == "execve" and (match := _PROGRAM.match(call.rest))
    }
    assert {one for one in programs if not one.startswith("python")} == set()
    asked = {
        f"{match[2]}:{match[1]}"
        for call in calls
        if call.name == "connect" and (match := _ADDRESS.search(call.rest))
    }
    assert asked <= hosts, "connections were opened"
    assert asked == hosts, "the trace saw nothing"


class TestD08:
    """Kustomizations that run programs when they are built."""

    @pytest.mark.parametrize("plugin", _PLUGINS)
    @pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
    def test_are_not_built(self, vendor: Vendor, plugin: str, name: str) -> None:
        vendor.write(_kustomization(_PLUGINS[plugin]), name)
        refused(vendor.create(_NAME), 14, "PluginForbidden")
        assert not vendor.bundle.exists()

    @pytest.mark.parametrize("plugin", _PLUGINS)
    @pytest.mark.parametrize("typed", [True, False])
    def test_that_were_signed_are_not_built(
        self, both: Both, key: Key, plugin: str, typed: bool
    ) -> None:
        hostile = both.draft(_kustomization(_PLUGINS[plugin], typed), "kustomization.yaml")
        _refused_or_local(both, key, hostile)

    def test_functions_among_the_objects_are_objects(self, both: Both, key: Key) -> None:
        _refused_or_local(both, key, both.draft(_FUNCTION, "generator.yaml"))


def _refused_or_local(both: Both, key: Key, hostile: Draft) -> None:
    """A signed kustomization is refused, or carried as a file that nothing builds."""
    before = both.victim.scene()
    done = both.victim.apply(hostile.pack(key))
    if done.code:
        refused(done, 14, "OverlayRefused", "RemoteBaseForbidden", "PluginForbidden")
        judge_failure(done, before, both.victim.scene(), hostile.digests, late=True)
    else:
        _assert_own(both.victim.folder / "deploy", both.victim.proxy.host)


def _assert_own(overlay: Path, host: str) -> None:
    """What is to be deployed names the private registry by digest, and local paths (D13)."""
    for path in overlay.rglob("kustomization.yaml"):
        if path.is_relative_to(overlay / "upstream"):
            continue
        document = yaml.safe_load(path.read_text())
        assert set(document) <= _OWN_FIELDS, path
        for entry in _paths_in(document):
            assert not re.search(r"://|git@|\?|^/", entry), f"{path}: {entry}"
            assert (path.parent / entry).resolve().is_relative_to(overlay.resolve()), entry
            assert (path.parent / entry).exists(), f"{path}: {entry}"
    rendered = subprocess.run(
        ["kubectl", "kustomize", overlay / "overlays" / "midstream"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    images = images_in(rendered)
    assert images
    assert [one for one in images if not re.fullmatch(_private(host), one)] == []


def _private(host: str) -> str:
    return rf"{re.escape(host)}/[a-z0-9./_-]+(:[\w.-]+)?@sha256:[0-9a-f]{{64}}"


_OWN_FIELDS = {
    *("apiVersion", "kind", "resources", "images", "patches", "bases"),
    *("patchesStrategicMerge", "patchesJson6902", "components"),
}


def _paths_in(document: Mapping[str, Any]) -> Iterator[str]:
    for field in _OWN_FIELDS - {"apiVersion", "kind", "images"}:
        for entry in document.get(field, ()):
            path = entry.get("path") if isinstance(entry, dict) else entry
            if path is not None and "\n" not in path:
                yield path


class TestD10:
    """References that are none."""

    @pytest.mark.parametrize(
        "reference",
        [
            "user:pw@h/a",
            "team/../a:1",
            "team/%2e%2e/a:1",
            "team/a?x=1",
            "team/a#x",
            "team/a:1\r\nHost: evil",
            "team/" + "a" * 300,
            "team/\u0430pp:1",
            "host:99999/a:1",
            "team/a@sha256:1234",
            "-option",
            "team/app:" + "t" * 129,
            "a" * 64,
            "",
            " team/app:1",
        ],
    )
    @pytest.mark.parametrize("where", ["option", "file", "manifest"])
    def test_is_never_asked_for(self, vendor: Vendor, reference: str, where: str) -> None:
        if where == "manifest":
            done = vendor.create(text=deployment("web", reference))
        else:
            (vendor.folder / "images.txt").write_text(reference, newline="")
            given = ("--image", reference) if where == "option" else ("--images-file", "images.txt")
            done = run_here(
                vendor.folder,
                *("airgap-bundle", "create", *given, "--name", "shop", "--version", "1"),
                *("--key", "vendor.key", "--output", "shop.tar.zst"),
                *("--mirror", f"*={vendor.proxy.host}", "--plain-http", vendor.proxy.host),
            )
        if where == "file" and reference.strip() in ("", "team/app:1"):
            return
        if where in ("option", "file"):
            refused(done, (2, 14), "ImageReferenceInvalid", "UsageError")
        elif reference:
            refused(done, 14, "ImageReferenceInvalid")
        assert vendor.proxy.requests("GET", "/manifests/") == []


class TestD12:
    """Images outside of the fields that Kubernetes has for them."""

    text = f"""{_HEAD}---
apiVersion: example.com/v1
kind: Database
metadata:
  name: db
  annotations:
    example.com/sidecar: quay.io/acme/annotated:1.0.1
spec:
  engine: registry.example.com/acme/engine:2.0.1
  backup: {{image: "quay.io/acme/backup:$(tag)"}}
---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
  - name: c
    image: team/app:1
    env:
    - {{name: HELPER, value: "quay.io/acme/from-env:3.0.1"}}
    - {{name: PROXY_IMAGE, value: "${{PROXY}}"}}
    args: ["--agent=quay.io/acme/from-args:4.0.1"]
"""
    found = (
        *("quay.io/acme/annotated:1.0.1", "registry.example.com/acme/engine:2.0.1"),
        *("quay.io/acme/from-env:3.0.1", "quay.io/acme/from-args:4.0.1"),
    )

    def test_are_found_or_listed_when_strict(self, vendor: Vendor) -> None:
        vendor.write(self.text)
        listing = ("airgap-bundle", "discover", "app", "--format", "json")
        document = json.loads(succeeded(run_here(vendor.folder, *listing)).out)
        undecided = {one["reference"] for one in document["undecided"]}
        assert set(self.found) <= {one["reference"] for one in document["images"]}
        assert {"quay.io/acme/backup:$(tag)", "${PROXY}"} <= undecided

        done = refused(vendor.create(options=("--strict",)), 14, "UndecidedImages")

        assert undecided == {text for text in undecided if text in done.err}
        assert vendor.proxy.requests() == []
        assert not vendor.bundle.exists()

    def test_are_all_rewritten(self, journey: Journey) -> None:
        journey.write(self.text)
        for name in (*self.found, "team/app:1"):
            journey.push(name, make_image([name.encode()]))
        succeeded(journey.create())
        succeeded(journey.apply())
        rendered = journey.rendered()
        assert [name for name in self.found if f" {name}" in rendered] == []
        for name in self.found:
            assert make_image([name.encode()]).digest in rendered

    def test_that_the_receiver_could_not_rewrite_are_all_told(self, both: Both, key: Key) -> None:
        """A signed bundle that lacks the images its files use is refused by name of each."""
        draft = both.draft(self.text)
        done = both.refuse_signed(draft, 14, "UnrewrittenImage")
        assert {name for name in self.found if name in done.err} == set(self.found)


def test_d13_the_overlay_is_local_and_by_digest(victim: Victim, key: Key) -> None:
    draft = Draft.of(
        {_NAME: make_image([b"content"]), "quay.io/team/other:2": make_image([b"other"])},
        {
            "app.yaml": _APP,
            "sub/more.yaml": deployment("more", "quay.io/team/other:2", "team/app:1"),
        },
    )
    succeeded(victim.apply(draft.pack(key)))
    _assert_own(victim.folder / "deploy", victim.proxy.host)


class TestD14:
    """Much of everything."""

    @pytest.mark.parametrize("count", [1_000, 100_000])
    def test_many_documents(self, vendor: Vendor, count: int) -> None:
        text = "".join(
            f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\n"
            for n in range(count)
        )
        vendor.write(text)
        done = vendor.shell.run(*vendor.command(), measure=True)
        if done.code:
            refused(done, 14, "LimitExceeded")
        judge_cost(done)
        assert done.code == 0 or count > 1_000

    def test_binary_data(self, vendor: Vendor, registry: DockerRegistry) -> None:
        data = base64.b64encode(bytes(range(256)) * 4096).decode()
        vendor.write(f"{_HEAD}binaryData:\n  blob: {data}\n")
        done = succeeded(vendor.shell.run(*vendor.command(), measure=True))
        judge_cost(done)
        applied = vendor.shell.run(
            *("airgap-import", "apply", "shop.tar.zst", "--key", "vendor.pub", "--plain-http"),
            *("--registry-endpoint", registry.host, "--image-namespace", "d14"),
            *("--output", "deploy"),
            measure=True,
        )
        judge_cost(succeeded(applied))
        base = (vendor.folder / "deploy" / "base").rglob("app.yaml")
        assert any(data in path.read_text() for path in base)


class TestD15:
    """Bytes that are not plain UTF-8."""

    @pytest.mark.parametrize(
        "content",
        [
            _APP.encode("utf-16"),
            _APP.encode("utf-16-le"),
            _APP.encode("utf-32"),
            _APP.encode() + b"# caf\xe9\n",
            _APP.encode() + b"# \xed\xa0\x80\n",
            _APP.encode() + b"# \xc0\xaf\n",
            _APP.encode() + b"---\x00\n",
            _APP.encode() + b"# \x07\n",
        ],
        ids=["utf-16", "utf-16-le", "utf-32", "latin-1", "surrogate", "overlong", "nul", "bell"],
    )
    def test_is_never_half_read(self, both: Both, content: bytes) -> None:
        both.refuse(content, 14, "TextEncodingInvalid")

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbf" + _APP.encode(),
            _APP.replace("\n", "\r\n").encode(),
            _APP.replace("\n", "\r").encode(),
            _APP.encode() + "# caf\u00e9 \U0001f600\n".encode(),
        ],
        ids=["mark", "crlf", "cr", "beyond ascii"],
    )
    def test_is_read_whole(self, victim: Victim, key: Key, content: bytes) -> None:
        draft = Draft.of({_NAME: make_image([b"content"])}, {"app.yaml": "x"})
        number = next(n for n, m in enumerate(draft.members) if m.role == "application")
        succeeded(victim.apply(draft.changed(number, content=content).pack(key)))
        _assert_own(victim.folder / "deploy", victim.proxy.host)


@pytest.mark.parametrize(
    "rules",
    [b"format: 2\n", b"- x\n", b"{", b"format: 1\nfields: [{path: '['}]\n", b"\xff", b"a: \x07"],
)
def test_rules_that_no_create_has_bundled_are_the_senders(
    both: Both, key: Key, rules: bytes
) -> None:
    draft = Draft.of({_NAME: make_image([b"content"])}, {"app.yaml": _APP})
    carried = Member("application/rules.yaml", rules, "rules")
    draft = replace(draft, members=(*draft.members[:2], carried, *draft.members[2:]))
    done = both.refuse_signed(draft, 14, "DocumentInvalid", "TextEncodingInvalid")
    assert "application/rules.yaml" in done.err
    assert "docs/rules.md" not in done.err


_EVERYWHERE = """apiVersion: v1
kind: List
items:
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: cron}
  spec:
    schedule: "* * * * *"
    jobTemplate:
      spec:
        template:
          spec:
            restartPolicy: Never
            initContainers: [{name: i, image: "team/a:1"}]
            containers: [{name: c, image: "team/b:1"}]
- apiVersion: v1
  kind: Pod
  metadata: {name: pod}
  spec:
    initContainers: [{name: i, image: "team/c:1"}]
    containers: [{name: c, image: "team/d:1"}]
    ephemeralContainers: [{name: e, image: "team/e:1"}]
---
apiVersion: apps/v1
kind: DeploymentList
items:
- metadata: {name: listed}
  spec:
    selector: {matchLabels: {app: listed}}
    template:
      metadata: {labels: {app: listed}}
      spec: {containers: [{name: c, image: "team/f:1"}]}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: template}
template:
  spec: {containers: [{name: c, image: "team/g:1"}]}
"""


def test_d16_every_kind_of_container_is_rewritten(victim: Victim, key: Key) -> None:
    images = {f"docker.io/team/{letter}:1": make_image([letter.encode()]) for letter in "abcdefg"}
    draft = Draft.of(images, {"app.yaml": _EVERYWHERE})
    succeeded(victim.apply(draft.pack(key)))
    overlay = victim.folder / "deploy"
    _assert_own(overlay, victim.proxy.host)
    rendered = subprocess.run(
        ["kubectl", "kustomize", overlay / "overlays" / "midstream"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {one.partition("@")[2] for one in images_in(rendered)} == {
        image.digest for image in images.values()
    }


class TestD17:
    """An application with an images transformer of its own."""

    transformer = "images: [{name: team/app, newName: evil.example.com/app, newTag: '6'}]\n"

    def test_beside_its_files(self, journey: Journey) -> None:
        """Files alone would deploy another image than the sender's own kustomize does."""
        journey.push("team/app:1", make_image([b"content"]))
        journey.write(_APP, "part/app.yaml")
        journey.write(
            _kustomization(f"resources: [app.yaml]\n{self.transformer}"), "part/kustomization.yaml"
        )
        done = refused(journey.create(), 2, "UsageError")
        assert "part/kustomization.yaml" in done.err
        assert "render it first" in done.err

    def test_rendered_before(self, journey: Journey) -> None:
        """As create advises for a kustomization: what it comes to is what is bundled."""
        source = journey.folder / "source"
        source.mkdir()
        (source / "app.yaml").write_text(_APP)
        rest = (
            "resources: [app.yaml]\nimages: [{name: team/app, newName: team/other, newTag: '6'}]\n"
        )
        (source / "kustomization.yaml").write_text(_kustomization(rest))
        rendered = subprocess.run(
            ["kubectl", "kustomize", source], capture_output=True, text=True, check=True
        ).stdout
        journey.write(rendered)
        journey.push("team/other:6", make_image([b"other"]))
        succeeded(journey.create())
        succeeded(journey.apply())
        _assert_own(journey.overlay, journey.target)

    def test_signed_as_an_object(self, both: Both, key: Key) -> None:
        hostile = both.draft(_kustomization(self.transformer), "kustomization.yaml")
        _refused_or_local(both, key, hostile)


_PASTED = "a'; touch pwned; echo '$(touch pwned)`touch pwned`"
_INJECTED = "x\nimage: {repository: evil}\n# '\"]\n[[registry]]"
_SPLIT = {"repository": "docker.io/team/app", "tag": "1"}


class TestD18:
    """Names and values that would be more than text where they are shown or written."""

    @pytest.fixture
    def applied(self, victim: Victim, key: Key) -> Finished:
        pod = {"containers": [{"name": "c", "image": "team/app:1"}]}
        objects: list[dict[str, object]] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "a", "namespace": _PASTED},
                "spec": pod,
            },
            {
                "apiVersion": "example.com/v1",
                "kind": "Thing",
                "metadata": {"name": "t"},
                "spec": {_INJECTED: {"image": _SPLIT}},
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "c"},
                "data": {f"{_INJECTED}.yaml": json.dumps({_INJECTED: {"image": _SPLIT}})},
            },
        ]
        draft = Draft.of(
            {_NAME: make_image([b"content"])},
            {"app.yaml": "\n---\n".join(map(json.dumps, objects))},
        )
        options = ("--pull-secret", "regcred", "--mirror-config", "all")
        return succeeded(victim.apply(draft.pack(key), *options))

    def test_a_pasted_command_runs_kubectl_alone(self, applied: Finished, victim: Victim) -> None:
        (line,) = [line for line in applied.out.splitlines() if "kubectl create secret" in line]
        shell = subprocess.run(
            ["sh", "-c", f"kubectl() {{ printf '%s\\n' \"$@\"; }}\n{line}"],
            cwd=victim.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (shell.returncode, shell.stderr) == (0, "")
        assert f"--namespace={_PASTED}" in shell.stdout.splitlines()
        assert not (victim.folder / "pwned").exists()

    def test_mirror_files_hold_names_alone(self, applied: Finished, victim: Victim) -> None:
        folder = victim.folder / "deploy" / ".airgap" / "mirrors"
        conf = tomllib.loads((folder / "crio" / "registries.conf").read_text())
        assert [entry["prefix"] for entry in conf["registry"]] == ["docker.io/team/app"]
        values = sorted((folder / "helm-values").iterdir())
        assert len(values) == 2
        for file in values:
            found = yaml.safe_load(file.read_text())
            assert list(found) == [_INJECTED]
            assert found[_INJECTED]["image"]["repository"].startswith(victim.proxy.host)
