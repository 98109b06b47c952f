"""Targets of the Kubernetes vocabulary: YAML, objects, images in them, rules."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from airgap_shared.kube.documents import load_manifest, load_objects
from airgap_shared.kube.embedded import read_base64
from airgap_shared.kube.imagefields import find_images
from airgap_shared.kube.imagetokens import read_reference
from airgap_shared.kube.objects import ManifestFile
from airgap_shared.kube.replacing import value_at
from airgap_shared.kube.rulesfile import parse_rules
from airgap_shared.kube.scalartokens import ScalarToken, TokenTree
from airgap_shared.kube.uses import Embedded, Encoded, ImageUse, Span, Verdict
from airgap_shared.kube.yamlscalars import scalar_text
from airgap_shared.kube.yamltext import DEPTH_LIMIT, NODE_LIMIT, read_documents, read_text
from fuzz.target import Target
from support.expected import expected_after, found_after
from support.garbling import Garbler
from support.overlays import application

_DEMO = Path(__file__).resolve().parents[2] / "demo" / "app"
_DIGEST = "sha256:" + "d" * 64
_INNER = (
    "image: team/app:1.2\nargs: [--sidecar=quay.io/a/b:2]\nimage2: 'x.io/y/z@" + _DIGEST + "'\n"
)


def _feed_yaml(data: bytes) -> None:
    text = read_text(data, "file")
    documents = read_documents(text, "file")
    tree = TokenTree(text)
    for document in documents:
        count, deepest = _measure(document.value)
        assert count <= NODE_LIMIT and deepest <= DEPTH_LIMIT
        _check_tokens(text, tree, document.index, document.value, ())


def _measure(value: object) -> tuple[int, int]:
    """Distinct nodes and levels."""
    seen: set[int] = set()
    level, deepest = [value], 0
    while level:
        below: list[object] = []
        for one in level:
            if id(one) not in seen and isinstance(one, dict | list):
                seen.add(id(one))
                below += one.values() if isinstance(one, dict) else one
        level, deepest = below, deepest + 1
    return len(seen), deepest - 1


def _check_tokens(
    text: str, tree: TokenTree, document: int, value: object, path: tuple[str | int, ...]
) -> None:
    """A scalar's token stands in the text, and says what the scalar says."""
    if isinstance(value, dict) and len(path) < 4:
        for key, child in list(value.items())[:8]:
            _check_tokens(text, tree, document, child, (*path, key))
    elif isinstance(value, list) and len(path) < 4:
        for position, child in enumerate(value[:8]):
            _check_tokens(text, tree, document, child, (*path, position))
    elif isinstance(token := tree.token(document, path), ScalarToken):
        assert 0 <= token.span.start <= token.span.end <= len(text)
        assert scalar_text(token.value) == scalar_text(value), (path, token)


def _yaml_texts() -> Iterator[bytes]:
    yield b"a: &x [1, 0x10, 010, 1.10, yes, ~, 1_000]\nb: *x\nc: {<<: {d: e}, f: 'g''h'}\n"
    yield b'---\n"a\\u00e9\\n\\x41": |-\n  text\n   more\n...\n---\n? k\n: >+\n  folded\n  text\n\n'
    yield b"%YAML 1.1\n--- !!map\n!!str a: !!int '1'\n# comment\nb: !!binary aGk=\n"
    yield b'{"a": [1, 2.5e3, null, "\\ud83d\\ude00", {"b": true}]}\n{"c": []}\n'
    yield b"a: [[[[[[[[[[1]]]]]]]]]]\n\xef\xbb\xbf\r\nb:\r\n- c\r\n"
    yield from (path.read_bytes() for path in sorted(_DEMO.glob("*.yaml")))


def _feed_documents(data: bytes) -> None:
    manifest = load_manifest(ManifestFile("app.yaml", data))
    for obj in manifest.objects:
        assert obj.identity.kind and obj.identity.api_version
        assert obj.file == "app.yaml"


def _feed_images(data: bytes) -> None:
    """Whatever is found is what is there, and an image is a reference."""
    for obj in load_objects(ManifestFile("app.yaml", data)):
        for use in find_images(obj):
            assert use.reason
            if use.verdict is Verdict.IMAGE and not use.pieces:
                assert read_reference(use.text) is not None
                _check_place(scalar_text(value_at(obj.value, use.path)), use)


def _check_place(text: str | None, use: ImageUse) -> None:
    """The way to a use leads to its text."""
    for step in use.inside:
        assert text is not None
        match step:
            case Span(start, end):
                text = text[start:end]
            case Encoded():
                text = read_base64(text)
            case Embedded(document, path):
                documents = read_documents(text, "embedded")
                text = scalar_text(value_at(documents[document].value, path))
    assert text == use.text, use


def _feed_rewriting(data: bytes) -> None:
    """After rewriting, the search finds the target where it found the image, and nothing else."""
    app = application({"app.yaml": data})
    overlay = app.overlay()
    assert found_after(overlay) == expected_after(overlay, app.uses)


def _applications() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted(_DEMO.glob("*.yaml")))
    yield from (json.dumps(one).encode() for one in _objects())
    yield ("---\n".join(json.dumps(one) + "\n" for one in _objects())).encode()


def _objects() -> Iterator[dict[str, object]]:
    pod = {"containers": [{"name": "a", "image": "nginx:1", "args": ["--image=reg.io/a/b:2"]}]}
    yield _object("v1", "Pod", spec=pod)
    yield _object("apps/v1", "Deployment", spec={"template": {"spec": {**pod, "volumes": [{}]}}})
    yield _object(
        "v1",
        "ConfigMap",
        data={
            "c.yaml": _INNER,
            "e": "a/b:1; docker run 'b/c:2' x",
            "j": json.dumps({"image": "a.io/b/c:1"}),
        },
    )
    secret = base64.b64encode(_INNER.encode()).decode()
    yield _object("v1", "Secret", data={"c.yaml": secret})
    split = {"image": {"registry": "quay.io", "repository": "a/b", "tag": "1", "digest": _DIGEST}}
    yield _object("example.com/v1", "Thing", spec={**split, "agent": {"image": "x/y", "tag": 1.1}})
    yield _object("v1", "List", items=[_object("v1", "Pod", spec=pod)])


def _object(version: str, kind: str, **body: object) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **body}


def _other_object(data: bytes, random: Random, garble: Callable[[bytes], bytes]) -> bytes:
    """A document with another value in it somewhere, or just other bytes."""
    if random.random() < 0.5:
        return garble(data)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return garble(data)
    return json.dumps(Garbler(random).json_like(value)).encode()


_RULES = b"""format: 1
images: [rhel, {image: 'a/b:1', reason: why}]
ignore: [{text: 'nginx:1', reason: no}, {place: 'app.yaml: v1/Pod', reason: no}]
fields: [{path: 'spec.engine[].img', kind: Thing, group: example.com}, {path: 'spec.**.img'}]
split: [{repository: 'spec.m.*.where', name: 'spec.m.*.what', tag: "spec['a.b'][0]"}]
"""


def _feed_rules(data: bytes) -> None:
    """Rules that are taken can be used."""
    rules = parse_rules(data, "rules.yaml")
    for one in _objects():
        for obj in load_objects(ManifestFile("app.yaml", json.dumps(one).encode())):
            for use in find_images(obj, rules):
                assert use.reason


def _rules() -> Iterator[bytes]:
    yield _RULES
    yield b"format: 1\n"
    yield b'{"format":1,"fields":[{"path":"a.b[].c.*[3]"}],"ignore":[{"place":"x","reason":"y"}]}'


_YAML = (*(b"- ", b": ", b"|-", b">+", b"&a ", b"*a", b"<<: ", b"!!", b"---\n", b"{", b"}"),)
_WORDS = (
    *(b"image", b"apiVersion", b"kind", b"metadata", b"spec", b"containers", b"initContainers"),
    *(b"ephemeralContainers", b"template", b"registry", b"repository", b"tag", b"digest", b"List"),
    *(b"items", b"data", b"stringData", b"env", b"value", b"args", b"command", b"annotations"),
    *(b"nginx:1.10", b"quay.io/a/b@", b"$(IMAGE)", b"{{ .x }}", b"${X}", b"status", b"schema"),
    *(b"ConfigMap", b"Secret", b"CronJob", b"Pod", b"CustomResourceDefinition", b"generateName"),
    *(b"hub", b"version", b"imageRegistry", b"docker://", b"default", b"labels", b"url"),
)
#: Some 2,000 images in one text, each searched for, rewritten and searched for again.
_LONGEST = 1 << 14
_RULE_WORDS = (b"images", b"ignore", b"fields", b"split", b"path", b"place", b"**", b"[]", b"['a']")

TARGETS = {
    "yaml": Target(_feed_yaml, _yaml_texts, _YAML),
    "documents": Target(_feed_documents, _applications, _YAML + _WORDS, _other_object),
    "find-images": Target(_feed_images, _applications, _YAML + _WORDS, _other_object, _LONGEST),
    "rewriting": Target(_feed_rewriting, _applications, _YAML + _WORDS, _other_object, _LONGEST),
    "rules-file": Target(_feed_rules, _rules, _YAML + _RULE_WORDS, _other_object, _LONGEST),
}
