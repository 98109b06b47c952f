"""TLS trust: which authorities and which client certificate, for which registry host."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from airgap_shared.errors import UsageError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """What is trusted, besides the system's authorities.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` of ``environment`` stand for the system's own, as for
    OpenSSL. ``certs_dirs`` hold one folder for each HOST[:PORT] (containers-certs.d.5).
    """

    environment: Mapping[str, str]
    certs_dirs: tuple[Path, ...] = ()
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False

    def context(self, host: str) -> ssl.SSLContext:
        """The TLS context for a registry ``HOST[:PORT]``.

        Raises:
            UsageError: a file cannot be used.

        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # A site may trust a registry's own certificate or an intermediate authority.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            _log.warning("the certificate of %s is not verified", host)
        else:
            self._load_authorities(context, host)
        self._load_identity(context, host)
        return context

    def _load_authorities(self, context: ssl.SSLContext, host: str) -> None:
        self._load_system(context)
        if self.ca_file is not None:
            _load_authority(context, self.ca_file, "--ca-file")
        for folder in self._folders(host):
            for path in sorted(folder.glob("*.crt")):
                _load_authority(context, path, "")

    def _load_system(self, context: ssl.SSLContext) -> None:
        defaults = ssl.get_default_verify_paths()
        file = self.environment.get(defaults.openssl_cafile_env)
        folder = self.environment.get(defaults.openssl_capath_env)
        if file:
            _load_authority(context, Path(file), defaults.openssl_cafile_env)
        elif Path(defaults.openssl_cafile).is_file():
            context.load_verify_locations(cafile=defaults.openssl_cafile)
        # OpenSSL takes several folders, parted as PATH is, and looks into them when it needs to.
        for part in (folder or defaults.openssl_capath).split(":"):
            if Path(part).is_dir():
                context.load_verify_locations(capath=part)

    def _load_identity(self, context: ssl.SSLContext, host: str) -> None:
        if self.cert_file is not None:
            _load_pair(context, self.cert_file, self.key_file)
            return
        for folder in self._folders(host):
            for path in sorted(folder.glob("*.cert")):
                _load_pair(context, path, path.with_suffix(".key"))
                return

    def _folders(self, host: str) -> Iterator[Path]:
        for base in self.certs_dirs:
            folder = base / host
            try:
                if folder.is_dir() and any(folder.iterdir()):
                    yield folder
            except OSError as problem:
                _log.warning("%s cannot be read: %s", folder, problem.strerror)


def standard_certs_dirs(home: Path) -> tuple[Path, ...]:
    """The folders where docker and the containers tools keep certificates."""
    return (
        Path("/etc/containers/certs.d"),
        home / ".config" / "containers" / "certs.d",
        Path("/etc/docker/certs.d"),
    )


def _load_authority(context: ssl.SSLContext, path: Path, named_by: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as problem:
        origin = f", named by {named_by}," if named_by else ""
        raise UsageError(
            f"the authority's certificate{origin} cannot be read: {_why(problem)}",
            where=str(path),
            next_step="give the certificate in PEM form",
        ) from problem


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # An empty password: OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"the client certificate and its key cannot be used: {_why(problem)}",
            where=str(certificate),
            next_step="give both in PEM form, the key without a password",
        ) from problem


def _why(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError):
        return problem.reason or "not in PEM form"
    return getattr(problem, "strerror", None) or "not in PEM form"
