from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap_shared.errors import ManifestSourceInvalid
from airgap_shared.kube.documents import load_manifest, load_objects
from airgap_shared.kube.objects import KubeObject, ManifestFile, ObjectIdentity


def load(text: str) -> tuple[KubeObject, ...]:
    return load_objects(ManifestFile("app.yaml", text.encode()))


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns}\n"


def test_objects_know_file_document_and_identity() -> None:
    objects = load(f"# header\n---\n---\n{POD}---\napiVersion: apps/v1\nkind: Deployment\n")
    assert [(o.file, o.document, o.item, o.identity) for o in objects] == [
        ("app.yaml", 1, (), ObjectIdentity("v1", "Pod", "a", "ns")),
        ("app.yaml", 2, (), ObjectIdentity("apps/v1", "Deployment")),
    ]
    assert str(objects[0]) == "app.yaml#Pod/a"


def test_lists_are_expanded_with_positions() -> None:
    objects = load(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
        "- apiVersion: v1\n  kind: List\n  items:\n"
        "  - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n"
        "  - {apiVersion: v1, kind: Pod, metadata: {generateName: c-}}\n"
    )
    assert [(o.item, o.identity.name) for o in objects] == [
        ((0,), "a"),
        ((1, 0), "b"),
        ((1, 1), ""),
    ]


def test_items_of_typed_lists_have_the_kind_that_the_list_implies() -> None:
    objects = load(
        "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n"
        "- metadata: {name: a}\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n"
    )
    assert [(o.item, o.identity) for o in objects] == [
        ((0,), ObjectIdentity("apps/v1", "Deployment", "a")),
        ((1,), ObjectIdentity("apps/v1", "Deployment", "b")),
    ]


@pytest.mark.parametrize("items", ["", "items: []\n", "items:\n"])
def test_an_empty_list_has_no_objects(items: str) -> None:
    assert load(f"apiVersion: v1\nkind: List\n{items}") == ()


def test_a_kind_that_only_sounds_like_a_list_is_an_object() -> None:
    (found,) = load("apiVersion: a.example/v1\nkind: AllowList\nspec: {}\n")
    assert found.identity.kind == "AllowList"


@pytest.mark.parametrize("item", ["1", "null", "{kind: Pod}", "{apiVersion: v1}", "[]"])
def test_an_item_that_is_no_object_is_refused(item: str) -> None:
    with pytest.raises(ManifestSourceInvalid) as caught:
        load(f"apiVersion: v1\nkind: List\nitems: [{item}]\n")
    assert "items[0]" in caught.value.where


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image: nginx", "no apiVersion and no kind"),
        ("apiVersion: v2\nname: chart", "no kind"),
        ("kind: Pod", "no apiVersion"),
        ("apiVersion: 1\nkind: Pod", "no apiVersion"),
        ("- a", "not a mapping"),
        ("hello", "not a mapping"),
    ],
)
def test_other_documents_are_named_with_their_reason(text: str, reason: str) -> None:
    manifest = load_manifest(ManifestFile("app.yaml", f"{POD}---\n{text}\n".encode()))
    assert len(manifest.objects) == 1
    (other,) = manifest.others
    assert (other.document, other.line, other.reason) == (1, 4, reason)


def test_crlf_bom_and_json_are_read_alike() -> None:
    as_json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}
    (expected,) = load(POD)
    for content in (
        POD.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + POD.encode(),
        json.dumps(as_json).encode(),
        json.dumps(as_json, indent=1).replace("\n", "\r\n").encode(),
    ):
        (found,) = load_objects(ManifestFile("app.yaml", content))
        assert found == expected
        assert found.value == expected.value


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
IDENTITIES = st.builds(
    ObjectIdentity,
    st.from_regex(r"([a-z]{1,10}\.[a-z]{2,5}/)?v[1-9](beta[1-9])?", fullmatch=True),
    st.from_regex(r"[A-Z][A-Za-z]{0,10}[a-su-z]", fullmatch=True),
    NAMES,
    NAMES,
)


@settings(deadline=None)
@given(st.lists(IDENTITIES, max_size=6), st.booleans())
def test_identities_survive_the_writing_and_reading(
    identities: list[ObjectIdentity], as_list: bool
) -> None:
    objects = [
        {
            "apiVersion": identity.api_version,
            "kind": identity.kind,
            "metadata": {"name": identity.name, "namespace": identity.namespace},
        }
        for identity in identities
    ]
    if as_list:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        text = "\n---\n".join(json.dumps(obj, indent=2) for obj in objects)
    found = load(text)
    assert [obj.identity for obj in found] == identities
    assert [obj.item for obj in found] == [
        (position,) if as_list else () for position in range(len(identities))
    ]
