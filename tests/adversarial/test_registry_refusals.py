"""Group E, refusals: permissions, read-only registries, tags of others, and redirected pushes."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from support.attaching import cosign_tag, signature_list
from support.docker_registry import MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, DropAfterCommit, Rewrite, Rule, redirect
from support.gate import BUNDLE, IMAGES, NAMESPACE, RELEASE_TAGS, Gate
from support.hostile import Draft, Key
from support.images import make_image
from support.journey import deployment, refused, succeeded
from support.meddling import MeddlingProxy
from support.pushing import push_image
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer

pytestmark = pytest.mark.usefixtures("haste")

_PASSWORD = "s3cret:word"
_OTHER = make_image([b"of somebody else"])
_TAG = "/manifests/1$"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A gate before a registry with a token server, itself behind a proxy."""

    gate: Gate
    tokens: TokenServer
    issuer: FaultProxy


@pytest.fixture
def guarded(
    gate: Gate,
    make_registry: MakeRegistry,
    make_token_server: MakeTokenServer,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Guarded:
    monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", "robot")
    monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", _PASSWORD)
    tokens = make_token_server(TokenPolicy(users={"robot": _PASSWORD}, anonymous=None))
    issuer = make_proxy(tokens.host)
    realm = replace(tokens.realm, realm=f"{issuer.url}/token")
    registry = make_registry(RegistryOptions(token=realm))
    return Guarded(
        replace(gate, registry=registry, proxy=make_proxy(registry.host)), tokens, issuer
    )


def _reading_only(*names: str) -> frozenset[str]:
    return frozenset(f"{NAMESPACE}/{name}" for name in names)


class TestE09:
    """Token servers that give none."""

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(500),
            Answer(503, {}, b"<html>later</html>"),
            Answer(200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
            Answer(200, {}, b'{"nothing": "here"}'),
            Answer(200, {}, b""),
        ],
        ids=["500", "503", "html", "no token", "empty"],
    )
    def test_is_a_failure_to_log_in(self, guarded: Guarded, answer: Answer) -> None:
        guarded.issuer.add(Rule(answer, times=None))
        done = guarded.gate.sends_nothing(21, "AuthFailed")
        assert guarded.issuer.host in done.err
        assert _PASSWORD not in done.err
        guarded.issuer.clear()
        guarded.gate.heals()


class TestE10:
    """Repositories that may be read only."""

    @pytest.mark.parametrize("denied", [("three",), ("two", "five"), tuple(IMAGES)])
    def test_are_found_before_anything_is_pushed(
        self, guarded: Guarded, denied: tuple[str, ...]
    ) -> None:
        gate, tokens = guarded.gate, guarded.tokens
        policy = tokens.policy
        tokens.policy = replace(policy, read_only=_reading_only(*denied))
        done = refused(gate.apply(), 21, "Denied")
        for name in IMAGES:
            assert (f"{NAMESPACE}/{name}" in done.err) is (name in denied)
        assert "robot" in done.err
        assert gate.proxy.requests("PUT|PATCH") == []
        assert gate.registry.storage.blobs() == {}
        assert not gate.overlay.exists()
        tokens.policy = policy
        gate.heals()

    def test_by_a_403_for_one_of_five(self, gate: Gate) -> None:
        body = b'{"errors":[{"code":"DENIED","message":"quota of the project"}]}'
        path = f"/{NAMESPACE}/four/blobs/uploads/"
        gate.proxy.add(Rule(Answer(403, {}, body), "POST", path, times=None))
        done = gate.sends_nothing(21, "Denied")
        assert f"{NAMESPACE}/four" in done.err
        assert "quota of the project" in done.err
        gate.heals()

    def test_are_not_asked_when_nothing_is_to_be_written(self, guarded: Guarded) -> None:
        gate, tokens = guarded.gate, guarded.tokens
        succeeded(gate.apply())
        tokens.policy = replace(tokens.policy, read_only=_reading_only(*IMAGES))
        gate.proxy.clear()
        succeeded(gate.apply())
        assert gate.proxy.mutations() == []

    def test_are_told_by_a_dry_run(self, guarded: Guarded) -> None:
        gate, tokens = guarded.gate, guarded.tokens
        before = gate.registry.storage.snapshot()
        tokens.policy = replace(tokens.policy, read_only=_reading_only("two", "five"))
        done = refused(gate.apply("--dry-run"), 21, "Denied")
        for name in IMAGES:
            assert (f"{NAMESPACE}/{name}: the account" in done.err) is (name in ("two", "five"))
        assert "would push 7 manifests" in done.out
        assert {one.method for one in gate.proxy.mutations()} <= {"POST", "DELETE"}
        assert gate.registry.storage.snapshot() == before

    def test_leave_no_session_open_when_a_dry_run_asks(self, gate: Gate) -> None:
        succeeded(gate.apply("--dry-run"))
        methods = [one.method for one in gate.proxy.mutations()]
        assert sorted(methods) == ["DELETE"] * len(IMAGES) + ["POST"] * len(IMAGES)
        assert gate.registry.storage.open_uploads() == 0

    def test_come_after_tags_in_the_way(self, gate: Gate) -> None:
        """A conflict is told before the first request that would change something."""
        push_image(gate.registry.host, f"{NAMESPACE}/two", "1", _OTHER)
        gate.proxy.add(Rule(Answer(403), "POST", times=None))
        gate.fails(23, "TagConflict")
        assert gate.proxy.mutations() == []


class TestE22:
    """Registries that nobody may write to."""

    def test_are_named_before_anything_is_pushed(
        self, gate: Gate, make_registry: MakeRegistry, make_proxy: MakeProxy
    ) -> None:
        closed = make_registry(RegistryOptions(read_only=True))
        gate = replace(gate, registry=closed, proxy=make_proxy(closed.host))
        done = gate.sends_nothing(22, "RegistryRejected")
        assert "read-only" in done.err
        assert all(f"{NAMESPACE}/{name}" in done.err for name in IMAGES)


class TestE23:
    """Tags that cannot be written again."""

    _IMMUTABLE = Answer(409, {}, b'{"errors":[{"code":"TAG_IMMUTABLE","message":"m"}]}')

    def _freeze(self, gate: Gate, names: Collection[str] = tuple(IMAGES)) -> None:
        for name in names:
            path = f"/{NAMESPACE}/{name}/manifests/(1|airgap-.*)$"
            gate.proxy.add(Rule(self._IMMUTABLE, "PUT", path, times=None))

    def test_are_left_alone_when_they_are_right(self, gate: Gate) -> None:
        succeeded(gate.apply())
        gate.proxy.clear()
        self._freeze(gate)
        succeeded(gate.apply())
        assert gate.proxy.mutations() == []
        gate.assert_complete()

    def test_are_left_alone_where_content_is_sent_again(self, gate: Gate) -> None:
        """The storage has lost a blob: it comes back, and the tags are not written."""
        succeeded(gate.apply())
        gate.proxy.clear()
        gate.registry.storage.blob_path(next(iter(IMAGES["five"].blobs))).unlink()
        self._freeze(gate)
        succeeded(gate.apply("--check-blobs"))
        assert gate.proxy.requests("PUT", "/blobs/uploads/")
        gate.assert_complete()

    def test_are_a_conflict_when_they_name_something_else(self, gate: Gate) -> None:
        push_image(gate.registry.host, f"{NAMESPACE}/four", "1", _OTHER)
        self._freeze(gate)
        done = gate.fails(23, "TagConflict")
        assert f"{NAMESPACE}/four:1 is {_OTHER.digest}" in done.err
        assert gate.proxy.mutations() == []

    def test_move_nothing_when_one_may_not_be_moved(self, gate: Gate) -> None:
        push_image(gate.registry.host, f"{NAMESPACE}/four", "1", _OTHER)
        gate.proxy.add(Rule(self._IMMUTABLE, "PUT", f"/{NAMESPACE}/four/manifests/1$", times=None))
        done = gate.fails(23, "TagImmutable", run=lambda: gate.apply("--move-tags"), unseen=True)
        assert "no release tag was set" in done.err
        gate.heals("--move-tags")

    def test_tell_what_was_set_before_one_was_refused(self, gate: Gate) -> None:
        gate.proxy.add(Rule(self._IMMUTABLE, "PUT", f"/{NAMESPACE}/five/manifests/1$", times=None))
        done = refused(gate.apply("--jobs", "1"), 23, "TagImmutable")
        told = done.err.partition("the tags set are ")[2].partition(";")[0].split(", ")
        found = gate.registry.storage.all_tags().keys() & RELEASE_TAGS.keys()
        assert sorted(told) == sorted(f"{gate.proxy.host}/{name}:{tag}" for name, tag in found)
        assert len(told) == 4
        assert not (gate.overlay / "overlays").exists()
        gate.heals()


class TestAnswersToTags:
    """Release tags that the registry sets, while the answer is lost or another one."""

    @pytest.mark.parametrize(
        "action",
        [
            DropAfterCommit(),
            Rewrite(status=500),
            Rewrite(status=400),
            Rewrite(headers={"Docker-Content-Digest": _OTHER.digest}),
        ],
        ids=["none", "500", "400", "another digest"],
    )
    def test_leave_open_what_is_set(self, gate: Gate, action: DropAfterCommit | Rewrite) -> None:
        path = f"/{NAMESPACE}/five/manifests/1$"
        gate.proxy.add(Rule(action, "PUT", path, times=None))
        names = ("RegistryUnavailable", "RegistryRejected", "RegistryIntegrity")
        done = refused(gate.apply("--jobs", "1"), (20, 22, 24), *names)
        unsure = f"{gate.proxy.host}/{NAMESPACE}/five:1"
        assert f"; tags that may be set are {unsure};" in done.err
        sure = done.err.partition("the tags set are ")[2].partition(";")[0].split(", ")
        found = gate.registry.storage.all_tags().keys() & RELEASE_TAGS.keys()
        assert sorted([*sure, unsure]) == sorted(
            f"{gate.proxy.host}/{name}:{tag}" for name, tag in found
        )
        gate.heals()

    def test_never_say_that_none_is_set(self, gate: Gate) -> None:
        gate.proxy.add(Rule(DropAfterCommit(), "PUT", _TAG, times=None))
        done = refused(gate.apply(), 20, "RegistryUnavailable")
        assert "tags that may be set are " in done.err
        assert "no release tag was set" not in done.err
        gate.heals()


class TestE24:
    """Another client moves a tag while the import runs."""

    @pytest.fixture
    def meddled(self, gate: Gate, servers: ExitStack) -> tuple[Gate, MeddlingProxy]:
        proxy = servers.enter_context(MeddlingProxy(gate.registry.host))
        return replace(gate, proxy=proxy), proxy

    def _steal(self, gate: Gate) -> None:
        push_image(gate.registry.host, f"{NAMESPACE}/four", "1", _OTHER)

    def test_between_the_look_and_the_tags(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        proxy.meddle(lambda: self._steal(gate), "PUT", "/manifests/sha256")
        done = refused(gate.apply(), 23, "TagConflict")
        assert f"{NAMESPACE}/four:1 is {_OTHER.digest}" in done.err
        assert "no release tag was set" in done.err
        tags = gate.registry.storage.all_tags()
        assert {key: digest for key, digest in tags.items() if key in RELEASE_TAGS} == {
            (f"{NAMESPACE}/four", "1"): _OTHER.digest
        }
        assert proxy.requests("PUT", _TAG) == []
        self._assert_nothing_done(gate)
        gate.heals("--move-tags")

    def test_after_those_of_signatures_were_set(
        self, meddled: tuple[Gate, MeddlingProxy], key: Key
    ) -> None:
        gate, proxy = meddled
        app, signature = make_image([b"signed by its vendor"]), signature_list((b"payload", "c2ln"))
        tag = cosign_tag(app)
        entry = {
            "root": signature.digest,
            "mediaType": signature.media_type,
            "subject": app.digest,
            "tag": tag,
            "kind": "signature",
        }
        name, files = "docker.io/team/four:1", {"app.yaml": deployment("web", "team/four:1")}
        draft = Draft.with_attached({name: app}, files, {name: [entry]}, (signature,))
        (gate.folder / BUNDLE).write_bytes(draft.pack(key))
        proxy.meddle(lambda: self._steal(gate), "PUT", "/manifests/sha256")
        done = refused(gate.apply(), 23, "TagConflict")
        assert "the images are in the registry; no release tag was set" in done.err
        tags = gate.registry.storage.all_tags()
        assert tags[f"{NAMESPACE}/four", tag] == signature.digest
        assert tags[f"{NAMESPACE}/four", "1"] == _OTHER.digest

    def test_of_an_import_that_may_move_tags(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        proxy.meddle(lambda: self._steal(gate), "PUT", "/manifests/sha256")
        succeeded(gate.apply("--move-tags"))
        gate.assert_complete()

    def test_that_was_right_when_the_import_began(
        self, meddled: tuple[Gate, MeddlingProxy]
    ) -> None:
        gate, proxy = meddled
        succeeded(gate.apply())
        (gate.overlay / ".airgap" / "receipt.json").unlink()
        path = f"/{NAMESPACE}/four{_TAG}"
        proxy.clear()
        proxy.meddle(lambda: self._steal(gate), "HEAD", path, first=2)
        refused(gate.apply(), 23, "TagConflict")
        assert proxy.mutations() == []

    def test_between_the_tag_and_the_look(self, meddled: tuple[Gate, MeddlingProxy]) -> None:
        gate, proxy = meddled
        path = f"/{NAMESPACE}/four{_TAG}"
        proxy.meddle(lambda: self._steal(gate), "HEAD", path, first=3)
        done = refused(gate.apply(), 24, "RegistryIntegrity")
        assert f"names {_OTHER.digest}" in done.err
        assert f"{NAMESPACE}/four:1" in done.err
        self._assert_nothing_done(gate)

    def _assert_nothing_done(self, gate: Gate) -> None:
        assert not (gate.overlay / ".airgap" / "receipt.json").exists()
        assert not (gate.overlay / "overlays").exists()


class TestE26:
    """Pushes that are sent elsewhere."""

    @pytest.mark.parametrize("status", [302, 307])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/sha256"),
            ("PUT", _TAG),
        ],
    )
    def test_send_nothing_there(
        self, guarded: Guarded, make_proxy: MakeProxy, method: str, path: str, status: int
    ) -> None:
        gate = guarded.gate
        elsewhere = make_proxy(gate.registry.host)
        rule = Rule(redirect(f"{elsewhere.url}/away", status), method, path, times=None)
        gate.proxy.add(rule)
        done = gate.fails(25, "UnsafeRedirect", unseen=path == _TAG)
        assert f"to {elsewhere.url}; nothing was sent there" in done.err
        assert elsewhere.requests() == []
        gate.heals()

    def test_tell_what_was_set_before(self, gate: Gate, make_proxy: MakeProxy) -> None:
        elsewhere = make_proxy(gate.registry.host)
        action = redirect(f"{elsewhere.url}/away", 307)
        gate.proxy.add(Rule(action, "PUT", f"/{NAMESPACE}/five{_TAG}", times=None))
        done = refused(gate.apply("--jobs", "1"), 25, "UnsafeRedirect")
        told = done.err.partition("the tags set are ")[2].partition(";")[0].split(", ")
        found = gate.registry.storage.all_tags().keys() & RELEASE_TAGS.keys()
        assert sorted(told) == sorted(f"{gate.proxy.host}/{name}:{tag}" for name, tag in found)
        assert "the overlay was not changed" in done.err
        gate.heals()

    def test_not_even_to_a_host_that_may_get_uploads(
        self, gate: Gate, make_proxy: MakeProxy
    ) -> None:
        elsewhere = make_proxy(gate.registry.host)
        rule = Rule(redirect(f"{elsewhere.url}/away"), "PUT", "/blobs/uploads/", times=None)
        gate.proxy.add(rule)
        gate.fails(25, "UnsafeRedirect", run=lambda: gate.apply("--upload-host", "127.0.0.1"))
        assert elsewhere.requests() == []

    def test_are_followed_where_they_only_read(self, gate: Gate, make_proxy: MakeProxy) -> None:
        succeeded(gate.apply())
        storage = make_proxy(gate.registry.host)
        digest = IMAGES["five"].digest
        path = f"/v2/{NAMESPACE}/five/manifests/{digest}"
        gate.proxy.add(Rule(redirect(f"{storage.url}{path}"), "GET", path, times=None))
        succeeded(gate.apply())
        assert [one.path for one in storage.requests()] == [path]
