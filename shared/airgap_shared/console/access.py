"""From flags and the environment to registries that can be opened."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airgap_shared.errors import UsageError

if TYPE_CHECKING:
    from airgap_shared.stores.apiconnections import ApiConnections
    from airgap_shared.stores.credential import Credential
    from airgap_shared.stores.credentials import CredentialSources
    from airgap_shared.stores.registries import Registries

#: So much is read of a password; tokens of clouds have some thousand bytes.
_PASSWORD_LIMIT = 64 * 1024
_NOWHERE = Path("/nonexistent")
_STATE_DIR = "AIRGAP_STATE_DIR"
_USERNAME = "AIRGAP_REGISTRY_USERNAME"
_PASSWORD = "AIRGAP_REGISTRY_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """The flags about registries that both tools share."""

    plain_http: tuple[str, ...] = ()
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token_hosts: tuple[str, ...] = ()
    authfile: Path | None = None
    credential: Credential | None = field(default=None, repr=False)
    writes: bool = False
    upload_hosts: tuple[str, ...] = ()
    ecr_hosts: tuple[str, ...] = ()


def open_registries(options: RegistryOptions, jobs: int, note: Callable[[str], None]) -> Registries:
    """The registries that these options allow to open; close them after use."""
    from airgap_shared.stores.credentials import CredentialStore
    from airgap_shared.stores.ecraccess import EcrAccess
    from airgap_shared.stores.registries import Registries

    apis = _api_connections(options, jobs)
    access = EcrAccess(os.environ, apis.open, options.ecr_hosts)
    sources = credential_sources(options.authfile, options.credential)
    credentials = CredentialStore(sources, access.issue)
    return Registries(options.plain_http, credentials, apis.trust, apis.settings, note)


def _api_connections(options: RegistryOptions, jobs: int) -> ApiConnections:
    from airgap_shared.stores.apiconnections import ApiConnections
    from airgap_shared.stores.settings import ClientSettings
    from airgap_shared.stores.tls import TrustSettings, standard_certs_dirs

    return ApiConnections(
        TrustSettings(
            os.environ,
            standard_certs_dirs(home_folder()),
            options.ca_file,
            options.cert_file,
            options.key_file,
        ),
        ClientSettings(
            writes=options.writes,
            jobs=jobs,
            token_hosts=frozenset(options.token_hosts),
            upload_hosts=frozenset(options.upload_hosts),
        ),
    )


def credential_sources(
    authfile: Path | None, credential: Credential | None = None
) -> CredentialSources:
    """Where credentials are looked for, given this environment."""
    from airgap_shared.stores.credentials import CredentialSources

    return CredentialSources(os.environ, home_folder(), credential, authfile)


def given_credential(
    username: str | None, password_stdin: bool, bundle: str = ""
) -> Credential | None:
    """The identity from ``--username`` and ``--password-stdin``, or from the environment.

    ``bundle`` is what else the command reads; it cannot come from standard input, too.

    Raises:
        UsageError: one of the two without the other; there is no password, or far too much; or the
            bundle would be read from where the password is.
        CredentialsInvalid: they cannot be sent.

    """
    from airgap_shared.stores.credential import Credential, check_text, check_user

    if username is None and not password_stdin:
        name, secret = os.environ.get(_USERNAME), os.environ.get(_PASSWORD)
        if not name or not secret:
            return None
        check_text(secret, "the password", _PASSWORD)
        return Credential(check_user(name, _USERNAME), secret)
    if username is None or not password_stdin:
        raise UsageError(
            "--username and --password-stdin go together",
            next_step="pipe the password: … --username NAME --password-stdin < password-file",
        )
    if _is_standard_input(bundle):
        raise UsageError(
            "standard input cannot hold the bundle and the password",
            where="--password-stdin",
            next_step="keep the password first: airgap-import login HOST -u NAME --password-stdin",
        )
    if not username:
        raise UsageError("the user is empty", where="--username")
    check_user(username, "--username")
    return Credential(username, check_text(_read_password(), "the password", "--password-stdin"))


def _is_standard_input(bundle: str) -> bool:
    if bundle in ("", "-"):
        return bundle == "-"
    try:
        return os.path.samestat(Path(bundle).stat(), os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError):
        return False


def _read_password() -> str:
    raw = sys.stdin.buffer.read(_PASSWORD_LIMIT + 1)
    if len(raw) > _PASSWORD_LIMIT:
        raise UsageError(f"larger than {_PASSWORD_LIMIT} bytes", where="--password-stdin")
    password = raw.decode(errors="surrogateescape").rstrip("\r\n")
    if not password:
        raise UsageError("standard input holds no password", where="--password-stdin")
    return password


def state_folder(given: Path | None) -> Path:
    """Where imports are remembered: as given, by AIRGAP_STATE_DIR, or by the XDG convention.

    Raises:
        UsageError: the variable holds no absolute path, or there is no home folder to keep it in.

    """
    if given is not None:
        return given
    if text := os.environ.get(_STATE_DIR):
        if not Path(text).is_absolute():
            raise UsageError("not an absolute path", where=_STATE_DIR)
        return Path(text)
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    if not base.is_absolute():
        home = home_folder()
        if home == _NOWHERE:
            raise UsageError(
                "this user has no home folder in which imports could be remembered",
                next_step="name a folder that lasts: --state-dir DIR",
            )
        base = home / ".local/state"
    return base / "airgap-import"


def home_folder() -> Path:
    """The user's home folder; a place where nothing is when there is none.

    HOME counts where it is an absolute path: nothing is looked for in the working directory.
    """
    home = Path(os.environ.get("HOME") or "")
    if home.is_absolute():
        return home
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return _NOWHERE
    return home if home.is_absolute() else _NOWHERE
