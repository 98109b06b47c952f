from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_importer.assignments import merged, parse_assignments, remembered
from airgap_importer.names import Names
from airgap_importer.naming import Naming
from airgap_importer.relocation import Target, relocate
from airgap_importer.relocationrecord import RelocationRecord, load_relocation_record
from airgap_shared.bundle.statement import BundledImage
from airgap_shared.errors import StateCorrupt
from airgap_shared.oci import mediatype
from airgap_shared.oci.digest import Digest
from airgap_shared.oci.fields import Fields
from airgap_shared.oci.reference import parse_reference

MEMORIES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"))
D1 = Digest.of(b"1")


def bundled(text: str) -> BundledImage:
    source = parse_reference(parse_reference(text).canonical)
    return BundledImage(source, (text,), D1, mediatype.OCI_MANIFEST, D1, ())


@given(MEMORIES, MEMORIES, MEMORIES)
def test_memories_are_merged_without_a_place_given_twice(
    first: dict[str, str], second: dict[str, str], third: dict[str, str]
) -> None:
    found = merged(first, second, third)
    assert len(set(found.values())) == len(found)
    for name, place in found.items():
        assert place in {one[name] for one in (first, second, third) if name in one}
    if len(set(first.values())) == len(first):
        assert found.items() >= first.items()


def test_what_would_be_too_much_is_not_remembered() -> None:
    few = {"q.io/app": "shop/app"}
    assert remembered(few) == few
    assert remembered({f"q.io/{n:0200}": f"shop/{n:0200}" for n in range(6000)}) == {}


@pytest.mark.parametrize("repository", ["other/app", "shop", "shop/", "shop/App", "../shop/x", ""])
def test_what_is_not_below_the_path_is_refused(repository: str) -> None:
    fields = Fields({"names": {"q.io/app": repository}}, "state.json", StateCorrupt)
    with pytest.raises(StateCorrupt):
        parse_assignments(fields, "names", "r.example:5000/shop")


def test_absent_names_are_none() -> None:
    assert parse_assignments(Fields({}, "state.json", StateCorrupt), "names", "r.example") == {}


def _saved(folder: Path, record: RelocationRecord, target: Target, naming: Naming) -> Path:
    earlier = record.in_target(target)
    relocation = relocate([bundled("q.io/team/app:1")], target, earlier, Names(naming))
    path = folder / "relocation.json"
    path.write_text(json.dumps(record.document_with(relocation, target)))
    return path


@pytest.mark.parametrize(
    ("naming", "place"),
    [
        (Naming.LAST, "shop/app"),
        (Naming.PATH, "shop/q.io/team/app"),
        (Naming.FLAT, "shop/q.io-team-app"),
    ],
)
@pytest.mark.parametrize("pull", [None, Target("pull.example", "mirror/shop")])
def test_a_record_is_read_back(
    tmp_path: Path, naming: Naming, place: str, pull: Target | None
) -> None:
    target = Target("r.example:5000", "shop", pull)
    record = load_relocation_record(_saved(tmp_path, RelocationRecord(), target, naming))
    assert record.in_target(target) == {"q.io/team/app": place}
    # Neither the name to pull from nor a nested namespace is the same place.
    assert record.in_target(Target("pull.example", "mirror/shop")) == {}
    assert record.in_target(Target("r.example:5000", "shop/q.io/team")) == {}
    assert record.in_target(Target("r.example:5000", "")) == {}

    # An import elsewhere does not make it forgotten.
    other = Target("r.example:5000", "elsewhere")
    record = load_relocation_record(_saved(tmp_path, record, other, Naming.LAST))
    assert record.in_target(target) == {"q.io/team/app": place}
    assert record.in_target(other) == {"q.io/team/app": "elsewhere/app"}


@pytest.mark.parametrize("form", [0, 2, 99])
def test_a_record_of_a_later_version_is_refused(tmp_path: Path, form: int) -> None:
    path = tmp_path / "relocation.json"
    path.write_text(json.dumps({"format": form, "images": []}))
    with pytest.raises(StateCorrupt, match=f"format {form}; this tool knows 1") as caught:
        load_relocation_record(path)
    assert "newer airgap-import" in caught.value.next_step


def test_a_record_of_an_earlier_version_is_understood(tmp_path: Path) -> None:
    entry = {"registry": "r.example", "repository": "a/b/app"}
    former = {"name": "q.io/old", "registry": "r.example", "repository": "a/b/old"}
    document = {"images": [{**entry, "source": "q.io/app:1"}], "former": [former]}
    path = tmp_path / "relocation.json"
    path.write_text(json.dumps(document))
    assert load_relocation_record(path).in_target(Target("r.example", "a/b")) == {
        "q.io/app": "a/b/app",
        "q.io/old": "a/b/old",
    }
