"""The index of parts, written and read; what it may say is tested in adversarial/test_parts.py."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.bundle.parts import (
    INDEX_LIMIT,
    PART_LIMIT,
    Fingerprint,
    Part,
    PartIndex,
    bundle_of_index,
    bundle_of_part,
    index_name,
    parse_part_index,
    part_name,
)
from airgap_shared.errors import PartIndexInvalid
from airgap_shared.oci.digest import Digest

DIGESTS = st.binary(max_size=8).map(Digest.of)
FINGERPRINTS = st.builds(Fingerprint, st.integers(1, 2**53), DIGESTS, DIGESTS)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)


@given(NAMES, DIGESTS, st.lists(st.tuples(FINGERPRINTS, DIGESTS), min_size=1, max_size=5))
def test_what_is_written_is_read(
    name: str, statement: Digest, made: list[tuple[Fingerprint, Digest]]
) -> None:
    parts = tuple(Part(part_name(name, number), *one) for number, one in enumerate(made, 1))
    index = PartIndex(statement, parts)
    assert parse_part_index(index.to_json(), name, "here") == index
    with pytest.raises(PartIndexInvalid, match="keep the names"):
        parse_part_index(index.to_json(), name + "x", "here")


def test_fields_that_are_not_known_are_ignored() -> None:
    digest = Digest.of(b"")
    index = PartIndex(digest, (Part("a.part-001", Fingerprint(1, digest, digest), digest),))
    document = json.loads(index.to_json())
    document["more"] = document["parts"][0]["more"] = "said"
    assert parse_part_index(json.dumps(document).encode(), "a", "here") == index


def test_the_largest_index_is_within_its_limit() -> None:
    name, digest = "\U0001f600" * 60, Digest.of(b"")
    fingerprint = Fingerprint(2**62 // PART_LIMIT, digest, digest)
    numbers = range(1, PART_LIMIT + 1)
    parts = tuple(Part(part_name(name, number), fingerprint, digest) for number in numbers)
    raw = PartIndex(digest, parts).to_json()
    assert len(raw) < INDEX_LIMIT
    assert len(parse_part_index(raw, name, "here").parts) == PART_LIMIT


@given(NAMES, st.integers(1, PART_LIMIT))
def test_names_lead_back_to_the_bundle(name: str, number: int) -> None:
    assert bundle_of_part(part_name(name, number)) == name
    assert bundle_of_index(index_name(name)) == name
    assert bundle_of_part(index_name(name)) is None
    assert bundle_of_index(part_name(name, number)) is None


def test_names_come_in_the_order_of_the_parts() -> None:
    names = [part_name("a", number) for number in range(1, PART_LIMIT + 1)]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "name", ["a", "a.part-1", "a.part-0001", "a.part-01x", ".part-001", "a.part-001.partial", ""]
)
def test_other_names_are_no_parts(name: str) -> None:
    assert bundle_of_part(name) is None
