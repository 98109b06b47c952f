from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from airgap_shared.errors import UsageError
from airgap_shared.stores.tls import TrustSettings, standard_certs_dirs
from support.tls import Authority, Certificate

HOST = "reg.example:5000"
#: No authority of this machine.
EMPTY = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/nonexistent"}


def trusted(context: ssl.SSLContext, certificate: Certificate) -> bool:
    """Whether a client with this context completes a handshake with this server."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate.chain, certificate.key)
    try:
        shake_hands(context, server_side)
    except ssl.SSLCertVerificationError:
        return False
    return True


def shake_hands(context: ssl.SSLContext, server_side: ssl.SSLContext) -> ssl.SSLObject:
    """Both sides of a handshake in memory; the server's connection."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return server


def test_an_unknown_authority_is_not_trusted(certificate: Certificate) -> None:
    assert not trusted(TrustSettings(EMPTY).context(HOST), certificate)


def test_the_named_authority_is_trusted(certificate: Certificate) -> None:
    context = TrustSettings(EMPTY, ca_file=certificate.ca).context(HOST)
    assert trusted(context, certificate)


def test_the_authority_in_the_hosts_folder_is_trusted(
    tmp_path: Path, certificate: Certificate
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (second / HOST).mkdir(parents=True)
    shutil.copy(certificate.ca, second / HOST / "ca.crt")
    settings = TrustSettings(EMPTY, certs_dirs=(first, second))
    assert trusted(settings.context(HOST), certificate)
    assert not trusted(settings.context("reg.example"), certificate)


def test_the_environments_file_is_trusted(certificate: Certificate) -> None:
    settings = TrustSettings({**EMPTY, "SSL_CERT_FILE": str(certificate.ca)})
    assert trusted(settings.context(HOST), certificate)


def test_the_environments_folder_is_trusted(tmp_path: Path, certificate: Certificate) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    shutil.copy(certificate.ca, folder / f"{_subject_hash(certificate.ca)}.0")
    settings = TrustSettings({**EMPTY, "SSL_CERT_DIR": f"/nonexistent:{folder}"})
    assert trusted(settings.context(HOST), certificate)


def test_a_servers_own_certificate_may_be_trusted(tmp_path: Path) -> None:
    certificate = Authority(tmp_path / "authority").issue("localhost")
    context = TrustSettings(EMPTY, ca_file=certificate.chain).context(HOST)
    assert trusted(context, certificate)


def test_another_hosts_certificate_is_refused(tmp_path: Path) -> None:
    certificate = Authority(tmp_path / "authority").issue("other.example")
    context = TrustSettings(EMPTY, ca_file=certificate.ca).context(HOST)
    assert not trusted(context, certificate)


def test_verification_is_left_out_only_when_asked(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        context = TrustSettings(EMPTY, insecure=True).context(HOST)
    assert trusted(context, certificate)
    assert HOST in caplog.text


def test_a_client_certificate_is_shown(tmp_path: Path, certificate: Certificate) -> None:
    folder = tmp_path / HOST
    folder.mkdir()
    shutil.copy(certificate.chain, folder / "client.cert")
    shutil.copy(certificate.key, folder / "client.key")
    by_folder = TrustSettings(EMPTY, (tmp_path,), certificate.ca)
    by_name = TrustSettings(
        EMPTY, (), certificate.ca, cert_file=certificate.chain, key_file=certificate.key
    )
    assert _shown(by_folder.context(HOST), certificate)
    assert _shown(by_name.context(HOST), certificate)
    assert not _shown(TrustSettings(EMPTY, ca_file=certificate.ca).context(HOST), certificate)


def test_files_that_cannot_be_used_are_named(tmp_path: Path, certificate: Certificate) -> None:
    absent, rubbish = tmp_path / "absent", tmp_path / "rubbish"
    rubbish.write_text("rubbish")
    plain = TrustSettings(EMPTY)
    for settings in (
        replace(plain, ca_file=absent),
        replace(plain, ca_file=rubbish),
        replace(plain, environment={"SSL_CERT_FILE": str(absent)}),
        replace(plain, cert_file=certificate.chain, key_file=absent),
        replace(plain, cert_file=rubbish, key_file=certificate.key),
    ):
        with pytest.raises(UsageError) as caught:
            settings.context(HOST)
        assert caught.value.where in {str(absent), str(rubbish), str(certificate.chain)}


def test_a_key_with_a_password_does_not_ask_on_the_terminal(
    tmp_path: Path, certificate: Certificate
) -> None:
    key = tmp_path / "locked.key"
    key.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBB=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    with pytest.raises(UsageError):
        TrustSettings(EMPTY, cert_file=certificate.chain, key_file=key).context(HOST)


def test_the_systems_authorities_are_loaded() -> None:
    defaults = ssl.get_default_verify_paths()
    if not Path(defaults.openssl_cafile).is_file():
        pytest.skip("this system keeps no bundle of authorities where OpenSSL looks")
    assert TrustSettings({}).context(HOST).cert_store_stats()["x509_ca"] > 10


def test_the_places_of_docker_and_podman_are_looked_into(tmp_path: Path) -> None:
    places = [str(path) for path in standard_certs_dirs(tmp_path)]
    assert "/etc/docker/certs.d" in places
    assert f"{tmp_path}/.config/containers/certs.d" in places


def _shown(context: ssl.SSLContext, certificate: Certificate) -> bool:
    """Whether the client shows a certificate to a server that asks for one."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate.chain, certificate.key)
    server_side.load_verify_locations(certificate.ca)
    server_side.verify_mode = ssl.CERT_OPTIONAL
    return bool(shake_hands(context, server_side).getpeercert(binary_form=True))


def _subject_hash(path: Path) -> str:
    """The name that OpenSSL looks for in a folder of authorities."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    run = subprocess.run(
        [openssl, "x509", "-hash", "-noout", "-in", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()
