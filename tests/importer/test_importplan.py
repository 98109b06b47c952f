from __future__ import annotations

import json

import pytest

from airgap_importer.importplan import ImportPlan, Probe
from airgap_importer.names import Names
from airgap_importer.preflight import check_manifests
from airgap_importer.profiles import PROFILES
from airgap_importer.pushplan import BlobPlan, PushPlan, RepositoryPlan
from airgap_importer.registrykind import RegistryKind
from airgap_importer.releasetags import ReleaseTags
from airgap_importer.relocation import Relocation, Target
from airgap_importer.rewriting import Overlay
from airgap_shared.errors import Denied, ManifestNotTaken
from airgap_shared.oci import mediatype
from airgap_shared.oci.manifest import Manifest, parse_manifest
from airgap_shared.stores.ports import Place
from support.images import make_image

TARGET = Target("r.example", "shop")
NOTHING_FOUND = Probe()


def _manifest(content: bytes, media_type: str = mediatype.OCI_MANIFEST) -> Manifest:
    document = {**json.loads(make_image([content]).raw), "mediaType": media_type}
    found = parse_manifest(json.dumps(document).encode(), media_type)
    assert isinstance(found, Manifest)
    return found


def _plan(*manifests: Manifest, mounts: bool = True) -> PushPlan:
    """Two repositories that both lack all of it, and a third that has it."""
    repositories = [
        *(RepositoryPlan(f"shop/{name}", (), manifests, ()) for name in ("a", "b")),
        RepositoryPlan("shop/there", manifests, (), ()),
    ]
    groups = (("shop/a", "shop/b"),) if mounts else (("shop/a",), ("shop/b",))
    blobs = tuple(
        BlobPlan(blob, group, "shop/there" if mounts else None)
        for blob in {blob.digest: blob for one in manifests for blob in one.blobs}.values()
        for group in groups
    )
    return PushPlan(tuple(repositories), blobs, (), ReleaseTags((), False), ())


def _report(plan: PushPlan, probe: Probe = NOTHING_FOUND) -> ImportPlan:
    overlay = Overlay({}, (), (), {}, (), ())
    return ImportPlan(TARGET, Names(), Relocation({}), overlay, plan, probe)


@pytest.mark.parametrize("mounts", [True, False])
def test_bytes_add_up(mounts: bool) -> None:
    manifests = (_manifest(b"one"), _manifest(b"another"))
    size = sum(blob.size for one in manifests for blob in one.blobs)
    document = _report(_plan(*manifests, mounts=mounts)).to_document()
    assert document["bytesPresent"] == size
    assert document["bytes"] == (0 if mounts else 2 * size)
    assert document["bytesMounted"] == (2 * size if mounts else 0)
    assert document["blobs"] == (0 if mounts else 2 * len([b for m in manifests for b in m.blobs]))
    shares = document["repositories"]
    assert isinstance(shares, list)
    assert [share["bytesMissing"] for share in shares] == [size, size, 0]
    assert [share["manifestsMissing"] for share in shares] == [2, 2, 0]


def test_the_text_has_what_is_to_be_done_and_not_what_is_complete() -> None:
    text = _report(_plan(_manifest(b"one"))).to_text()
    assert "shop/a: lacks 1 of 1 manifests" in text
    assert "shop/there" not in text
    assert "taken for a plain registry, names by last" in text


def test_what_has_to_be_created_is_told_with_the_request() -> None:
    place = Place("repository", "shop/a")
    report = _report(_plan(), Probe((place,), (f"{place}: aws …",), True, Denied("no")))
    document = report.to_document()
    assert (document["missing"], document["create"]) == (["repository shop/a"], [f"{place}: aws …"])
    assert document["ready"] is False
    assert "has to be created: repository shop/a: aws …" in report.to_text()
    assert _report(_plan()).to_document()["ready"] is True


class TestPreflight:
    """What is refused before anything is sent."""

    docker = _manifest(b"docker", mediatype.DOCKER_MANIFEST)
    oci = _manifest(b"oci")

    def test_every_manifest_that_is_not_taken(self) -> None:
        zot = PROFILES[RegistryKind.ZOT]
        with pytest.raises(ManifestNotTaken) as caught:
            check_manifests(_plan(self.docker, self.oci), zot)
        error = caught.value
        assert error.exit_code == 22
        assert [detail.partition(": ")[0] for detail in error.details] == [
            f"shop/{name}@{self.docker.digest}" for name in ("a", "b")
        ]
        assert "docker2s2" in error.next_step
        assert "--registry-type distribution" in error.next_step

    def test_what_is_there_is_not_looked_at(self) -> None:
        there = RepositoryPlan("shop/a", (self.docker,), (), ())
        plan = PushPlan((there,), (), (), ReleaseTags((), False), ())
        check_manifests(plan, PROFILES[RegistryKind.ZOT])
