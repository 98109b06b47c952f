"""The credential store: whose credentials are used for a repository, and where they are kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airgap_shared.errors import AuthFailed, CredentialsInvalid
from airgap_shared.oci.reference import DEFAULT_REGISTRY
from airgap_shared.stores.authfile import (
    DOCKER_HUB_KEY,
    AuthFile,
    keys_for,
    normal_key,
    read_auth_file,
)
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.credentialhelper import HelperMissing, ask_helper

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CredentialSources:
    """Where to look, the first that knows wins.

    ``explicit`` is for every registry this store is asked about; ``auth_file`` must exist.
    ``environment`` is also what credential helpers are run with.
    """

    environment: Mapping[str, str]
    home: Path
    explicit: Credential | None = field(default=None, repr=False)
    auth_file: Path | None = None

    def paths(self) -> Iterator[Path]:
        """The auth files, in the order of the search; they need not exist."""
        get = self.environment.get
        if self.auth_file is not None:
            yield self.auth_file
        if value := get("REGISTRY_AUTH_FILE"):
            yield Path(value)
        if value := get("DOCKER_CONFIG"):
            yield Path(value, "config.json")
        if value := get("XDG_RUNTIME_DIR"):
            yield Path(value, "containers", "auth.json")
        yield Path(get("XDG_CONFIG_HOME") or self.home / ".config", "containers", "auth.json")
        yield self.home / ".docker" / "config.json"

    def login_path(self) -> Path:
        """The file that a login is written to: the named one, else docker's own."""
        get = self.environment.get
        if self.auth_file is not None:
            return self.auth_file
        if value := get("REGISTRY_AUTH_FILE"):
            return Path(value)
        return Path(get("DOCKER_CONFIG") or self.home / ".docker", "config.json")


#: What has identities made for hosts that it knows, after all others were asked in vain.
Issue = Callable[[str], Credential | None]


class CredentialStore:
    """Looks identities up; files and helpers are asked once, by whichever thread comes first."""

    def __init__(self, sources: CredentialSources, issue: Issue | None = None) -> None:
        self._sources = sources
        self._issue = issue
        self._lock = threading.Lock()
        self._files: list[AuthFile] | None = None
        self._answers: dict[tuple[str, str], Credential | None] = {}

    def lookup(self, host: str, repository: str = "") -> Credential | None:
        """The identity for a repository, or for a host as a whole; nothing means anonymous.

        Raises:
            CredentialsInvalid: a file cannot be used.
            AuthFailed: a credential helper fails.

        """
        if self._sources.explicit is not None:
            return self._sources.explicit
        with self._lock:
            if self._files is None:
                self._files = list(self._read_files())
            found = (self._in_file(file, host, repository) for file in self._files)
            known = next((credential for credential in found if credential is not None), None)
            return known or self._issued(host)

    def renew(self, host: str, repository: str, stale: Credential) -> Credential | None:
        """Another identity than one that was refused, from a helper or issuer asked once more.

        Nothing where it came from the user or a file: asking again would give the same.

        Raises:
            AuthFailed: a credential helper or issuer fails.

        """
        with self._lock:
            server = _server(host)
            self._answers = {
                asked: answer
                for asked, answer in self._answers.items()
                if asked[1] != server or answer != stale
            }
        found = self.lookup(host, repository)
        return None if found == stale else found

    def _issued(self, host: str) -> Credential | None:
        if self._issue is None:
            return None
        key = ("", _server(host))
        if key not in self._answers:
            self._answers[key] = self._issue(host)
        return self._answers[key]

    def _read_files(self) -> Iterable[AuthFile]:
        named = self._sources.auth_file
        for path in self._sources.paths():
            file = read_auth_file(path)
            if file is not None:
                yield file
            elif path == named:
                raise CredentialsInvalid("there is no such credentials file", where=str(path))

    def _in_file(self, file: AuthFile, host: str, repository: str) -> Credential | None:
        helper = file.helpers.get(normal_key(host))
        if helper is not None:
            return self._ask(helper, host, file, required=True)
        for key in keys_for(host, repository):
            if key in file.identities:
                _log.debug("credentials for %s from %s", key, file.path)
                return file.identities[key]
        if file.default_helper:
            return self._ask(file.default_helper, host, file, required=False)
        return None

    def _ask(self, helper: str, host: str, file: AuthFile, required: bool) -> Credential | None:
        server = _server(host)
        if (helper, server) not in self._answers:
            self._answers[helper, server] = self._run(helper, server, file, required)
        return self._answers[helper, server]

    def _run(self, helper: str, server: str, file: AuthFile, required: bool) -> Credential | None:
        try:
            return ask_helper(helper, server, self._sources.environment)
        except HelperMissing as problem:
            if required:
                raise AuthFailed(
                    f"{problem} is not installed, and {file.path} names it for {server}",
                    where=server,
                    next_step="install it, or name another auth file (--authfile)",
                ) from problem
            # Left behind by Docker Desktop in many home folders; most registries need no login.
            _log.warning("%s, named by %s, is not installed", problem, file.path)
            return None


def _server(host: str) -> str:
    """What a helper is asked about."""
    return DOCKER_HUB_KEY if normal_key(host) == DEFAULT_REGISTRY else host
