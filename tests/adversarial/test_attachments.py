"""Group C, attachments: signatures and the like that claim what is not theirs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from support.attaching import cosign_tag, sbom_of, signature_list
from support.hostile import Draft, Key
from support.images import BuiltImage, make_artifact, make_image, make_index
from support.journey import deployment
from support.victim import Victim

_NAME, _OTHER_NAME = "docker.io/team/app:1", "docker.io/team/app:2"
_APP, _OTHER = make_image([b"the app"]), make_image([b"another"])
_FILES = {"app.yaml": deployment("web", "team/app:1")}
_SIGNATURE = signature_list((b"payload", "c2ln"))
_INVALID, _LIMIT = (11, "StatementInvalid"), (14, "LimitExceeded")


def _entry(
    attached: BuiltImage, subject: BuiltImage, tag: str | None = None, kind: str = "other"
) -> Mapping[str, object]:
    return {
        "root": attached.digest,
        "mediaType": attached.media_type,
        "subject": subject.digest,
        "tag": tag,
        "kind": kind,
    }


def _signed(tag: str, subject: BuiltImage = _APP) -> Mapping[str, object]:
    return _entry(_SIGNATURE, subject, tag, "signature")


def _draft(*entries: Mapping[str, object], more: tuple[BuiltImage, ...] = ()) -> Draft:
    """Two images, the first with attachments; ``more`` are packed as they are."""
    return Draft.with_attached(
        {_NAME: _APP, _OTHER_NAME: _OTHER}, _FILES, {_NAME: entries}, (_SIGNATURE, *more)
    )


class TestC25:
    def test_an_honest_one_arrives(self, victim: Victim, key: Key) -> None:
        victim.accepts(_draft(_signed(cosign_tag(_APP))), key)

    @pytest.mark.parametrize(
        "entry",
        [
            _entry(sbom_of(_OTHER), _APP),
            _entry(sbom_of(_OTHER), _OTHER),
            _signed(cosign_tag(_OTHER), _OTHER),
        ],
        ids=["whose manifest differs", "of another image", "by the tag of another image"],
    )
    def test_that_claims_another_subject_is_refused(
        self, victim: Victim, key: Key, entry: Mapping[str, object]
    ) -> None:
        brought = tuple(one for one in (sbom_of(_OTHER),) if one.digest == entry["root"])
        draft = _draft(entry, _signed(cosign_tag(_APP)), more=brought)
        victim.resists_draft(draft, key, *_INVALID)


class TestC26:
    @pytest.mark.parametrize(
        "tag",
        ["1", "2", "latest", f"airgap-{_OTHER.digest[7:]}", "shop_stable", cosign_tag(_APP, "")],
    )
    def test_whose_tag_would_take_one_of_others_is_refused(
        self, victim: Victim, key: Key, tag: str
    ) -> None:
        victim.resists_draft(_draft(_signed(tag)), key, *_INVALID)

    def test_whose_tag_is_that_of_an_image_is_refused(self, victim: Victim, key: Key) -> None:
        name = f"docker.io/team/app:{cosign_tag(_APP)}"
        draft = Draft.with_attached(
            {_NAME: _APP, name: _OTHER},
            _FILES,
            {_NAME: (_signed(cosign_tag(_APP)),)},
            (_SIGNATURE,),
        )
        victim.resists_draft(draft, key, *_INVALID)


class TestC27:
    def test_a_thousand_and_one_are_refused(self, victim: Victim, key: Key) -> None:
        entries = [_entry(_SIGNATURE, _APP, None, "signature")] * 1001
        victim.resists_draft(_draft(*entries), key, *_INVALID)

    def test_a_chain_without_end_is_refused(self, victim: Victim, key: Key) -> None:
        links = [_APP]
        for number in range(5):
            links.append(make_artifact(b"x", f"application/x.n{number}", links[-1]))
        entries = [_entry(one, about) for about, one in itertools.pairwise(links)]
        draft = _draft(_signed(cosign_tag(_APP)), *entries, more=tuple(links[1:]))
        victim.resists_draft(draft, key, *_LIMIT)


class TestC28:
    def test_an_attached_index_that_lacks_its_manifests_is_refused(
        self, victim: Victim, key: Key
    ) -> None:
        index = replace(make_index([make_image([b"not there"])]), children=())
        entry = _entry(index, _APP, cosign_tag(_APP, ".sbom"), "sbom")
        draft = _draft(_signed(cosign_tag(_APP)), entry, more=(index,))
        victim.resists_draft(draft, key, 14, "DescriptorUnresolved")

    def test_what_nothing_is_attached_to_is_refused(self, victim: Victim, key: Key) -> None:
        draft = _draft(_signed(cosign_tag(_APP)), more=(sbom_of(_APP),))
        victim.resists_draft(draft, key, 10, "MemberUnexpected", "MemberMismatch")
