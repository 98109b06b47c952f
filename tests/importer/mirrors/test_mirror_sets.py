"""OpenShift gets two objects that its schema admits."""

from __future__ import annotations

import json
import re

import yaml

from airgap_importer.mirrors.mirrorsets import DIGESTS, TAGS, compose_mirror_sets
from support.mirroring import records_of

# As openshift/api, config/v1, gives the patterns of source and mirrors.
_LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_PART = "[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*"
_MIRROR = re.compile(rf"{_HOST}(?:/{_PART})*")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_TARGETS = {
    "nginx:1": "reg.bank/shop/nginx:1",
    "quay.io/a.b/c__d/e--f:2": "reg.bank/shop/e--f:2",
    "quay.io/pinned@sha256:" + "d" * 64: "reg.bank/shop/pinned",
    "src.example:5000/a:1": "reg.bank/shop/a:1",
}


def test_the_objects_are_as_the_schema_asks() -> None:
    found = compose_mirror_sets(records_of(_TARGETS))
    for file, kind, field in (
        (DIGESTS, "ImageDigestMirrorSet", "imageDigestMirrors"),
        (TAGS, "ImageTagMirrorSet", "imageTagMirrors"),
    ):
        document = yaml.safe_load(found.files[file])
        assert (document.pop("apiVersion"), document.pop("kind")) == (
            "config.openshift.io/v1",
            kind,
        )
        assert list(document["metadata"]) == ["name"]
        assert _NAME.fullmatch(document["metadata"]["name"])
        assert list(document["spec"]) == [field]
        for entry in document["spec"][field]:
            assert sorted(entry) == ["mirrors", "source"]
            assert _MIRROR.fullmatch(entry["source"])
            assert all(map(_MIRROR.fullmatch, entry["mirrors"]))


def test_tags_are_mirrored_where_there_are_any() -> None:
    found = compose_mirror_sets(records_of(_TARGETS))
    digests = yaml.safe_load(found.files[DIGESTS])["spec"]["imageDigestMirrors"]
    tags = yaml.safe_load(found.files[TAGS])["spec"]["imageTagMirrors"]
    assert {entry["source"]: entry["mirrors"] for entry in digests} == {
        "docker.io/library/nginx": ["reg.bank/shop/nginx"],
        "quay.io/a.b/c__d/e--f": ["reg.bank/shop/e--f"],
        "quay.io/pinned": ["reg.bank/shop/pinned"],
        "src.example:5000/a": ["reg.bank/shop/a"],
    }
    assert "quay.io/pinned" not in [entry["source"] for entry in tags]
    assert len(tags) == 3


def test_without_tls_the_patch_is_given_that_openshift_needs() -> None:
    found = compose_mirror_sets(records_of({"nginx:1": "reg.bank/nginx:1"}, plain_http=True))
    text = found.files[DIGESTS].decode()
    (patch,) = re.findall(r"-p '(.*)'", text)
    assert json.loads(patch) == {"spec": {"registrySources": {"insecureRegistries": ["reg.bank"]}}}
    assert yaml.safe_load(text)["kind"] == "ImageDigestMirrorSet"


def test_addresses_that_the_schema_does_not_know_are_left_out() -> None:
    found = compose_mirror_sets(records_of({"[::1]:5000/a:1": "reg.bank/a:1"}))
    assert not found.files and "IPv6" in found.notes[0]
