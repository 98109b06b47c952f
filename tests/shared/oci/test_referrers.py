from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import ReferrersTagConflict
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.manifest import MANIFEST_LIMIT, Index, Manifest, parse_manifest
from airgap_shared.oci.reference import is_valid_tag
from airgap_shared.oci.referrers import ReferrersList, referrers_tag
from support.images import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    ImageStyle,
    make_artifact,
    make_image,
    make_index,
    platform_index,
)

SUBJECT = make_image([b"subject"])
TYPE = "application/vnd.example.sbom"
WHERE = "app:sha256-x"
EMPTY = ReferrersList.empty(WHERE)
FULL = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def parsed(image: BuiltImage) -> Manifest | Index:
    return parse_manifest(image.raw, image.media_type)


def artifact(content: bytes = b"sbom") -> Manifest | Index:
    return parsed(make_artifact(content, TYPE, SUBJECT))


def with_fields(image: BuiltImage, **fields: object) -> Manifest | Index:
    raw = json.dumps({**image.document, **fields}).encode()
    return parsed(replace(image, raw=raw))


def entries(raw: bytes) -> list[dict[str, object]]:
    found = json.loads(raw)["manifests"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_tag_spells_the_subject(algorithm: str) -> None:
    length = {"sha256": 64, "sha512": 128}[algorithm]
    tag = referrers_tag(Digest(algorithm, "ab" * (length // 2)))
    assert tag == f"{algorithm}-{'ab' * 32}"
    assert is_valid_tag(tag)


def test_a_new_list_is_an_index_of_what_refers() -> None:
    made = artifact()
    raw = EMPTY.extended([made])
    assert json.loads(raw) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": str(made.digest),
                "size": len(made.raw),
                "artifactType": TYPE,
            }
        ],
    }
    assert isinstance(parse_manifest(raw, OCI_INDEX), Index)


@pytest.mark.parametrize("missing", [{}, {"artifactType": ""}, {"artifactType": None}])
def test_an_image_is_of_the_type_of_its_config(missing: dict[str, object]) -> None:
    (entry,) = entries(EMPTY.extended([with_fields(SUBJECT, **missing)]))
    assert entry["artifactType"] == OCI_CONFIG


def test_an_index_has_the_type_that_it_tells_or_none() -> None:
    index = make_index([SUBJECT])
    plain, typed = parsed(index), with_fields(index, artifactType=TYPE)
    found = entries(EMPTY.extended([plain, typed]))
    assert [entry.get("artifactType") for entry in found] == [None, TYPE]
    assert {entry["mediaType"] for entry in found} == {OCI_INDEX}


def test_annotations_are_copied() -> None:
    notes = {"org.example.note": "für später"}
    for image in (make_artifact(b"sbom", TYPE, SUBJECT), make_index([SUBJECT])):
        (entry,) = entries(EMPTY.extended([with_fields(image, annotations=notes)]))
        assert entry["annotations"] == notes


def test_what_others_entered_and_added_stays() -> None:
    theirs = {
        "mediaType": "a/b",
        "digest": "blake3:00",
        "size": 1,
        "data": "",
        "own": [1, {"a": 2}],
    }
    document = {"annotations": {"a": "b"}, **FULL, "manifests": [theirs], "own": 1.5}
    raw = ReferrersList.parse(json.dumps(document).encode(), OCI_INDEX, WHERE).extended(
        [artifact()]
    )
    found = json.loads(raw)
    assert found["manifests"][0] == theirs
    assert len(found.pop("manifests")) == 2
    assert found == {key: value for key, value in document.items() if key != "manifests"}


def test_a_list_that_does_not_tell_its_type_tells_it_after() -> None:
    raw = ReferrersList.parse(b'{"schemaVersion":2,"manifests":[]}', OCI_INDEX, WHERE).extended([])
    assert json.loads(raw) == FULL


@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), max_size=12))
def test_everything_is_listed_once_and_in_order(first: list[int], second: list[int]) -> None:
    made = [artifact(str(number).encode()) for number in range(10)]
    wanted = [made[number] for number in dict.fromkeys([*first, *second])]
    raw = EMPTY.extended([made[number] for number in dict.fromkeys(first)])
    listed = ReferrersList.parse(raw, OCI_INDEX, WHERE)
    again = listed.extended([made[number] for number in dict.fromkeys(second)])
    assert [entry["digest"] for entry in entries(again)] == [str(one.digest) for one in wanted]
    whole = ReferrersList.parse(again, OCI_INDEX, WHERE)
    assert whole.lacking(wanted) == ()
    assert whole.extended(wanted) == again


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (SUBJECT.raw, OCI_MANIFEST),
        (SUBJECT.raw, ""),
        (platform_index("app", "linux/amd64", style=ImageStyle(docker=True)).raw, DOCKER_LIST),
        (json.dumps({**FULL, "mediaType": DOCKER_LIST}).encode(), OCI_INDEX),
        (json.dumps({**FULL, "layers": []}).encode(), OCI_INDEX),
        (b'{"schemaVersion":2}', OCI_INDEX),
        (b'{"manifests":[1]}', OCI_INDEX),
        (b'{"manifests":{}}', OCI_INDEX),
        (b'{"manifests":[],"manifests":[]}', OCI_INDEX),
        (b'{"manifests":[],"a":1e999}', OCI_INDEX),
        (b'{"manifests":[],"a":NaN}', OCI_INDEX),
        (b"[" * 100_000, OCI_INDEX),
        (b"\xff", OCI_INDEX),
        (b"", OCI_INDEX),
    ],
)
def test_what_is_no_index_is_not_extended(raw: bytes, kind: str) -> None:
    with pytest.raises(ReferrersTagConflict) as caught:
        ReferrersList.parse(raw, kind, WHERE)
    assert caught.value.where == WHERE
    assert caught.value.next_step
    assert caught.value.exit_code == 22


def test_entries_of_any_shape_are_passed_over() -> None:
    raw = json.dumps({**FULL, "manifests": [{}, {"digest": []}, {"digest": None}]}).encode()
    listed = ReferrersList.parse(raw, f"{OCI_INDEX}; charset=utf-8", WHERE)
    assert len(entries(listed.extended([artifact()]))) == 4


def test_a_list_does_not_grow_beyond_what_registries_take() -> None:
    made = artifact()
    size = len(EMPTY.extended([made])) + len(',"x":""')
    fitting = json.dumps({**FULL, "x": "y" * (MANIFEST_LIMIT - size)}).encode()
    listed = ReferrersList.parse(fitting, OCI_INDEX, WHERE)
    assert len(listed.extended([made])) == MANIFEST_LIMIT
    longer = fitting.replace(b'"y', b'"yy', 1)
    with pytest.raises(ReferrersTagConflict, match="full"):
        ReferrersList.parse(longer, OCI_INDEX, WHERE).extended([made])
