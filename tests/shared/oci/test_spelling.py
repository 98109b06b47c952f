from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap_shared.errors import AmbiguousManifest
from airgap_shared.oci.fields import Fields
from airgap_shared.oci.spelling import (
    DESCRIPTOR_KEYS,
    MANIFEST_KEYS,
    PLATFORM_KEYS,
    check_spelling,
)

KNOWN = MANIFEST_KEYS | DESCRIPTOR_KEYS | PLATFORM_KEYS


def check(document: Mapping[str, object]) -> None:
    check_spelling(Fields(document, "the manifest"), KNOWN)


def folded(key: str) -> str:
    """As Go's encoding/json does it for names of ASCII (foldName in fold.go)."""
    alike = {"\u017f": "s", "\u212a": "k"}
    return "".join(c.lower() if c.isascii() else alike.get(c, c) for c in key)


@pytest.mark.parametrize("key", sorted(KNOWN))
def test_another_spelling_of_a_known_key_is_refused(key: str) -> None:
    check({key: 1, "other": 2})
    for other in (key.upper(), key.title(), key[0].upper() + key[1:], key.replace("s", "\u017f")):
        for document in ({other: 1}, {key: 1, other: 1}, {other: None, key: 1}):
            if other != key:
                with pytest.raises(AmbiguousManifest) as caught:
                    check(document)
                assert caught.value.where == "the manifest"


def test_a_message_shows_letters_that_only_look_alike() -> None:
    with pytest.raises(AmbiguousManifest, match=r"'layer\\u017f' for 'layers'"):
        check({"layer\u017f": []})


@pytest.mark.parametrize(
    "keys", [("x-a", "x-A"), ("kelvin", "\u212aelvin"), ("x\u017f", "xS"), ("a", "b", "A")]
)
def test_two_unknown_keys_that_differ_in_case_alone_are_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(AmbiguousManifest):
        check(dict.fromkeys(keys))


@pytest.mark.parametrize("keys", [("layer",), ("layers ",), ("straße", "strasse"), ("é", "É")])
def test_other_keys_are_other_keys(keys: tuple[str, ...]) -> None:
    check({"layers": [], **dict.fromkeys(keys)})


@given(
    st.dictionaries(st.text("aAkKsS\u017f\u212aéÉ", max_size=3), st.none()),
    st.sets(st.text("aks", max_size=3)),
)
def test_what_is_taken_is_one_thing_for_every_reader(
    document: dict[str, None], known: set[str]
) -> None:
    keys = [folded(key) for key in document]
    clear = len(set(keys)) == len(keys)
    clear = clear and all(key in known for key in document if folded(key) in known)
    try:
        check_spelling(Fields(document, "x"), known)
    except AmbiguousManifest:
        assert not clear
    else:
        assert clear
