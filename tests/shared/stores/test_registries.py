from __future__ import annotations

import pytest

from airgap_shared.errors import RegistryUnavailable, UsageError
from airgap_shared.stores.credentials import CredentialSources, CredentialStore
from airgap_shared.stores.registries import Registries, is_loopback
from airgap_shared.stores.tls import TrustSettings
from support.clients import IMPATIENT
from support.docker_registry import DockerRegistry
from support.tls import Certificate

Notes = list[str]


@pytest.fixture
def notes() -> Notes:
    return []


def registries(
    notes: Notes,
    tmp_path_factory: pytest.TempPathFactory,
    *plain: str,
    trust: TrustSettings | None = None,
) -> Registries:
    home = tmp_path_factory.mktemp("home")
    credentials = CredentialStore(CredentialSources({}, home))
    nobody = TrustSettings({"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nonexistent"})
    return Registries(plain, credentials, trust or nobody, IMPATIENT, notes.append)


def test_a_registry_on_this_machine_without_tls_is_used_with_a_note(
    registry: DockerRegistry, notes: Notes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registries(notes, tmp_path_factory) as opened:
        client = opened.open(registry.host)
        client.ping()
        assert opened.open(registry.host) is client
    (note,) = notes
    assert registry.host in note
    assert "plain http" in note


def test_plain_http_that_was_asked_for_needs_no_note(
    registry: DockerRegistry, notes: Notes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registries(notes, tmp_path_factory, registry.host) as opened:
        opened.open(registry.host).ping()
    assert notes == []


def test_tls_on_this_machine_is_used(
    tls_registry: DockerRegistry,
    certificate: Certificate,
    notes: Notes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    trust = TrustSettings(
        {"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nonexistent"}, ca_file=certificate.ca
    )
    with registries(notes, tmp_path_factory, trust=trust) as opened:
        opened.open(tls_registry.host).ping()
    assert notes == []


def test_a_registry_that_is_not_there_is_told(
    notes: Notes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registries(notes, tmp_path_factory) as opened, pytest.raises(RegistryUnavailable):
        opened.open("127.0.0.1:1")
    assert notes == []


def test_what_is_no_host_is_refused(notes: Notes, tmp_path_factory: pytest.TempPathFactory) -> None:
    with registries(notes, tmp_path_factory) as opened, pytest.raises(UsageError):
        opened.open("no host")


def test_elsewhere_plain_http_is_not_tried(
    notes: Notes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registries(notes, tmp_path_factory) as opened:
        client = opened.open("registry.invalid:5000")
        assert client.endpoint.base_url == "https://registry.invalid:5000"


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:5000", True),
        ("127.8.9.10:5000", True),
        ("localhost", True),
        ("LocalHost:5000", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("0.0.0.0:5000", False),
        ("[::]:5000", False),
        ("localhost.example:5000", False),
        ("127.0.0.1.example", False),
        ("registry", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here
