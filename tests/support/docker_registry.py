"""Real docker-registry processes on loopback, each with its own folder."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from support.htpasswd import write_htpasswd
from support.registry_binary import registry_binary
from support.registry_storage import RegistryStorage

# Below the ephemeral ports, so that no outgoing connection takes the port before a restart.
_FIRST_PORT, _LAST_PORT = 20000, 32000
_READY_SECONDS = 30.0
_MARK = "X-Throwaway-Registry"


class RegistryNotStarted(Exception):
    """The process ended or did not answer; the text holds its log."""


class ServerCertificate(Protocol):
    """PEM files of a server: its chain and key, and the authority that signed them."""

    @property
    def ca(self) -> Path: ...

    @property
    def chain(self) -> Path: ...

    @property
    def key(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class TokenRealm:
    """Who signs tokens for this registry (distribution, docs/configuration.md, token)."""

    realm: str
    service: str
    issuer: str
    root_certificates: Path


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How a registry is set up; the default is open, writable plain http.

    It computes on one processor, since tests run beside each other; None is on all of them.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    token: TokenRealm | None = None
    tls: ServerCertificate | None = None
    read_only: bool = False
    delete: bool = False
    processors: int | None = 1


class DockerRegistry:
    """One process; a context manager that starts it and ends it by its id.

    ``host`` is ``127.0.0.1:PORT``, ``storage`` reads what is on disk. Files, configuration and
    log are kept in ``folder``; a registry given the folder of an ended one serves its content.
    """

    def __init__(self, folder: Path, options: RegistryOptions | None = None) -> None:
        self._folder = folder
        self._options = options or RegistryOptions()
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = secrets.token_hex(8)
        self._secret = secrets.token_hex(16)
        self._port = 0
        self.storage = RegistryStorage(folder / "storage")
        self.log = folder / "registry.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """Host and port as an image reference spells them."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"{'https' if self._options.tls else 'http'}://{self.host}"

    @property
    def ca_file(self) -> Path | None:
        """The authority to trust, if the registry speaks TLS."""
        return self._options.tls.ca if self._options.tls else None

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start on a free port, or on the same port again after ``stop`` or ``kill``.

        Raises:
            RegistryNotStarted: it did not answer as itself.
            ToolMissing: there is no docker-registry here.

        """
        program = registry_binary()
        self.storage.root.mkdir(parents=True, exist_ok=True)
        fixed = self._port
        for _ in range(20):
            self._port = fixed or _free_port()
            self._launch(program)
            if self._became_ready():
                return
            self.kill()
            if "address already in use" not in self._log_text():
                break
            time.sleep(0.2)
        raise RegistryNotStarted(self._log_text()[-4000:])

    def stop(self) -> None:
        """End the process and wait for it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start again on the same port and storage."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Lose everything that is stored, as after a change of disks, and start again."""
        self.stop()
        for path in sorted(self.storage.root.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        self.start()

    def _launch(self, program: Path) -> None:
        configuration = self._folder / "config.yml"
        # JSON is YAML.
        configuration.write_text(json.dumps(self._configuration(), indent=1))
        with self.log.open("wb") as log:
            # No environment: REGISTRY_* variables would override the configuration. An own
            # session: Ctrl-C is for us, and we end the process.
            self._process = subprocess.Popen(
                [program, "serve", configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        # Thousands of short lives: collecting garbage less often takes a tenth less of each.
        environment = {"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none", "GOGC": "400"}
        if self._options.processors is not None:
            environment["GOMAXPROCS"] = str(self._options.processors)
        return environment

    def _configuration(self) -> dict[str, object]:
        options = self._options
        http: dict[str, object] = {
            "addr": self.host,
            "secret": self._secret,
            "headers": {_MARK: [self._mark]},
        }
        if options.tls is not None:
            http["tls"] = {"certificate": str(options.tls.chain), "key": str(options.tls.key)}
        return {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage.root)},
                "delete": {"enabled": options.delete},
                "maintenance": {
                    "readonly": {"enabled": options.read_only},
                    "uploadpurging": {"enabled": False},
                },
            },
            "http": http,
            **self._authentication(),
        }

    def _authentication(self) -> dict[str, object]:
        token = self._options.token
        if token is not None:
            return {
                "auth": {
                    "token": {
                        "realm": token.realm,
                        "service": token.service,
                        "issuer": token.issuer,
                        "rootcertbundle": str(token.root_certificates),
                    }
                }
            }
        if not self._options.users:
            return {}
        path = self._folder / "htpasswd"
        write_htpasswd(path, self._options.users)
        return {"auth": {"htpasswd": {"realm": "throwaway registry", "path": str(path)}}}

    def _became_ready(self) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            if self._answers_as_itself():
                return True
            time.sleep(0.02)
        return False

    def _answers_as_itself(self) -> bool:
        """Whether /v2/ answers with our mark: another process may have taken the port."""
        connection = self._connection()
        try:
            connection.request("GET", "/v2/")
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return answer.headers.get(_MARK) == self._mark

    def _connection(self) -> http.client.HTTPConnection:
        if self._options.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        context = ssl.create_default_context(cafile=self._options.tls.ca)
        context.check_hostname = False
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=5, context=context)

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


#: The fixture that starts a registry for one test.
MakeRegistry = Callable[[RegistryOptions], DockerRegistry]


def _free_port() -> int:
    while True:
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
