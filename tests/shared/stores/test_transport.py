from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from airgap_shared.errors import (
    AuthFailed,
    PlainHttpRefused,
    RegistryRejected,
    RegistryTimeout,
    RegistryUnavailable,
    TLSVerifyFailed,
)
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from airgap_shared.stores.settings import ClientSettings, Timing
from airgap_shared.stores.tls import TrustSettings
from airgap_shared.stores.transport import Transport
from support.clients import (
    IMPATIENT,
    FakeClock,
    Identities,
    body_of,
    http_client,
    https_client,
    settings_by,
)
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, Hang, Rule
from support.images import GeneratedContent, chunks_of, make_image
from support.pushing import Access, push_image
from support.tls import Authority
from support.token_server import MakeTokenServer, TokenPolicy

CONTENT = b"".join(chunks_of(GeneratedContent(3 << 20)))
DIGEST = Digest.of(CONTENT)
SCOPE = "repository:team/app:pull,push"
ROBOT = Credential("robot", "s3cret:word")


def test_everything_goes_over_tls(tls_registry: DockerRegistry) -> None:
    with https_client(tls_registry.host, tls_registry.ca_file) as client:
        client.ping()
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
        assert b"".join(client.fetch_blob("app", DIGEST, len(CONTENT))) == CONTENT


def test_an_unknown_authority_is_refused_at_once(tls_registry: DockerRegistry) -> None:
    clock = FakeClock()
    context = TrustSettings({"SSL_CERT_DIR": "/nonexistent"}).context(tls_registry.host)
    with (
        Registry(Endpoint(tls_registry.host), Identities(), context, settings_by(clock)) as client,
        pytest.raises(TLSVerifyFailed, match="certificate is not trusted") as caught,
    ):
        client.ping()
    assert "--ca-file" in caught.value.next_step
    assert caught.value.where == tls_registry.host
    assert clock.pauses == []


def test_a_certificate_for_another_host_is_refused(
    make_registry: MakeRegistry, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "authority").issue("other.example")
    # The throwaway registry itself is not asked whose certificate it shows.
    registry = make_registry(RegistryOptions(tls=other))
    with https_client(registry.host, other.ca) as client, pytest.raises(TLSVerifyFailed):
        client.ping()


def test_verification_can_be_left_out(tls_registry: DockerRegistry) -> None:
    context = TrustSettings({}, insecure=True).context(tls_registry.host)
    with Registry(Endpoint(tls_registry.host), Identities(), context, IMPATIENT) as client:
        client.check_push("app")


def test_the_context_is_all_that_is_trusted(
    tls_registry: DockerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables that requests obeys must not widen the trust behind the user's back."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tls_registry.ca_file))
    with https_client(tls_registry.host) as client, pytest.raises(TLSVerifyFailed):
        client.ping()


def test_https_to_a_plain_http_registry_names_the_flag(registry: DockerRegistry) -> None:
    clock = FakeClock()
    with (
        Registry(Endpoint(registry.host), Identities(), None, settings_by(clock)) as client,
        pytest.raises(PlainHttpRefused) as caught,
    ):
        client.ping()
    assert "--plain-http" in caught.value.next_step
    assert clock.pauses == []


def test_plain_http_to_an_https_registry_names_the_flag(tls_registry: DockerRegistry) -> None:
    with http_client(tls_registry.host) as client, pytest.raises(RegistryRejected) as caught:
        client.ping()
    assert "--plain-http" in caught.value.next_step


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    clock = FakeClock()
    with (
        http_client("127.0.0.1:1", settings=settings_by(clock, attempts=4)) as client,
        pytest.raises(RegistryUnavailable, match="Connection refused") as caught,
    ):
        client.ping()
    assert len(clock.pauses) == 3
    assert caught.value.where == "127.0.0.1:1"


def test_a_name_that_is_not_known_is_unavailable() -> None:
    with (
        http_client("registry.invalid", settings=settings_by(FakeClock())) as client,
        pytest.raises(RegistryUnavailable, match="cannot be resolved"),
    ):
        client.ping()


def quick(settings: ClientSettings, seconds: float = 0.2) -> ClientSettings:
    return replace(settings, connect_timeout=seconds, read_timeout=seconds, chunk_timeout=seconds)


def test_a_silent_registry_is_a_timeout(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(registry.host, Rule(Hang(), times=None))
    clock = FakeClock()
    with (
        http_client(proxy.host, settings=quick(settings_by(clock))) as client,
        pytest.raises(RegistryTimeout, match="stopped answering"),
    ):
        client.ping()
    assert len(clock.pauses) == 2


@contextmanager
def answering(answer: bytes, closes: bool = False, drip: bytes = b"") -> Iterator[str]:
    """A server that answers the first request of each connection so, and says no more.

    With ``drip`` it goes on to send that for as long as it is listened to.
    """
    done = threading.Event()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(0.05)

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                stack.enter_context(connection)
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(answer)
                with suppress(OSError):
                    while drip and not done.wait(0.02):
                        connection.sendall(drip)
                if closes:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def test_a_body_that_stops_is_a_timeout() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    with (
        answering(head) as host,
        http_client(host, settings=quick(settings_by(FakeClock()))) as client,
        pytest.raises(RegistryTimeout),
    ):
        client.get_manifest("app", "1")


def test_a_body_that_drips_is_a_timeout() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    settings = quick(settings_by(FakeClock()))
    real = replace(settings.patience, timing=replace(Timing(), sleep=lambda seconds: None))
    with (
        answering(head, drip=b"x") as host,
        http_client(host, settings=replace(settings, patience=real)) as client,
        pytest.raises(RegistryTimeout, match="too slowly"),
    ):
        client.get_manifest("app", "1")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["status line", "header", "size of a chunk"],
)
def test_an_answer_that_drips_is_a_timeout(head: bytes) -> None:
    """Each byte comes in time; their number would take days."""
    settings = quick(settings_by(FakeClock()), seconds=0.5)
    real = replace(settings.patience, timing=replace(Timing(), sleep=lambda seconds: None))
    with (
        answering(head, drip=b"x") as host,
        http_client(host, settings=replace(settings, patience=real)) as client,
        pytest.raises(RegistryTimeout, match="too slowly"),
    ):
        client.get_manifest("app", "1")


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4096),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n",
            b"X-Trailer: 1\r\n" * 4096,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            (b"3e8;" + b"x" * 60_000 + b"\r\n" + b" " * 1000 + b"\r\n") * 32,
        ),
    ],
    ids=["interim answers", "trailers", "chunks"],
)
def test_what_frames_an_answer_comes_to_its_end(head: bytes, drip: bytes) -> None:
    with (
        answering(head, drip=drip) as host,
        http_client(host, settings=settings_by(FakeClock())) as client,
        pytest.raises(RegistryUnavailable, match="does not come to its end"),
    ):
        client.get_manifest("app", "1")


def test_an_error_page_without_an_end_is_cut() -> None:
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9999999999\r\n\r\n"
    with (
        answering(head, drip=b"x" * 65536) as host,
        http_client(host) as client,
        pytest.raises(RegistryRejected) as caught,
    ):
        client.get_manifest("app", "1")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_unavailable(answer: bytes) -> None:
    with (
        answering(answer, closes=True) as host,
        http_client(host, settings=settings_by(FakeClock(), attempts=2)) as client,
        pytest.raises(RegistryUnavailable),
    ):
        client.get_manifest("app", "1")


def test_the_environment_is_not_asked(
    htpasswd_registry: DockerRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password from ~/.netrc, no proxy, and no docker configuration."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login robot password s3cret:word\n")
    (tmp_path / ".netrc").chmod(0o600)
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(
        f'{{"auths": {{"{htpasswd_registry.host}": {{"auth": "{ROBOT.basic}"}}}}}}'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with (
        http_client(htpasswd_registry.host) as client,
        pytest.raises(AuthFailed, match="no credentials are known"),
    ):
        client.check_push("app")


def test_a_proxy_is_used_when_it_is_named(registry: DockerRegistry) -> None:
    """A forward proxy gets the whole URL; the fault proxy is none, but records what came."""
    with FaultProxy(registry.host, Rule(Answer(200), times=None)) as proxy:
        settings = replace(IMPATIENT, proxies={"http": proxy.url})
        with http_client("registry.invalid", settings=settings) as client:
            client.ping()
        assert [one.path for one in proxy.requests()] == ["http://registry.invalid/v2/"]


def test_requests_say_who_asks_and_want_no_compression(
    registry: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(registry.host)
    with http_client(proxy.host) as client:
        client.check_push("app")
        client.head_manifest("app", "1")
    for one in proxy.requests():
        assert one.headers["user-agent"].startswith("airgap-bundle/")
        assert one.headers["accept-encoding"] == "identity"
        assert "cookie" not in one.headers


def test_cookies_are_not_kept(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    cookie = Answer(404, {"Set-Cookie": "session=1; Path=/"})
    proxy = make_proxy(registry.host, Rule(cookie, "HEAD"))
    with http_client(proxy.host) as client:
        client.blob_size("app", DIGEST)
        client.blob_size("app", DIGEST)
    assert [one for one in proxy.requests() if "cookie" in one.headers] == []


def test_cookies_are_not_read(registry: DockerRegistry, make_proxy: MakeProxy) -> None:
    """Of some, the standard library would warn with a traceback."""
    headers = dict.fromkeys(("Set-Cookie", "Set-Cookie2"), f"a=b; Max-Age={'9' * 400}")
    proxy = make_proxy(registry.host, Rule(Answer(404, headers), "HEAD"))
    with http_client(proxy.host) as client:
        assert client.blob_size("app", DIGEST) is None


class Counting(FaultProxy):
    """Counts connections."""

    accepted = 0

    def get_request(self) -> tuple[socket.socket, object]:
        self.accepted += 1
        return super().get_request()


def test_connections_are_used_again(registry: DockerRegistry) -> None:
    with Counting(registry.host) as proxy, http_client(proxy.host) as client:
        client.push_blob("app", DIGEST, len(CONTENT), body_of(CONTENT))
        for _ in range(3):
            client.blob_size("app", DIGEST)
            client.head_manifest("app", "absent")
            client.get_manifest("app", "absent")
            assert len(b"".join(client.fetch_blob("app", DIGEST, len(CONTENT)))) == len(CONTENT)
        assert proxy.accepted == 1


def test_what_oras_sends_itself_obeys_our_rules(
    make_registry: MakeRegistry, make_token_server: MakeTokenServer
) -> None:
    tokens = make_token_server(TokenPolicy(users={"robot": "s3cret:word"}, anonymous=None))
    guarded = make_registry(RegistryOptions(token=tokens.realm))
    image = make_image([b"layer"])
    push_image(guarded.host, "team/app", "1", image, Access.bearer(tokens.token(SCOPE)))
    endpoint = Endpoint(guarded.host, plain_http=True)
    transport = Transport(endpoint, Identities({guarded.host: ROBOT}), None, IMPATIENT)
    try:
        assert transport.get_tags(f"{guarded.host}/team/app") == ["1"]
        assert transport.auth.get_auth_header()["Authorization"].startswith("Bearer ")
    finally:
        transport.close()
    assert tokens.requests[0].scopes == (SCOPE,)
