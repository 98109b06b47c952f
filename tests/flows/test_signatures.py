"""Signatures, attestations and SBOMs of images: found at create, bundled, pushed beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.attaching import Vendor, cosign_tag, sbom_of, signature_list
from support.cosigning import make_signers
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy
from support.faults import Answer, Rule
from support.figures import Figure
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    make_artifact,
    make_image,
    make_index,
    platform_index,
)
from support.journey import Journey, refused, succeeded
from support.kinds import quirks
from support.kinds.proxy import BehaviourProxy, Kind
from support.pushing import fetch_manifest, push_image

APP = make_image([b"the app"])
SIGNED = signature_list((b"payload", "c2ln"))
ATTESTED = make_image([b"attestation"])
SBOM = sbom_of(APP)
OF_SBOM = signature_list((b"of the sbom", "c2ln"))
PROVENANCE = make_artifact(b"provenance", "application/vnd.in-toto+json", APP)
SCAN = make_artifact(b"scan", "application/x.scan", APP)


@dataclass(frozen=True, slots=True)
class Route:
    """A journey whose source and target record what they are asked."""

    journey: Journey
    source: FaultProxy
    target: FaultProxy
    source_registry: DockerRegistry
    registry: DockerRegistry

    @property
    def vendor(self) -> Vendor:
        return Vendor(self.journey, "team/app")

    @property
    def repository(self) -> str:
        return f"{self.journey.namespace}/app"

    def tags(self) -> dict[str, str]:
        """The tags of the target that are not keep-tags."""
        tags = self.registry.storage.tags(self.repository)
        return {tag: digest for tag, digest in tags.items() if not tag.startswith("airgap-")}

    def applied(self, *options: str) -> dict[str, object]:
        """Import; gives what became of the attachments."""
        done = succeeded(self.journey.apply("--format", "json", *options))
        found = json.loads(done.out)["attachments"]
        assert isinstance(found, dict)
        return found

    def inspected(self) -> dict[str, Any]:
        """What the bundle says of itself."""
        command = ("airgap-import", "inspect", self.journey.bundle, "--format", "json")
        found = json.loads(succeeded(self.journey.shell.run(*command)).out)
        assert isinstance(found, dict)
        return found

    def attached(self) -> list[dict[str, Any]]:
        """What the bundle says is attached to its images."""
        return [one for image in self.inspected()["images"] for one in image["attached"]]


@pytest.fixture
def route(
    tmp_path: Path,
    source_registry: DockerRegistry,
    registry: DockerRegistry,
    servers: ExitStack,
) -> Iterator[Route]:
    source = servers.enter_context(FaultProxy(source_registry.host))
    target = servers.enter_context(FaultProxy(registry.host))
    journey = Journey.begin(tmp_path / "work", source.host, target.host)
    journey.push("team/app:1", APP)
    journey.deploy("team/app:1")
    yield Route(journey, source, target, source_registry, registry)


def everything(route: Route) -> None:
    """Attach one of each, in both ways."""
    vendor = route.vendor
    vendor.tag(APP, SIGNED)
    vendor.tag(APP, ATTESTED, ".att")
    vendor.tag(APP, make_image([b"old sbom"]), ".sbom")
    vendor.refer(SBOM, PROVENANCE, SCAN)
    vendor.tag(SBOM, OF_SBOM)


def test_everything_attached_comes_along_by_tag_and_in_lists(route: Route) -> None:
    everything(route)
    done = succeeded(route.journey.create())
    assert "2 signatures, 2 attestations, 2 SBOMs, 1 other attachment" in done.out
    succeeded(route.journey.verify())
    assert [(one["kind"], one["tag"] is None) for one in route.attached()] == [
        ("signature", False),
        ("attestation", False),
        ("sbom", False),
        ("sbom", True),
        ("attestation", True),
        ("other", True),
        ("signature", False),
    ]
    found = route.applied()
    assert (found["bundled"], found["refused"]) == (7, [])
    tags = route.tags()
    assert tags[cosign_tag(APP)] == SIGNED.digest
    assert tags[cosign_tag(APP, ".att")] == ATTESTED.digest
    assert tags[cosign_tag(SBOM)] == OF_SBOM.digest
    listed = json.loads(
        fetch_manifest(route.registry.host, route.repository, cosign_tag(APP, "")).raw
    )
    assert [one["digest"] for one in listed["manifests"]] == [
        one.digest for one in (SBOM, PROVENANCE, SCAN)
    ]
    assert listed["manifests"][0]["artifactType"] == "application/spdx+json"


def test_they_come_after_the_images_and_before_the_release_tags(route: Route) -> None:
    everything(route)
    succeeded(route.journey.create())
    route.applied("--read-back")
    puts = [request.path.rpartition("/")[2] for request in route.target.requests("PUT", "/manif")]
    places = [puts.index(name) for name in (APP.digest, SIGNED.digest, cosign_tag(APP), "1")]
    assert places == sorted(places)
    assert puts.index(cosign_tag(APP, "")) < puts.index("1")


def test_a_second_import_sends_and_sets_nothing(route: Route) -> None:
    everything(route)
    succeeded(route.journey.create())
    route.applied()
    route.target.clear()
    found = route.applied("--read-back")
    assert (found["bundled"], found["manifests_pushed"], found["tags_set"]) == (7, 0, 0)
    receipts = [one for one in route.target.mutations() if "airgap-receipts" not in one.path]
    assert receipts == []


def test_they_can_be_left_out_on_either_side(route: Route) -> None:
    everything(route)
    route.source.clear()
    succeeded(route.journey.create("--no-signatures"))
    assert route.source.requests("HEAD") == []
    assert route.attached() == []
    succeeded(route.journey.create())
    assert route.applied("--no-signatures")["bundled"] == 0
    assert set(route.tags()) == {"1"}


def test_what_they_add_to_a_known_release_is_no_repetition(route: Route) -> None:
    everything(route)
    succeeded(route.journey.create())
    succeeded(route.journey.apply("--no-signatures"))
    assert succeeded(route.journey.apply()).out.startswith("imported again ")
    assert succeeded(route.journey.apply()).out.startswith("already imported ")


@pytest.mark.parametrize("imported", [False, True])
def test_a_dry_run_counts_them_as_the_import_does(route: Route, imported: bool) -> None:
    everything(route)
    succeeded(route.journey.create())
    if imported:
        succeeded(route.journey.apply("--no-signatures"))
    plan = json.loads(succeeded(route.journey.apply("--dry-run", "--format", "json")).out)
    text = succeeded(route.journey.apply("--dry-run")).out
    before = route.tags()

    push = json.loads(succeeded(route.journey.apply("--format", "json")).out)["push"]

    assert (plan["manifests"], plan["blobs"]) == (push["manifests_pushed"], push["blobs_sent"])
    assert (plan["bytes"], plan["bytesMounted"]) == (push["bytes_sent"], 0)
    (repository,) = plan["repositories"]
    assert repository["bytesMissing"] == plan["bytes"]
    assert repository["manifestsMissing"] == plan["manifests"] == (8 if not imported else 7)
    assert f"would push {plan['manifests']} manifests and {plan['blobs']} blobs" in text
    assert f"{route.repository}: lacks {plan['manifests']} of 8 manifests" in text
    # Tags of images and of cosign, and lists of referrers.
    assert len(plan["tags"]) == push["tags_set"]
    new = {tag for tag in route.tags() if tag not in before}
    assert new == {one.rpartition(":")[2] for one in (*plan["tags"], *plan["referrers"])}

    after = json.loads(succeeded(route.journey.apply("--dry-run", "--format", "json")).out)
    figures = ("manifests", "blobs", "bytes", "bytesMounted")
    assert [after[name] for name in figures] == [0, 0, 0, 0]
    assert (after["tags"], after["referrers"]) == ([], [])


def test_an_import_from_a_pipe_brings_them_too(route: Route) -> None:
    everything(route)
    succeeded(route.journey.create())
    stdin = route.journey.bundle.read_bytes()
    succeeded(route.journey.apply(bundle="-", stdin=stdin))
    assert route.tags()[cosign_tag(APP)] == SIGNED.digest


def test_what_looking_costs(route: Route, figure: Figure) -> None:
    """HEADs for guesses, one question to the API for each repository, GETs for what is there."""
    many = platform_index("many", "linux/amd64", "linux/arm64")
    route.journey.push("team/many:1", many)
    route.journey.deploy("team/many:1")
    counts = []
    for option in ("--no-signatures", "--jobs=4"):
        route.source.clear()
        succeeded(route.journey.create("--dry-run", option))
        counts.append(len(route.source.requests()))
    more = counts[1] - counts[0]
    figure("requests more for an image of an index, nothing attached, no referrers API", more)
    assert more == 9
    assert len(route.source.requests("HEAD")) == 8


def test_the_signatures_of_an_index_warn_where_only_a_part_of_it_is_bundled(route: Route) -> None:
    many = platform_index("app", "linux/amd64", "linux/arm64")
    route.journey.push("team/app:1", many)
    route.vendor.tag(many, SIGNED)
    done = succeeded(route.journey.create())
    assert done.err.count("covers the whole index") == 1
    assert "--platform all" in done.err
    route.applied()
    assert route.tags()[cosign_tag(many)] == SIGNED.digest
    done = succeeded(route.journey.create("--platform", "all"))
    assert "covers the whole index" not in done.err


def test_signatures_of_one_platform_of_an_index_are_found(route: Route) -> None:
    many = platform_index("app", "linux/amd64", "linux/arm64")
    route.journey.push("team/app:1", many)
    route.vendor.tag(many.children[0], SIGNED)
    done = succeeded(route.journey.create())
    assert "covers the whole index" not in done.err
    assert [one["subject"] for one in route.attached()] == [many.children[0].digest]


class TestReferrersAPI:
    """Registries that list referrers themselves, as a source and as a target."""

    _KIND = Kind("own", quirks=(quirks.lists_referrers,), referrers=True)

    def test_lists_what_there_is_and_is_left_to_it(self, route: Route, servers: ExitStack) -> None:
        source = servers.enter_context(
            BehaviourProxy(self._KIND, route.source_registry.host, route.source_registry.storage)
        )
        target = servers.enter_context(
            BehaviourProxy(self._KIND, route.registry.host, route.registry.storage)
        )
        journey = replace(route.journey, source=source.host, target=target.host)
        for referrer in (SBOM, SCAN):
            push_image(route.source_registry.host, "docker.io/team/app", None, referrer)
        succeeded(journey.create())
        assert sorted(str(one["root"]) for one in route.attached()) == sorted(
            [SBOM.digest, SCAN.digest]
        )
        succeeded(journey.apply())
        assert cosign_tag(APP, "") not in route.tags()
        digests = route.registry.storage.manifests(route.repository)
        assert {SBOM.digest, SCAN.digest} <= set(digests)

    def test_is_read_page_by_page_and_beside_the_tag(self, route: Route) -> None:
        route.vendor.refer(SBOM)
        for referrer in (PROVENANCE, SCAN):
            route.journey.push(f"team/app@{referrer.digest}", referrer)
        path = f"/referrers/{APP.digest}"
        following = f"/v2/docker.io/team/app{path}?next=2"
        route.source.add(_page(f"{path}$", PROVENANCE, link=f'<{following}>; rel="next"'))
        route.source.add(_page(r"\?next=2$", SCAN))
        succeeded(route.journey.create())
        assert {one["root"] for one in route.attached()} == {
            one.digest for one in (SBOM, PROVENANCE, SCAN)
        }


def _page(path: str, *listed: BuiltImage, link: str = "") -> Rule:
    headers = {"Content-Type": OCI_INDEX, **({"Link": link} if link else {})}
    return Rule(Answer(200, headers, make_index(listed).raw), "GET", path, times=None)


class TestRefusals:
    """A target that does not take signatures gets the images all the same."""

    @pytest.mark.parametrize("status", [400, 403, 405, 415])
    def test_are_warnings_and_leave_a_copy(self, route: Route, status: int) -> None:
        everything(route)
        succeeded(route.journey.create())
        route.target.add(Rule(Answer(status), "PUT", f"/manifests/{SBOM.digest}$", times=None))
        done = succeeded(route.journey.apply("--format", "json"))
        (refusal,) = json.loads(done.out)["attachments"]["refused"]
        assert (refusal["digest"], refusal["kind"]) == (SBOM.digest, "sbom")
        assert str(status) in refusal["reason"]
        assert SBOM.digest in done.err
        receipt = json.loads((route.journey.overlay / ".airgap" / "receipt.json").read_text())
        assert receipt["attachments"]["refused"] == [refusal]
        assert route.tags()["1"] == APP.digest
        assert route.tags()[cosign_tag(APP)] == SIGNED.digest
        copy = route.journey.overlay / ".airgap" / "attachments"
        (entry,) = json.loads((copy / "index.json").read_text())["manifests"]
        assert entry["digest"] == SBOM.digest
        for digest in (SBOM.digest, *SBOM.all_blobs()):
            assert (copy / "blobs" / digest.replace(":", "/")).is_file()

    def test_end_with_the_copy_once_the_registry_takes_them(self, route: Route) -> None:
        everything(route)
        succeeded(route.journey.create())
        rule = Rule(Answer(405), "PUT", r"/manifests/sha256-\w+\.sig$", times=2)
        route.target.add(rule)
        assert len(_refused(route.applied())) == 2
        copy = route.journey.overlay / ".airgap" / "attachments"
        assert copy.is_dir()
        assert _refused(route.applied()) == []
        assert not copy.exists()
        assert route.tags()[cosign_tag(APP)] == SIGNED.digest

    @pytest.mark.parametrize("piped", [False, True])
    def test_of_a_blob_are_no_failure_either(self, route: Route, piped: bool) -> None:
        everything(route)
        succeeded(route.journey.create())
        (blob,) = SBOM.all_blobs().keys() - APP.all_blobs().keys() - SCAN.all_blobs().keys()
        route.target.add(Rule(Answer(413), "PUT", blob.replace(":", "(:|%3A)"), times=None))
        stdin = route.journey.bundle.read_bytes() if piped else b""
        bundle = "-" if piped else route.journey.bundle.name
        done = succeeded(route.journey.apply("--format", "json", bundle=bundle, stdin=stdin))
        (refusal,) = json.loads(done.out)["attachments"]["refused"]
        assert (refusal["digest"], "413" in refusal["reason"]) == (SBOM.digest, True)
        assert route.tags()["1"] == APP.digest


def _refused(found: dict[str, object]) -> list[object]:
    refused = found["refused"]
    assert isinstance(refused, list)
    return refused


class TestTagsThatAreThere:
    """A cosign tag in the target may name another list of signatures than the bundle brings."""

    ONE, TWO, OWN = ((f"payload {n}".encode(), f"{n}") for n in ("one", "two", "own"))

    def put(self, route: Route, there: BuiltImage) -> None:
        push_image(route.registry.host, route.repository, cosign_tag(APP), there)

    def brought(self, route: Route, signature: BuiltImage) -> dict[str, object]:
        route.vendor.tag(APP, signature)
        succeeded(route.journey.create())
        return route.applied()

    def test_a_list_that_has_grown_upstream_replaces_the_shorter_one(self, route: Route) -> None:
        self.put(route, signature_list(self.ONE))
        longer = signature_list(self.ONE, self.TWO)
        assert _refused(self.brought(route, longer)) == []
        assert route.tags()[cosign_tag(APP)] == longer.digest

    def test_a_list_that_has_grown_in_the_target_stays(self, route: Route) -> None:
        longer = signature_list(self.ONE, self.OWN)
        self.put(route, longer)
        assert _refused(self.brought(route, signature_list(self.ONE))) == []
        assert route.tags()[cosign_tag(APP)] == longer.digest

    def test_signatures_of_the_site_itself_stay(self, route: Route) -> None:
        own = signature_list(self.OWN)
        self.put(route, own)
        (refusal,) = _refused(self.brought(route, signature_list(self.ONE)))
        assert "was not imported, which stays" in str(refusal)
        assert route.tags()[cosign_tag(APP)] == own.digest
        assert _refused(route.applied("--move-tags")) == [refusal]
        assert route.tags()[cosign_tag(APP)] == own.digest

    def test_what_an_earlier_import_brought_follows_the_next_one(self, route: Route) -> None:
        self.brought(route, signature_list(self.ONE))
        resigned = signature_list(self.TWO)
        assert _refused(self.brought(route, resigned)) == []
        assert route.tags()[cosign_tag(APP)] == resigned.digest


class TestImageKeys:
    """``create --verify-image-key``: no bundle of images that their vendor did not sign."""

    SIGNERS = make_signers()

    def key_file(self, route: Route, kind: str = "ecdsa") -> str:
        (route.journey.folder / f"{kind}.pub").write_bytes(self.SIGNERS[kind].pem)
        return f"{kind}.pub"

    @pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
    def test_a_signature_is_checked_and_noted(self, route: Route, kind: str) -> None:
        signed = route.vendor.tag(APP, self.SIGNERS[kind].signature_of(APP))
        succeeded(route.journey.create("--verify-image-key", self.key_file(route, kind)))
        (noted,) = route.inspected()["images"][0]["signedBy"]
        assert (noted["digest"], noted["signature"]) == (APP.digest, signed.digest)
        assert noted["key"].startswith("SHA256:")
        done = succeeded(route.journey.verify())
        assert "signatures of 1 of 1 images were checked before they were bundled, by " in done.out
        assert noted["key"] in done.out

    def test_a_sigstore_bundle_counts_too(self, route: Route) -> None:
        route.vendor.refer(self.SIGNERS["rsa"].bundle_of(APP))
        key = self.key_file(route, "rsa")
        succeeded(route.journey.create("--verify-image-key", key, "--no-signatures"))
        assert route.attached() == []
        assert len(route.inspected()["images"][0]["signedBy"]) == 1

    def test_the_index_is_what_is_signed(self, route: Route) -> None:
        many = platform_index("app", "linux/amd64", "linux/arm64")
        route.journey.push("team/app:1", many)
        route.vendor.tag(many, self.SIGNERS["ecdsa"].signature_of(many))
        succeeded(route.journey.create("--verify-image-key", self.key_file(route)))

    def test_all_images_without_a_signature_are_named_together(self, route: Route) -> None:
        others = {name: make_image([name.encode()]) for name in ("plain", "foreign", "moved")}
        for name, image in others.items():
            route.journey.push(f"team/{name}:1", image)
        route.journey.deploy("team/app:1", *(f"team/{name}:1" for name in others))
        signer = self.SIGNERS["ecdsa"]
        route.vendor.tag(APP, signer.signature_of(APP))
        foreign, moved = others["foreign"], others["moved"]
        Vendor(route.journey, "team/foreign").tag(
            foreign, self.SIGNERS["rsa"].signature_of(foreign)
        )
        Vendor(route.journey, "team/moved").tag(moved, signer.signature_of(APP))
        done = refused(
            route.journey.create("--verify-image-key", self.key_file(route)),
            11,
            "ImageSignatureInvalid",
        )
        assert "3 of 4 images are not signed as they must be" in done.err
        assert "team/plain:1" in done.err
        assert "no signature" in done.err
        assert "a signature by another key" in done.err
        assert f"a signature of {APP.digest}" in done.err
        assert "no bundle was written" in done.err
        assert not route.journey.bundle.exists()

    def test_a_key_can_be_bound_to_names(self, route: Route) -> None:
        route.journey.push("quay.io/other/tool:1", make_image([b"tool"]))
        route.journey.deploy("team/app:1", "quay.io/other/tool:1")
        route.vendor.tag(APP, self.SIGNERS["ecdsa"].signature_of(APP))
        key = self.key_file(route)
        done = succeeded(route.journey.create("--verify-image-key", f"docker.io/team/*={key}"))
        assert "1 images have no --verify-image-key; not checked" in done.err
        refused(
            route.journey.create("--verify-image-key", f"quay.io/*={key}"),
            11,
            "ImageSignatureInvalid",
        )
        refused(route.journey.create("--verify-image-key", f"gcr.io/*={key}"), 2, "UsageError")


_COSIGN = shutil.which("cosign")


@pytest.mark.skipif(_COSIGN is None, reason="cosign is not on PATH")
class TestCosign:
    """Signatures that cosign itself made, old form and new, and what it says of them after."""

    def run(self, route: Route, *arguments: str) -> None:
        done = subprocess.run(
            [str(_COSIGN), *arguments],
            cwd=route.journey.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(route.journey.folder),
                "COSIGN_PASSWORD": "",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("new", [False, True], ids=["tag", "bundle"])
    def test_signs_upstream_and_verifies_in_the_target(self, route: Route, new: bool) -> None:
        self.run(route, "generate-key-pair")
        image = f"{route.source_registry.host}/docker.io/team/app@{APP.digest}"
        form = [f"--new-bundle-format={str(new).lower()}", "--allow-insecure-registry"]
        self.run(
            route,
            *("sign", "--yes", "--key", "cosign.key", "--tlog-upload=false"),
            *("--use-signing-config=false", *form, image),
        )
        succeeded(route.journey.create("--verify-image-key", "cosign.pub"))
        assert len(route.inspected()["images"][0]["signedBy"]) == 1
        assert [one["kind"] for one in route.attached()] == ["signature"]
        assert route.applied()["refused"] == []
        there = f"{route.registry.host}/{route.repository}@{APP.digest}"
        self.run(
            route,
            *("verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", *form, there),
        )


class TestUpstream:
    """A source registry that answers otherwise than it should."""

    def test_what_is_listed_and_gone_is_left_out_with_a_warning(self, route: Route) -> None:
        route.vendor.refer(SBOM, SCAN)
        route.source.add(Rule(Answer(404), "GET", f"/manifests/{SBOM.digest}$", times=None))
        done = succeeded(route.journey.create())
        assert f"{SBOM.digest}, attached to {APP.digest}, is not bundled: no such image" in done.err
        assert [one["root"] for one in route.attached()] == [SCAN.digest]

    def test_what_names_another_subject_is_left_out_with_a_warning(self, route: Route) -> None:
        foreign = sbom_of(make_image([b"another"]))
        for one in (foreign, SCAN):
            route.journey.push(f"team/app@{one.digest}", one)
        listed = make_index([foreign, SCAN])
        route.journey.push(f"team/app:{cosign_tag(APP, '')}", listed)
        route.vendor.tag(APP, foreign)
        done = succeeded(route.journey.create())
        assert done.err.count("it names another subject") == 2
        assert [one["root"] for one in route.attached()] == [SCAN.digest]

    @pytest.mark.parametrize("status", [400, 403, 404, 405])
    def test_a_registry_that_refuses_the_question_has_none(self, route: Route, status: int) -> None:
        everything(route)
        for method, path in (("HEAD", "/manifests/sha256-"), ("GET", "/referrers/")):
            route.source.add(Rule(Answer(status), method, path, times=None))
        succeeded(route.journey.create())
        assert route.attached() == []

    def test_a_registry_that_fails_at_the_question_fails_the_run(self, route: Route) -> None:
        everything(route)
        refusal = Answer(429, {"Retry-After": "100000"})
        route.source.add(Rule(refusal, "HEAD", "/manifests/sha256-", times=None))
        refused(route.journey.create(), 40, "UpstreamUnavailable")
        assert not route.journey.bundle.exists()

    def test_more_than_a_statement_may_list_are_refused(self, route: Route) -> None:
        entry = {"mediaType": OCI_MANIFEST, "size": 2}
        entries = [{**entry, "digest": f"sha256:{number:064x}"} for number in range(1001)]
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        answer = Answer(200, {"Content-Type": OCI_INDEX}, raw.encode())
        route.source.add(Rule(answer, "GET", "/referrers/", times=None))
        done = refused(route.journey.create(), 14, "LimitExceeded")
        assert "--no-signatures" in done.err

    def test_the_next_page_of_a_list_is_on_the_same_server(self, route: Route) -> None:
        link = '<http://elsewhere.example/v2/x>; rel="next"'
        route.source.add(_page(f"/referrers/{APP.digest}$", link=link))
        refused(route.journey.create(), 25, "UnsafeRedirect")

    @pytest.mark.parametrize("piece", ["<", "<>;", "<>; ", "<x>; rel=nex"])
    def test_links_of_any_form_are_read_at_once(self, route: Route, piece: str) -> None:
        """The time would be hours, if each way to read them were tried."""
        link = piece * (60_000 // len(piece))
        route.source.add(_page(f"/referrers/{APP.digest}$", link=link))
        done = refused(route.journey.create(), 14, "LimitExceeded")
        assert "links" in done.err
        route.source.clear()
        route.source.add(_page(f"/referrers/{APP.digest}$", link=piece * (16_000 // len(piece))))
        succeeded(route.journey.create())
