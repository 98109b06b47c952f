from __future__ import annotations

import pytest

from airgap_shared.errors import AuthFailed, UnsafeRedirect
from airgap_shared.oci.digest import Digest
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.registry import Registry
from airgap_shared.stores.tls import TrustSettings
from support.clients import IMPATIENT, FakeClock, Identities, http_client, settings_by
from support.docker_registry import DockerRegistry
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Rule, redirect
from support.images import make_image
from support.pushing import Access, push_image
from support.tls import Certificate

ROBOT = Credential("robot", "s3cret:word")
IMAGE = make_image([b"layer"])
DIGEST = Digest.parse(IMAGE.digest)


@pytest.fixture
def filled(htpasswd_registry: DockerRegistry) -> DockerRegistry:
    access = Access.basic(ROBOT.username, ROBOT.password)
    push_image(htpasswd_registry.host, "app", "1", IMAGE, access)
    return htpasswd_registry


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_redirect_on_the_same_origin_keeps_the_credentials(
    filled: DockerRegistry, make_proxy: MakeProxy, status: int, absolute: bool
) -> None:
    proxy = make_proxy(filled.host)
    location = f"{proxy.url if absolute else ''}/v2/app/manifests/1"
    proxy.add(Rule(redirect(location, status), "GET", "/old/"))
    with http_client(proxy.host, ROBOT) as client:
        fetched = client.get_manifest("old", "1")
    assert fetched is not None
    assert fetched.raw == IMAGE.raw
    assert "authorization" in proxy.requests("GET", "/app/")[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_to_another_origin_goes_without_credentials(
    filled: DockerRegistry, registry: DockerRegistry, make_proxy: MakeProxy, host: str
) -> None:
    push_image(registry.host, "app", "1", IMAGE)
    other = make_proxy(registry.host)
    port = other.host.rpartition(":")[2]
    target = f"http://{host}:{port}/v2/app/manifests/1"
    proxy = make_proxy(filled.host, Rule(redirect(target), "GET|HEAD", "manifests", times=None))
    with http_client(proxy.host, ROBOT) as client:
        fetched = client.get_manifest("app", "1")
        assert fetched is not None
        assert client.head_manifest("app", "1") == fetched.descriptor
    assert fetched.raw == IMAGE.raw
    assert len(other.requests()) == 2
    assert not [one for one in other.requests() if "authorization" in one.headers]


def test_another_origin_cannot_ask_for_credentials(
    filled: DockerRegistry, make_proxy: MakeProxy
) -> None:
    """The target of a redirect challenges; it is not the registry, and learns nothing."""
    proxy, other = make_proxy(filled.host), make_proxy(filled.host)
    proxy.add(Rule(redirect(f"{other.url}/v2/app/manifests/1"), "GET", "manifests", times=None))
    with http_client(proxy.host, ROBOT) as client, pytest.raises(Exception, match="answers 401"):
        client.get_manifest("app", "1")
    assert other.requests()
    assert not [one for one in other.requests() if "authorization" in one.headers]


def test_a_redirect_back_gets_the_credentials_again(
    filled: DockerRegistry, make_proxy: MakeProxy
) -> None:
    proxy, other = make_proxy(filled.host), make_proxy(filled.host)
    proxy.add(Rule(redirect(f"{other.url}/away"), "GET", "manifests"))
    other.add(Rule(redirect(f"{proxy.url}/v2/app/manifests/1"), "GET", "/away"))
    with http_client(proxy.host, ROBOT) as client:
        fetched = client.get_manifest("app", "1")
    assert fetched is not None
    assert "authorization" not in other.requests()[0].headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_writing_is_not_redirected(
    filled: DockerRegistry, make_proxy: MakeProxy, method: str
) -> None:
    proxy, other = make_proxy(filled.host), make_proxy(filled.host)
    path = {"POST": "/uploads/", "PUT": "/manifests/", "DELETE": "/uploads/"}[method]
    proxy.add(Rule(redirect(f"{other.url}/away"), method, path, times=None))
    with http_client(proxy.host, ROBOT, settings_by(FakeClock())) as client:
        if method == "DELETE":
            client.check_push("app")
        else:
            with pytest.raises(UnsafeRedirect) as caught:
                write(client, method)
            assert proxy.url in caught.value.what
            assert other.url in caught.value.what
    assert other.requests() == []
    assert len(proxy.requests(method)) == 1


def write(client: Registry, method: str) -> None:
    if method == "POST":
        client.check_push("app")
    else:
        client.put_manifest("app", "2", IMAGE.raw, IMAGE.media_type)


def test_redirects_come_to_an_end(filled: DockerRegistry, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(filled.host)
    proxy.add(Rule(redirect("/v2/app/manifests/1"), "GET", "manifests", times=None))
    with (
        http_client(proxy.host, ROBOT) as client,
        pytest.raises(UnsafeRedirect, match="more than 3"),
    ):
        client.get_manifest("app", "1")
    assert len(proxy.requests("GET", "manifests")) == 4


@pytest.mark.parametrize(
    "location",
    ["", "ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[::"],
)
def test_a_redirect_to_no_address_is_refused(
    filled: DockerRegistry, make_proxy: MakeProxy, location: str
) -> None:
    proxy = make_proxy(filled.host, Rule(redirect(location), "GET", "manifests", times=6))
    with http_client(proxy.host, ROBOT) as client, pytest.raises(UnsafeRedirect):
        client.get_manifest("app", "1")


def test_a_redirect_out_of_tls_is_refused(
    registry: DockerRegistry, certificate: Certificate
) -> None:
    plain = f"http://{registry.host}/v2/app/manifests/1"
    rule = Rule(redirect(plain), "GET", "manifests", times=None)
    context = TrustSettings({}, ca_file=certificate.ca).context("x")
    with (
        FaultProxy(registry.host, rule, tls=certificate) as proxy,
        Registry(Endpoint(proxy.host), Identities(), context, IMPATIENT) as client,
        pytest.raises(UnsafeRedirect, match="not encrypted"),
    ):
        client.get_manifest("app", "1")


def test_a_registry_that_never_has_enough_is_left(
    filled: DockerRegistry, make_proxy: MakeProxy
) -> None:
    wrong = Credential("robot", "hunter2")
    proxy = make_proxy(filled.host)
    with http_client(proxy.host, wrong) as client, pytest.raises(AuthFailed):
        client.get_manifest("app", "1")
    assert len(proxy.requests("GET", "manifests")) == 1
