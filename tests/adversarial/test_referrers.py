"""Group C, referrers: signatures and the like of images, where a registry does not list them."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.commands import Finished
from support.docker_registry import DockerRegistry
from support.faults import Answer, Meanwhile, Rewrite, Rule
from support.hostile import Draft, Key
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    BuiltImage,
    ImageStyle,
    digest_of,
    make_artifact,
    make_image,
    make_index,
)
from support.journey import Journey, deployment, refused, succeeded
from support.judging import judge_failure, judge_success
from support.pushing import fetch_manifest, push_image
from support.victim import Victim

_NAME = "docker.io/team/app:1"
_FILES = {"app.yaml": deployment("web", "team/app:1")}

Document = dict[str, Any]


def _draft(*images: BuiltImage) -> Draft:
    names = [_NAME, *(f"docker.io/team/app:{n}" for n in range(2, len(images) + 1))]
    return Draft.of(dict(zip(names, images, strict=True)), _FILES)


def _doctored(image: BuiltImage, change: Callable[[Document], object]) -> BuiltImage:
    document = json.loads(image.raw)
    change(document)
    return replace(image, raw=json.dumps(document).encode())


class _Lists:
    """An import of ``SUBJECT`` and of what refers to it, into a namespace of its own."""

    SUBJECT = make_image([b"what is referred to"])
    SBOM = make_artifact(b"ours", "application/vnd.example.sbom", SUBJECT)
    THEIRS = make_artifact(b"of somebody else", "application/vnd.example.signature", SUBJECT)
    TAG = SUBJECT.digest.replace(":", "-")
    PATH = "/manifests/sha256-"
    _namespaces = itertools.count()

    def __init__(
        self, victim: Victim, key: Key, *images: BuiltImage, draft: Draft | None = None
    ) -> None:
        self.victim = victim
        self.proxy = victim.proxy
        self.draft = draft or _draft(*(images or (self.SUBJECT, self.SBOM)))
        self._data = self.draft.pack(key)
        self._namespace = f"referrers{next(self._namespaces)}"
        self.repository = f"{self._namespace}/app"
        #: What may come into the registry: the bundle's, and what the others push meanwhile.
        self._expected = {
            *self.draft.digests,
            *self.THEIRS.all_blobs(),
            *self.THEIRS.all_manifests(),
        }

    def apply(self, *options: str, piped: bool = False) -> Finished:
        """Import."""
        namespace = self._namespace
        return self.victim.apply(self._data, *options, piped=piped, namespace=namespace)

    def imports(self) -> None:
        """Make sure that it is imported, and that only signed content and lists have come."""
        before = self.victim.scene()
        done = self.apply()
        assert judge_success(done, before, self.victim.scene(), self._expected)

    def changes_nothing(self) -> None:
        """Make sure that another import has nothing to do."""
        self.proxy.clear()
        succeeded(self.apply())
        assert self.proxy.mutations() == []

    def conflicts(self, *, piped: bool = False) -> Finished:
        """Make sure that it is refused before anything is asked to change."""
        before = self.victim.scene()
        self.proxy.clear()
        done = refused(self.apply(piped=piped), 22, "ReferrersTagConflict")
        assert self.proxy.mutations() == []
        judge_failure(done, before, self.victim.scene())
        return done

    def fails_late(self, code: int, name: str) -> Finished:
        """Make sure that it is refused before people see anything of it."""
        before = self.victim.scene()
        done = refused(self.apply(), code, name)
        judge_failure(done, before, self.victim.scene(), self._expected, late=True)
        return done

    def put(self, tag: str, image: BuiltImage) -> None:
        """Somebody else puts something under a tag."""
        push_image(self.victim.registry.host, self.repository, tag, image)

    def put_list(self, *images: BuiltImage, **fields: object) -> Document:
        """Somebody else keeps a list of these."""
        made = _doctored(make_index(images), lambda document: document.update(fields))
        self.put(self.TAG, made)
        return made.document

    def listed(self, tag: str = TAG) -> Document:
        """The list as the registry has it."""
        found = fetch_manifest(self.victim.registry.host, self.repository, tag)
        assert found.media_type == OCI_INDEX
        document = json.loads(found.raw)
        assert isinstance(document, dict)
        return document

    def digests(self, tag: str = TAG) -> list[str]:
        """What is in the list."""
        return [entry["digest"] for entry in self.listed(tag)["manifests"]]

    def tags(self) -> dict[str, str]:
        """The tags that people know, and those of lists."""
        tags = self.victim.registry.storage.tags(self.repository)
        return {tag: digest for tag, digest in tags.items() if not tag.startswith("airgap-")}

    def writes(self) -> int:
        """How many times a list was written."""
        return len(self.proxy.requests("PUT", self.PATH))


@pytest.mark.usefixtures("own_renderer")
class TestC16:
    """What refers to an image, where the registry does not list it by itself."""

    @pytest.fixture
    def lists(self, victim: Victim, key: Key) -> _Lists:
        return _Lists(victim, key)

    def test_is_entered_in_a_new_list(self, lists: _Lists) -> None:
        lists.imports()
        assert lists.listed() == {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": OCI_MANIFEST,
                    "digest": lists.SBOM.digest,
                    "size": len(lists.SBOM.raw),
                    "artifactType": "application/vnd.example.sbom",
                }
            ],
        }
        lists.changes_nothing()

    def test_is_entered_after_it_is_there_and_before_release_tags(self, lists: _Lists) -> None:
        lists.imports()
        puts = [one.path.rpartition("/")[2] for one in lists.proxy.requests("PUT", "/manifests/")]
        puts = [one for one in puts if not one.startswith("airgap-")]
        assert set(puts[:2]) == {lists.SUBJECT.digest, lists.SBOM.digest}
        assert puts[2] == lists.TAG
        assert set(puts[3:5]) == {"1", "2"}

    def test_is_told_by_a_dry_run(self, lists: _Lists) -> None:
        lists.proxy.clear()
        assert f"{lists.repository}:{lists.TAG}" in succeeded(lists.apply("--dry-run")).out
        assert {one.method for one in lists.proxy.mutations()} <= {"POST", "DELETE"}
        assert lists.victim.registry.storage.open_uploads() == 0

    def test_is_added_to_what_others_entered(self, lists: _Lists) -> None:
        kept = lists.put_list(lists.THEIRS, annotations={"org.example": "kept"})
        lists.imports()
        found = lists.listed()
        assert found["manifests"][:-1] == kept["manifests"]
        assert lists.digests() == [lists.THEIRS.digest, lists.SBOM.digest]
        assert found["annotations"] == {"org.example": "kept"}
        lists.changes_nothing()

    def test_is_not_entered_twice(self, lists: _Lists) -> None:
        lists.put_list(lists.THEIRS, lists.SBOM)
        before = lists.tags()[lists.TAG]
        lists.imports()
        assert lists.writes() == 0
        assert lists.tags()[lists.TAG] == before
        lists.changes_nothing()

    def test_is_entered_together_with_others_of_the_bundle(self, victim: Victim, key: Key) -> None:
        """Among them an index, and an image that tells its type by its config only."""
        subject = json.loads(_Lists.SBOM.raw)["subject"]
        image, index = make_image([b"says something"]), make_index([make_image([b"and this"])])
        typed = [
            _doctored(one, lambda document: document.update(subject=subject))
            for one in (image, index)
        ]
        lists = _Lists(victim, key, _Lists.SUBJECT, _Lists.SBOM, *typed)
        lists.imports()
        assert lists.writes() == 1
        found = {one["digest"]: one.get("artifactType") for one in lists.listed()["manifests"]}
        assert found == {
            lists.SBOM.digest: "application/vnd.example.sbom",
            typed[0].digest: json.loads(image.raw)["config"]["mediaType"],
            typed[1].digest: None,
        }
        lists.changes_nothing()

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_may_refer_to_what_is_nowhere(self, victim: Victim, key: Key, algorithm: str) -> None:
        value = hashlib.new(algorithm, b"nowhere").hexdigest()
        subject = {"mediaType": OCI_MANIFEST, "digest": f"{algorithm}:{value}", "size": 7}
        alone = _doctored(_Lists.SBOM, lambda document: document.update(subject=subject))
        lists = _Lists(victim, key, alone)
        lists.imports()
        assert lists.digests(f"{algorithm}-{value[:64]}") == [alone.digest]
        lists.changes_nothing()

    @pytest.mark.parametrize("piped", [False, True])
    @pytest.mark.parametrize(
        "other",
        [
            make_image([b"something else"]),
            make_artifact(b"something else", "application/x"),
            make_index([make_image([b"old"], style=ImageStyle(docker=True))], ImageStyle(True)),
        ],
        ids=["image", "artifact", "docker"],
    )
    def test_is_refused_where_the_tag_is_something_else(
        self, lists: _Lists, other: BuiltImage, piped: bool
    ) -> None:
        lists.put(lists.TAG, other)
        done = lists.conflicts(piped=piped)
        assert f"{lists.repository}:{lists.TAG}" in done.err
        assert other.media_type in done.err
        assert "nothing was changed" in done.err
        assert lists.tags() == {lists.TAG: other.digest}

    def test_is_refused_where_the_list_is_full(self, lists: _Lists) -> None:
        lists.put_list(lists.THEIRS, annotations={"long": "x" * ((4 << 20) - 450)})
        assert "full" in lists.conflicts().err

    def test_is_refused_with_all_the_tags_that_are_in_the_way(
        self, victim: Victim, key: Key
    ) -> None:
        second = make_image([b"second"])
        about = make_artifact(b"about the second", "application/x", second)
        lists = _Lists(victim, key, _Lists.SUBJECT, _Lists.SBOM, about)
        tags = (lists.TAG, second.digest.replace(":", "-"))
        for tag in tags:
            lists.put(tag, make_image([b"in the way"]))
        done = lists.conflicts()
        assert all(f"{lists.repository}:{tag}" in done.err for tag in tags)

    def test_is_refused_where_the_tag_becomes_something_else(self, lists: _Lists) -> None:
        steal = Meanwhile(lambda: lists.put(lists.TAG, lists.THEIRS))
        lists.proxy.add(Rule(steal, "GET", lists.PATH, first=2))
        lists.fails_late(22, "ReferrersTagConflict")
        assert lists.tags() == {lists.TAG: lists.THEIRS.digest}
        assert lists.writes() == 0

    def test_survives_somebody_who_writes_the_list_too(self, lists: _Lists) -> None:
        """They read before our entry came, and write after it: it is gone, and is made again."""
        overwrite = Meanwhile(lambda: lists.put_list(lists.THEIRS))
        lists.proxy.add(Rule(overwrite, "GET", lists.PATH, first=3))
        lists.imports()
        assert lists.writes() == 2
        assert lists.digests() == [lists.THEIRS.digest, lists.SBOM.digest]
        lists.changes_nothing()

    def test_gives_up_on_somebody_who_never_stops(self, lists: _Lists) -> None:
        overwrite = Meanwhile(lambda: lists.put_list(lists.THEIRS))
        lists.proxy.add(Rule(overwrite, "GET", lists.PATH, first=3, times=None))
        done = lists.fails_late(24, "RegistryIntegrity")
        assert f"{lists.repository}:{lists.TAG}" in done.err
        assert lists.writes() == 3
        lists.proxy.clear()
        lists.imports()
        assert lists.digests() == [lists.THEIRS.digest, lists.SBOM.digest]

    def test_is_entered_by_the_run_after_one_that_broke_off(self, lists: _Lists) -> None:
        """The manifest is there then, and only the list tells what is left to do."""
        lists.proxy.add(Rule(Answer(400), "PUT", lists.PATH, times=None))
        lists.fails_late(22, "RegistryRejected")
        assert lists.tags() == {}
        lists.proxy.clear()
        lists.imports()
        assert lists.proxy.requests("PUT", f"{lists.repository}/manifests/sha256:") == []
        assert lists.digests() == [lists.SBOM.digest]
        lists.changes_nothing()

    def test_is_entered_again_where_the_list_was_lost_and_that_is_allowed(
        self, lists: _Lists
    ) -> None:
        lists.imports()
        shutil.rmtree(lists.victim.registry.storage.tag_folder(lists.repository, lists.TAG))
        lists.proxy.clear()
        lists.proxy.add(Rule(Answer(403), "POST", f"{lists.repository}/blobs/uploads/"))
        lists.fails_late(21, "Denied")
        assert lists.proxy.requests("PUT") == []
        succeeded(lists.apply())
        assert lists.digests() == [lists.SBOM.digest]
        lists.changes_nothing()

    def test_is_not_entered_beside_what_is_gone(self, lists: _Lists) -> None:
        """docker-registry takes no index with a child that it lacks; nobody's entry is dropped."""
        kept = lists.put_list(lists.THEIRS)
        storage = lists.victim.registry.storage
        storage.revision_link(lists.repository, lists.THEIRS.digest).unlink()
        done = lists.fails_late(22, "RegistryRejected")
        assert f"{lists.repository}:{lists.TAG}" in done.err
        assert "gone" in done.err
        assert lists.listed() == kept
        lists.put(lists.THEIRS.digest, lists.THEIRS)
        lists.imports()
        assert lists.digests() == [lists.THEIRS.digest, lists.SBOM.digest]

    def test_is_left_to_a_registry_that_lists_it(self, lists: _Lists) -> None:
        """As one with the API says: by a header, and by answering when it is asked."""
        self._have_api(lists)
        lists.imports()
        assert lists.tags().keys() == {"1", "2"}
        lists.proxy.clear()
        self._have_api(lists)
        succeeded(lists.apply())
        assert lists.proxy.mutations() == []
        assert lists.tags().keys() == {"1", "2"}

    def test_does_not_mind_the_tag_where_the_registry_lists_it(self, lists: _Lists) -> None:
        other = make_image([b"something else"])
        lists.put(lists.TAG, other)
        self._have_api(lists)
        lists.imports()
        assert lists.tags()[lists.TAG] == other.digest

    @pytest.mark.parametrize("subject", ["", "sha256:", digest_of(b"another")])
    def test_is_not_left_to_a_registry_that_names_another_subject(
        self, lists: _Lists, subject: str
    ) -> None:
        rule = Rule(Rewrite(headers={"OCI-Subject": subject}), "PUT", "/manifests/", times=None)
        lists.proxy.add(rule)
        lists.imports()
        assert lists.digests() == [lists.SBOM.digest]

    def _have_api(self, lists: _Lists) -> None:
        header = Rewrite(headers={"OCI-Subject": lists.SUBJECT.digest})
        path = f"/manifests/{lists.SBOM.digest}$"
        lists.proxy.add(Rule(header, "PUT", path, times=None))
        empty = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
        listing = Answer(200, {"Content-Type": OCI_INDEX}, empty)
        path = f"^/v2/{lists.repository}/referrers/{lists.SUBJECT.digest}$"
        lists.proxy.add(Rule(listing, "GET", path, times=None))

    @pytest.mark.parametrize("kept", [(_Lists.SBOM,), (_Lists.THEIRS,)])
    def test_is_left_to_a_list_that_the_bundle_brings(
        self, victim: Victim, key: Key, kept: tuple[BuiltImage, ...]
    ) -> None:
        """Its bytes are signed, so that nothing can be added to it."""
        images = {
            _NAME: _Lists.SUBJECT,
            "docker.io/team/app:sbom": _Lists.SBOM,
            f"docker.io/team/app:{_Lists.TAG}": (brought := make_index(kept)),
        }
        lists = _Lists(victim, key, draft=Draft.of(images, _FILES))
        lists.imports()
        assert lists.tags()[lists.TAG] == brought.digest
        lists.changes_nothing()

    def test_arrives_from_upstream(self, journey: Journey, registry: DockerRegistry) -> None:
        journey.push("team/app:1", _Lists.SUBJECT)
        journey.push("team/app:sbom", _Lists.SBOM)
        journey.deploy("team/app:1")
        succeeded(journey.create("--image", "team/app:sbom"))
        succeeded(journey.apply())
        (repository,) = {name for name, tag in registry.storage.all_tags() if tag == _Lists.TAG}
        found = json.loads(fetch_manifest(registry.host, repository, _Lists.TAG).raw)
        assert [one["digest"] for one in found["manifests"]] == [_Lists.SBOM.digest]
        assert registry.storage.tags(repository)["1"] == _Lists.SUBJECT.digest
