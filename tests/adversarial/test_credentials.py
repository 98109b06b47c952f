"""Group F, origins: where credentials and content are sent, and where they are not."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from support.commands import Finished
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Rewrite, Rule, redirect
from support.gate import BUNDLE, IMAGES, LARGE, NAMESPACE, Gate
from support.images import make_image
from support.in_process import run_here
from support.journey import deployment, refused, succeeded, write_key_pair
from support.pushing import Access, push_image
from support.tls import Authority, Certificate, server_context
from support.token_server import MakeTokenServer, TokenPolicy

pytestmark = pytest.mark.usefixtures("haste")

_USER, _PASSWORD = "robot", "s3cret:word"
_UPLOADS = "/blobs/uploads/"


@pytest.fixture
def closed(
    gate: Gate,
    htpasswd_registry: DockerRegistry,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    """A gate before a registry with a password that the importer knows."""
    monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", _USER)
    monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", _PASSWORD)
    return replace(gate, registry=htpasswd_registry, proxy=make_proxy(htpasswd_registry.host))


def _port(proxy: FaultProxy) -> str:
    return proxy.host.rpartition(":")[2]


def _assert_unseen(recorder: FaultProxy) -> None:
    assert recorder.requests() == []


class TestF01:
    """Uploads that are to go to another origin."""

    @pytest.mark.parametrize(
        "location",
        [
            "http://localhost:{port}/v2/x/blobs/uploads/1?_state=canary",
            "http://127.0.0.1:{port}/v2/x/blobs/uploads/1?_state=canary",
            "https://127.0.0.1:{own}/v2/x/blobs/uploads/1",
            "//localhost:{port}/x",
            "http://robot:s3cret@127.0.0.1:{own}/v2/x/blobs/uploads/1",
            "http://127.0.0.1:{own}@localhost:{port}/x",
            "http://localhost:{port}\\@127.0.0.1:{own}/x",
            "file:///etc/passwd",
        ],
    )
    def test_get_nothing(self, closed: Gate, make_proxy: MakeProxy, location: str) -> None:
        recorder = make_proxy(closed.registry.host)
        text = location.format(port=_port(recorder), own=_port(closed.proxy))
        closed.proxy.add(Rule(Rewrite(headers={"Location": text}), "POST", times=None))
        done = closed.fails(25, "UnsafeUploadLocation")
        assert closed.proxy.requests("PUT|PATCH") == []
        assert "canary" not in done.err
        assert "s3cret" not in done.err
        _assert_unseen(recorder)
        if text.startswith("http://localhost"):
            # Both origins and what to mend.
            assert closed.proxy.url in done.err
            assert "relativeurls" in done.err

    def test_get_content_where_that_is_allowed(
        self, closed: Gate, registry: DockerRegistry, make_proxy: MakeProxy
    ) -> None:
        """But never the credentials: the other host's storage is open, and asks for none."""
        closed.registry.stop()
        shared = DockerRegistry(closed.registry.storage.root.parent, RegistryOptions())
        with shared:
            gate = replace(closed, registry=shared, proxy=make_proxy(shared.host))
            elsewhere = make_proxy(shared.host)
            gate.proxy.advertised = f"http://localhost:{_port(elsewhere)}"
            succeeded(gate.apply("--upload-host", "localhost"))
            assert gate.proxy.requests("PUT", _UPLOADS) == []
            assert elsewhere.requests("PUT", _UPLOADS)
            assert not [one for one in elsewhere.requests() if "authorization" in one.headers]
            gate.assert_complete()

    @pytest.mark.parametrize("allowed", ["localhost.evil.test", "127.0.0.1", "ocalhost"])
    def test_get_nothing_where_another_host_is_allowed(
        self, closed: Gate, make_proxy: MakeProxy, allowed: str
    ) -> None:
        recorder = make_proxy(closed.registry.host)
        closed.proxy.advertised = f"http://localhost:{_port(recorder)}"
        closed.fails(25, "UnsafeUploadLocation", run=lambda: closed.apply("--upload-host", allowed))
        _assert_unseen(recorder)


class TestF02:
    """Token servers that the registry has no right to name."""

    @pytest.mark.parametrize(
        "realm",
        [
            "http://localhost:{port}/token",
            "http://127.0.0.2:{port}/token",
            "http://169.254.169.254/latest/meta-data/",
            "http://2130706433:{port}/token",
            "http://0x7f.1:{port}/token",
            "http://[::ffff:127.0.0.1]:{port}/token",
            "http://robot:s3cret@127.0.0.1:{port}/token",
            "//localhost:{port}/token",
            "gopher://127.0.0.1:{port}/",
        ],
    )
    @pytest.mark.parametrize("option", [(), ("--token-host", "169.254.169.254")])
    def test_see_no_credentials(
        self, closed: Gate, make_proxy: MakeProxy, realm: str, option: tuple[str, ...]
    ) -> None:
        recorder = make_proxy(closed.registry.host)
        text = realm.format(port=_port(recorder))
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{text}",service="x"'})
        closed.proxy.add(Rule(challenge, times=None))
        done = closed.fails(25, "UnsafeTokenRealm", run=lambda: closed.apply(*option))
        _assert_unseen(recorder)
        assert not [one for one in closed.proxy.requests() if "authorization" in one.headers]
        assert "s3cret" not in done.err

    def test_see_them_when_they_are_named(
        self,
        closed: Gate,
        make_registry: MakeRegistry,
        make_token_server: MakeTokenServer,
        make_proxy: MakeProxy,
    ) -> None:
        tokens = make_token_server(TokenPolicy(users={_USER: _PASSWORD}, anonymous=None))
        realm = tokens.realm.realm.replace("127.0.0.1", "localhost")
        guarded = make_registry(RegistryOptions(token=replace(tokens.realm, realm=realm)))
        gate = replace(closed, registry=guarded, proxy=make_proxy(guarded.host))
        done = gate.fails(25, "UnsafeTokenRealm")
        assert "--token-host localhost" in done.err
        assert tokens.requests == []
        gate.heals("--token-host", "localhost")


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A gate before a TLS proxy, and the authority that vouches for it."""

    gate: Gate
    ca: Path

    def apply(self, *options: str | Path) -> Finished:
        """Run apply by https."""
        command = [part for part in self.gate.command(*options) if part != "--plain-http"]
        return run_here(self.gate.folder, *command)


@pytest.fixture
def encrypted(closed: Gate, certificate: Certificate, servers: ExitStack) -> Encrypted:
    proxy = servers.enter_context(FaultProxy(closed.registry.host, tls=certificate))
    return Encrypted(replace(closed, proxy=proxy), certificate.ca)


class TestF03:
    """Ways out of TLS."""

    def _fails(self, encrypted: Encrypted, name: str, *options: str) -> Finished:
        given: tuple[str | Path, ...] = ("--ca-file", encrypted.ca, *options)
        return encrypted.gate.fails(25, name, run=lambda: encrypted.apply(*given))

    def test_control(self, encrypted: Encrypted) -> None:
        succeeded(encrypted.apply("--ca-file", encrypted.ca))
        encrypted.gate.assert_complete()

    @pytest.mark.parametrize("option", [(), ("--upload-host", "127.0.0.1")])
    def test_by_an_upload_location(
        self, encrypted: Encrypted, make_proxy: MakeProxy, option: tuple[str, ...]
    ) -> None:
        recorder = make_proxy(encrypted.gate.registry.host)
        encrypted.gate.proxy.advertised = recorder.url
        self._fails(encrypted, "UnsafeUploadLocation", *option)
        _assert_unseen(recorder)

    @pytest.mark.parametrize("option", [(), ("--token-host", "127.0.0.1")])
    def test_by_a_realm(
        self, encrypted: Encrypted, make_proxy: MakeProxy, option: tuple[str, ...]
    ) -> None:
        recorder = make_proxy(encrypted.gate.registry.host)
        challenge = {"WWW-Authenticate": f'Bearer realm="{recorder.url}/token"'}
        encrypted.gate.proxy.add(Rule(Answer(401, challenge), times=None))
        self._fails(encrypted, "UnsafeTokenRealm", *option)
        _assert_unseen(recorder)

    def test_by_a_redirect(self, encrypted: Encrypted, make_proxy: MakeProxy) -> None:
        recorder = make_proxy(encrypted.gate.registry.host)
        away = redirect(f"{recorder.url}/v2/")
        encrypted.gate.proxy.add(Rule(away, "GET|HEAD", "/manifests/", times=None))
        self._fails(encrypted, "UnsafeRedirect")
        _assert_unseen(recorder)


@pytest.mark.parametrize("advertised", ["http://LOCALHOST.:{port}", "http://localhost:{port}", ""])
def test_f04_the_same_origin_in_other_words(closed: Gate, advertised: str) -> None:
    host = f"localhost:{_port(closed.proxy)}"
    closed.proxy.advertised = advertised.format(port=_port(closed.proxy))
    succeeded(closed.apply(host=host))
    assert closed.proxy.requests("PUT", _UPLOADS)
    closed.assert_complete()


class TestF05:
    """What other programs would obey."""

    def test_netrc_gives_no_password(self, closed: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AIRGAP_REGISTRY_USERNAME")
        netrc = closed.folder / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login {_USER} password {_PASSWORD}\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        closed.fails(21, "AuthFailed")
        assert not [one for one in closed.proxy.requests() if "authorization" in one.headers]

    def test_proxies_are_not_used(
        self, closed: Gate, make_proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorder = make_proxy(closed.registry.host)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, recorder.url)
            monkeypatch.setenv(name.upper(), recorder.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        succeeded(closed.apply())
        _assert_unseen(recorder)

    def test_bundles_of_authorities_are_not_used(
        self, encrypted: Encrypted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"):
            monkeypatch.setenv(name, str(encrypted.ca))
        encrypted.gate.fails(25, "TLSVerifyFailed", run=encrypted.apply)
        _assert_unseen(encrypted.gate.proxy)

    def test_the_one_that_stands_for_the_systems_own_is(
        self, encrypted: Encrypted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As everywhere with OpenSSL; it is documented."""
        monkeypatch.setenv("SSL_CERT_FILE", str(encrypted.ca))
        succeeded(encrypted.apply())


class TestF06:
    """Certificates that prove nothing."""

    def _certificates(self, folder: Path) -> Mapping[str, Certificate]:
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
        authority = Authority(folder / "authority")
        alone = Authority(folder / "alone").issue()
        return {
            "unknown": authority.issue(),
            "expired": authority.issue(until=past),
            "of another host": authority.issue("other.example"),
            "its own authority": replace(alone, ca=alone.chain),
        }

    @pytest.fixture
    def behind(self, closed: Gate, servers: ExitStack) -> Callable[[Certificate], Encrypted]:
        def start(certificate: Certificate) -> Encrypted:
            server_context(certificate)
            proxy = servers.enter_context(FaultProxy(closed.registry.host, tls=certificate))
            return Encrypted(replace(closed, proxy=proxy), certificate.ca)

        return start

    @pytest.mark.parametrize(
        ("kind", "trusted"),
        [
            ("unknown", False),
            ("expired", False),
            ("expired", True),
            ("of another host", True),
            ("its own authority", False),
        ],
    )
    def test_are_refused(
        self,
        tmp_path: Path,
        behind: Callable[[Certificate], Encrypted],
        kind: str,
        trusted: bool,
    ) -> None:
        here = behind(self._certificates(tmp_path)[kind])
        options = ("--ca-file", here.ca) if trusted else ()
        done = here.gate.fails(25, "TLSVerifyFailed", run=lambda: here.apply(*options))
        assert "; nothing was sent there (" in done.err
        assert " – nothing was changed – " in done.err
        assert "--ca-file" in done.err
        _assert_unseen(here.gate.proxy)

    @pytest.mark.parametrize("kind", ["unknown", "its own authority"])
    def test_are_taken_when_they_are_named(
        self, tmp_path: Path, behind: Callable[[Certificate], Encrypted], kind: str
    ) -> None:
        here = behind(self._certificates(tmp_path)[kind])
        succeeded(here.apply("--ca-file", here.ca))
        here.gate.assert_complete()


class TestF07:
    """Plain http that nobody allowed."""

    def _apply(self, gate: Gate, host: str) -> Finished:
        command = [part for part in gate.command(host=host) if part != "--plain-http"]
        return run_here(gate.folder, *command)

    def test_to_a_host_elsewhere(self, gate: Gate) -> None:
        """``127.1`` leads here, but is not recognized as this machine."""
        host = f"127.1:{_port(gate.proxy)}"
        done = gate.fails(25, "PlainHttpRefused", run=lambda: self._apply(gate, host))
        assert " – nothing was changed – " in done.err
        assert "--plain-http" in done.err
        _assert_unseen(gate.proxy)

    def test_to_this_machine_with_credentials(self, closed: Gate) -> None:
        closed.fails(25, "PlainHttpRefused", run=lambda: self._apply(closed, closed.proxy.host))
        _assert_unseen(closed.proxy)

    def test_to_this_machine_without(self, gate: Gate) -> None:
        succeeded(self._apply(gate, gate.proxy.host))
        gate.assert_complete()


class TestF08:
    """A wrong password must not lock the account."""

    def test_is_shown_once(self, closed: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", "wrong-canary")
        done = closed.fails(21, "AuthFailed")
        shown = [one for one in closed.proxy.requests() if "authorization" in one.headers]
        assert len(shown) == 1
        assert "wrong-canary" not in done.err

    def test_is_shown_to_a_token_server_once(
        self,
        closed: Gate,
        make_registry: MakeRegistry,
        make_token_server: MakeTokenServer,
        make_proxy: MakeProxy,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", "wrong-canary")
        tokens = make_token_server(TokenPolicy(users={_USER: _PASSWORD}, anonymous=None))
        guarded = make_registry(RegistryOptions(token=tokens.realm))
        gate = replace(closed, registry=guarded, proxy=make_proxy(guarded.host))
        gate.fails(21, "AuthFailed")
        assert len(tokens.requests) == 1


class TestRedirectsOfReading:
    """GET and HEAD may be sent to a storage, three times at most, and alone."""

    @pytest.fixture
    def imported(self, closed: Gate) -> Gate:
        succeeded(closed.apply())
        closed.proxy.clear()
        return closed

    @pytest.fixture
    def storage(self, make_registry: MakeRegistry, make_proxy: MakeProxy) -> FaultProxy:
        """An open one with the same content under another origin."""
        registry = make_registry(RegistryOptions())
        image = IMAGES["five"]
        push_image(registry.host, f"{NAMESPACE}/five", "1", image)
        return make_proxy(registry.host)

    def test_go_without_credentials(self, imported: Gate, storage: FaultProxy) -> None:
        path = f"/v2/{NAMESPACE}/five/manifests/{IMAGES['five'].digest}"
        imported.proxy.add(Rule(redirect(f"{storage.url}{path}?sig=canary"), "GET", path))
        succeeded(imported.apply())
        assert len(storage.requests("GET", path)) == 1
        assert not [one for one in storage.requests() if "authorization" in one.headers]

    @pytest.mark.parametrize(("hops", "code"), [(3, 0), (4, 25)])
    def test_come_to_an_end(self, imported: Gate, hops: int, code: int) -> None:
        path = f"/v2/{NAMESPACE}/five/manifests/{IMAGES['five'].digest}"
        imported.proxy.add(Rule(redirect(path), "GET", path, times=hops))
        done = imported.apply()
        if code:
            refused(done, code, "UnsafeRedirect")
        else:
            succeeded(done)

    def test_of_a_blob_that_is_read_back(self, imported: Gate, make_proxy: MakeProxy) -> None:
        imported.registry.stop()
        folder = imported.registry.storage.root.parent
        with DockerRegistry(folder, RegistryOptions()) as shared:
            gate = replace(imported, registry=shared, proxy=make_proxy(shared.host))
            storage = make_proxy(shared.host)
            path = f"/v2/{NAMESPACE}/one/blobs/{LARGE.digest}"
            gate.proxy.add(Rule(redirect(f"{storage.url}{path}"), "GET", path, times=None))
            succeeded(gate.apply("--read-back"))
            assert storage.requests("GET", path)
            assert not [one for one in storage.requests() if "authorization" in one.headers]


class TestF10:
    """What travels in a bundle."""

    @pytest.fixture
    def work(self, gate: Gate) -> Iterator[Path]:
        folder = gate.folder / "vendor"
        (folder / "app").mkdir(parents=True)
        write_key_pair(folder, "vendor")
        yield folder
        shutil.rmtree(folder)

    def test_is_no_credential_of_a_private_upstream(
        self, work: Path, closed: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = closed.registry.host
        access = Access.basic(_USER, _PASSWORD)
        push_image(host, "docker.io/team/app", "1", make_image([b"private"]), access)
        (work / "app" / "app.yaml").write_text(deployment("web", "team/app:1"))
        encoded = access.headers["Authorization"].removeprefix("Basic ")
        login = {"auths": {host: {"auth": encoded}}}
        (work / "auth.json").write_text(json.dumps(login))
        command = (
            *("airgap-bundle", "create", "app", "--name", "shop", "--version", "1"),
            *("--key", "vendor.key", "--output", BUNDLE, "--platform", "linux/amd64"),
            *("--mirror", f"*={host}", "--plain-http", host, "--authfile", "auth.json"),
        )
        for name in ("AIRGAP_REGISTRY_USERNAME", "AIRGAP_REGISTRY_PASSWORD"):
            monkeypatch.delenv(name)
        done = succeeded(run_here(work, *command))
        unpacked = _decompressed(work / BUNDLE)
        for secret in (_PASSWORD, encoded, "s3cret", "_state=", "Authorization", "@127.0.0.1"):
            assert secret.encode() not in unpacked
            assert secret not in done.out + done.err


def _decompressed(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
