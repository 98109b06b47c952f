"""Which kustomizations reach elsewhere or run something when they are built."""

from __future__ import annotations

import pytest

from airgap_bundler.sources.kustomization import refuse_unsafe
from airgap_shared.errors import PluginForbidden, RemoteBaseForbidden, YamlTooDeep
from airgap_shared.kube.objects import ManifestFile


def judge(text: str, *present: str) -> None:
    refuse_unsafe(ManifestFile("kustomization.yaml", text.encode()), lambda path: path in present)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resources: [app.yaml, ../base, ./x/y.yaml, base.d]\n",
        "images: [{name: example.com/team/app, newTag: '6'}]\n",
        "patches: [{path: patch.yaml, target: {kind: Deployment}}]\n",
        'patches: [{patch: "- op: add\\n  path: /x\\n  value: https://example.com/y"}]\n',
        'patchesStrategicMerge: ["apiVersion: v1\\nurl: https://example.com//x"]\n',
        "configMapGenerator: [{name: a, literals: [url=https://example.com]}]\n",
        "generators: []\n",
        "resources: nothing\n",
    ],
)
def test_those_that_only_read_their_own_files_pass(text: str) -> None:
    judge(text)


@pytest.mark.parametrize(
    "text",
    [
        "resources: ['https://example.com/x.yaml']\n",
        "bases: ['git@github.com:team/base.git']\n",
        "components: ['github.com/team/base?ref=v1']\n",
        "patches: [{path: 'http://example.com/p.yaml'}]\n",
        "openapi: {path: 'https://example.com/schema.json'}\n",
        "transformers: ['ssh://example.com/x']\n",
        "resources: ['HTTPS://example.com/x.yaml']\n",
        "---\nresources: [a.yaml]\n---\nresources: ['example.com/team/base']\n",
    ],
)
def test_addresses_are_refused(text: str) -> None:
    with pytest.raises(RemoteBaseForbidden):
        judge(text)


def test_a_path_that_is_there_is_no_address() -> None:
    judge("resources: [example.com/base]\n", "example.com/base")


def test_every_address_is_told() -> None:
    with pytest.raises(RemoteBaseForbidden) as caught:
        judge("resources: ['https://a.example/x']\ncrds: ['https://b.example/y']\n")
    assert caught.value.details == (
        "resources: https://a.example/x",
        "crds: https://b.example/y",
    )


def test_programs_are_refused() -> None:
    with pytest.raises(PluginForbidden) as caught:
        judge("helmCharts: [{name: x}]\nvalidators: [v.yaml]\n")
    assert caught.value.details == ("validators", "helmCharts")


def test_what_cannot_be_read_is_refused_as_such() -> None:
    with pytest.raises(YamlTooDeep):
        judge("x: " + "[" * 100)
