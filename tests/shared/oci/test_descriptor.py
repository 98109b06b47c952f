from __future__ import annotations

import base64

import pytest

from airgap_shared.errors import AirgapError, DigestMismatch, DigestUnsupported, DocumentInvalid
from airgap_shared.oci.descriptor import SIZE_LIMIT, Descriptor
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields
from airgap_shared.oci.platform import Platform

CONTENT = b'{"some": "config"}'
PLAIN: dict[str, object] = {
    "mediaType": "application/json",
    "digest": str(Digest.of(CONTENT)),
    "size": len(CONTENT),
}


def read(document: dict[str, object]) -> Descriptor:
    return Descriptor.from_fields(Fields(document, "layers[0]"))


def test_a_descriptor_is_read() -> None:
    found = read(
        {
            **PLAIN,
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7", "features": []},
            "annotations": {"a": "b"},
            "urls": ["https://example.com/layer"],
            "artifactType": "anything",
        }
    )
    assert found.platform == Platform("linux", "arm", "v7")
    assert found.annotations == {"a": "b"}
    assert found.urls == ("https://example.com/layer",)
    assert (found.digest, found.size) == (Digest.of(CONTENT), len(CONTENT))


def test_the_optional_fields_may_be_null() -> None:
    document = {**PLAIN, "platform": None, "annotations": None, "urls": None, "data": None}
    assert read(document) == read(PLAIN)


@pytest.mark.parametrize(
    ("change", "error", "where"),
    [
        ({"mediaType": None}, DocumentInvalid, "layers[0].mediaType"),
        ({"digest": None}, DocumentInvalid, "layers[0].digest"),
        ({"digest": "md5:0"}, DigestUnsupported, "layers[0].digest"),
        ({"size": None}, DocumentInvalid, "layers[0].size"),
        ({"size": -1}, DocumentInvalid, "layers[0].size"),
        ({"size": 1.5}, DocumentInvalid, "layers[0].size"),
        ({"size": True}, DocumentInvalid, "layers[0].size"),
        ({"platform": "linux/amd64"}, DocumentInvalid, "layers[0].platform"),
        ({"platform": {"os": "linux"}}, DocumentInvalid, "layers[0].platform.architecture"),
        ({"annotations": {"a": 1}}, DocumentInvalid, "layers[0].annotations.a"),
        ({"urls": "https://x"}, DocumentInvalid, "layers[0].urls"),
        ({"urls": [1]}, DocumentInvalid, "layers[0].urls[0]"),
        ({"data": "!"}, DocumentInvalid, "layers[0].data"),
        ({"data": "YQ"}, DocumentInvalid, "layers[0].data"),
        ({"data": "é"}, DocumentInvalid, "layers[0].data"),
    ],
)
def test_a_malformed_field_is_refused_in_its_place(
    change: dict[str, object], error: type[AirgapError], where: str
) -> None:
    with pytest.raises(error) as caught:
        read({**PLAIN, **change})
    assert caught.value.where == where


def test_embedded_data_must_be_the_content() -> None:
    read({**PLAIN, "data": base64.b64encode(CONTENT).decode()})
    for wrong in (CONTENT + b" ", CONTENT[:-1], CONTENT.upper(), b""):
        with pytest.raises(DigestMismatch) as caught:
            read({**PLAIN, "data": base64.b64encode(wrong).decode()})
        assert caught.value.where == "layers[0].data"


def test_a_size_that_not_every_reader_reads_alike_is_refused() -> None:
    assert read({**PLAIN, "size": SIZE_LIMIT}).size == SIZE_LIMIT
    with pytest.raises(DocumentInvalid, match="alike"):
        read({**PLAIN, "size": SIZE_LIMIT + 1})
