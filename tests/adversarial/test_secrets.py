"""Group F, secrets: what is printed, written, logged and shown of them, and who is connected to."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from adversarial.conftest import Haste
from support.commands import Finished, Shell
from support.docker_registry import DockerRegistry, MakeRegistry, RegistryOptions
from support.fault_proxy import FaultProxy, MakeProxy
from support.faults import Answer, DropAfterCommit, Echo, Hang, ResetRequest, Rewrite, Rule
from support.gate import Gate
from support.images import make_image
from support.in_process import run_here
from support.journey import Journey, deployment, refused, succeeded, write_key_pair
from support.token_server import MakeTokenServer, TokenPolicy, TokenServer
from support.waiting import wait_until

_USER = "robot"
#: With everything that other notations write differently.
_PASSWORD = "canary/pw+\"q'<&é 7?x=1"
_BASIC = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
_FORMS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Watched:
    """A gate before a registry with a token server, and all secrets that came into being there."""

    gate: Gate
    tokens: TokenServer
    issuer: FaultProxy

    def secrets(self) -> set[str]:
        """The password, the tokens, and the states of uploads, as the servers saw them."""
        seen = [*self.gate.proxy.requests(), *self.issuer.requests()]
        shown = {one.headers.get("authorization", "") for one in seen}
        states = {found for one in seen for found in re.findall(r"_state=([^&]+)", one.path)}
        bare = {value.partition(" ")[2] for value in shown if value}
        return {_PASSWORD, _BASIC, "canary"} | bare | states

    def assert_clean(self, *texts: str) -> None:
        """Make sure that none of them is in these texts, or in any file that was written."""
        secrets = self.secrets()
        assert len(secrets) > 3
        written = [
            path.read_text(errors="replace")
            for path in sorted(self.gate.folder.rglob("*"))
            if path.is_file() and path.name not in ("auth.json", "received.tar.zst")
        ]
        for text in (*texts, *written):
            assert not [secret for secret in secrets if secret in text]


@pytest.fixture
def watched(
    gate: Gate,
    make_registry: MakeRegistry,
    make_token_server: MakeTokenServer,
    make_proxy: MakeProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Watched:
    tokens = make_token_server(TokenPolicy(users={_USER: _PASSWORD}, anonymous=None))
    issuer = make_proxy(tokens.host)
    realm = replace(tokens.realm, realm=f"{issuer.url}/token")
    registry = make_registry(RegistryOptions(token=realm))
    monkeypatch.setenv("AIRGAP_REGISTRY_USERNAME", _USER)
    monkeypatch.setenv("AIRGAP_REGISTRY_PASSWORD", _PASSWORD)
    return Watched(
        replace(gate, registry=registry, proxy=make_proxy(registry.host)), tokens, issuer
    )


_FAULTS = {
    "none": None,
    "a line that breaks in an upload": Rule(ResetRequest(5), "PUT", "_state=", times=None),
    "answers that are lost": Rule(DropAfterCommit(), "PUT", "/manifests/", times=None),
    "a refused upload": Rule(Answer(400, {}, b"no"), "PUT", "_state=", times=None),
    "a refused token": Rule(Answer(401), times=None, first=3),
    "an upload elsewhere": Rule(
        Rewrite(headers={"Location": "http://canary:canary@evil.test/x?_state=canary"}),
        "POST",
        times=None,
    ),
    "a redirect elsewhere": Rule(
        Answer(307, {"Location": "http://u:canary@evil.test/canary?sig=canary"}),
        "GET",
        "/manifests/",
        times=None,
    ),
    "a digest that is none": Rule(
        Rewrite(headers={"Docker-Content-Digest": "Basic canary canary"}), "PUT", times=None
    ),
}


class TestF09:
    """Canaries."""

    @pytest.mark.parametrize("fault", _FAULTS)
    @pytest.mark.parametrize("debug", ["", "1"])
    @pytest.mark.parametrize("form", _FORMS)
    def test_are_nowhere(
        self,
        watched: Watched,
        haste: Haste,
        monkeypatch: pytest.MonkeyPatch,
        *,
        fault: str,
        debug: str,
        form: str,
    ) -> None:
        monkeypatch.setenv("AIRGAP_DEBUG", debug)
        rule = _FAULTS[fault]
        if rule is not None:
            watched.gate.proxy.add(rule)
        done = watched.gate.apply("--format", form)
        assert (done.code == 0) is (rule is None)
        assert ("Traceback" in done.err) is (rule is not None and bool(debug))
        watched.assert_clean(done.out, done.err)
        assert haste.pauses is not None

    def test_are_in_no_command_line(self, watched: Watched) -> None:
        gate = watched.gate
        gate.proxy.add(Rule(Hang(), "PUT", "/manifests/sha256", times=None))
        shell = Shell(
            gate.folder,
            {"AIRGAP_REGISTRY_USERNAME": _USER, "AIRGAP_REGISTRY_PASSWORD": _PASSWORD},
        )
        process = shell.start(*gate.command("--jobs", "1"))
        try:
            wait_until(lambda: gate.proxy.requests("PUT", "/manifests/"), "a manifest")
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            lines = list(_contents(Path("/proc").glob("*/cmdline")))
        finally:
            process.terminate()
            out, err = process.communicate()
        assert any(b"received.tar.zst" in line for line in lines)
        watched.assert_clean(out.decode(), err.decode(), *(line.decode() for line in lines))
        # Nor would a crash write the memory they are in to a file.
        (core,) = re.findall(r"Max core file size +(\S+)", limits)
        assert core == "0"

    def test_are_not_in_a_log_of_requests(
        self, watched: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(0):
            succeeded(watched.gate.apply())
        assert "urllib3.connectionpool" in caplog.text
        watched.assert_clean(caplog.text)

    def test_of_a_helper_are_nowhere(
        self, watched: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = watched.gate
        monkeypatch.delenv("AIRGAP_REGISTRY_USERNAME")
        token = watched.tokens.refresh_token(_USER)
        answer = json.dumps({"Username": "<token>", "Secret": token})
        _helper(gate, f"cat <<'END'\n{answer}\nEND", monkeypatch)
        done = succeeded(gate.apply())
        assert {one.grant_type for one in watched.tokens.requests} == {"refresh_token"}
        assert token not in done.out + done.err
        for path in gate.overlay.rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes()
        monkeypatch.setenv("PATH", "/nonexistent")
        watched.assert_clean(done.out, done.err)


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """What is in files; a process may end at any moment, and its files with it."""
    for path in paths:
        with suppress(OSError):
            yield path.read_bytes()


def _helper(gate: Gate, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential helper for the proxy's host that runs this shell script."""
    folder = gate.folder / "bin"
    folder.mkdir()
    program = folder / "docker-credential-vault"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (gate.folder / ".docker").mkdir()
    config = {"credHelpers": {gate.proxy.host: "vault"}}
    (gate.folder / ".docker" / "config.json").write_text(json.dumps(config))


class TestF11:
    """Credential helpers that are no help."""

    @pytest.mark.parametrize(
        "script",
        [
            "echo hunter2 garbage",
            "head -c 100000 /dev/urandom",
            """echo '{"Username":"u","Secret":17}'""",
            "echo hunter2 >&2; exit 1",
            "exec 0<&-; exec 1>&-; exit 0",
            "kill -9 $$",
            "while :; do echo hunter2-and-so-on-and-so-on-and-so-on; done",
            "exit 1",
        ],
        ids=["text", "noise", "number", "failure", "nothing", "killed", "endless", "silent"],
    )
    def test_are_a_failure_to_log_in(
        self, gate: Gate, monkeypatch: pytest.MonkeyPatch, script: str
    ) -> None:
        _helper(gate, script, monkeypatch)
        done = gate.sends_nothing(21, "AuthFailed")
        assert "docker-credential-vault" in done.err
        assert "hunter2" not in done.err

    def test_are_waited_for_half_a_minute(
        self, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _helper(gate, "sleep 600 & wait", monkeypatch)
        limited = ["timeout", "300", *Shell(gate.folder).command_line(*gate.command())]
        done = subprocess.run(
            limited,
            cwd=gate.folder,
            env={**Shell(gate.folder).environment, "PATH": f"{gate.folder}/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        refused(Finished(done.returncode, done.stdout, done.stderr), 21, "AuthFailed")
        told = re.search(r"does not answer within (\d+) s", done.stderr)
        assert told is not None
        assert int(told[1]) < 30


_CONNECT = re.compile(r"connect\(\d+, \{sa_family=(AF_\w+), (.*?)\}, \d+\)")
_ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?"([^"]+)"')


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
class TestF12:
    """Connections: to the hosts that were named, and to nothing else in the world."""

    @pytest.fixture
    def journey(
        self, tmp_path: Path, source_registry: DockerRegistry, registry: DockerRegistry
    ) -> Journey:
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        elsewhere = {
            variable: "http://127.0.0.1:9" for name in names for variable in (name, name.lower())
        }
        made = Journey.begin(tmp_path / "work", source_registry.host, registry.host)
        made.push("team/app:1", make_image([b"one", b"two"]))
        made.deploy("team/app:1")
        return replace(made, variables=elsewhere)

    def test_of_a_whole_create_and_apply(self, journey: Journey) -> None:
        create = self._connections(journey, journey.create_command())
        assert create == {journey.source}
        apply = self._connections(journey, journey.apply_command())
        assert apply == {journey.target}

    def _connections(self, journey: Journey, command: Sequence[str | Path]) -> set[str]:
        """Where the command and everything it starts connect to over a network."""
        log = journey.folder / "strace.log"
        traced = [
            *("strace", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", str(log)),
            *journey.shell.command_line(*command),
        ]
        done = subprocess.run(
            traced,
            cwd=journey.folder,
            env=journey.shell.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = set()
        for family, rest in _CONNECT.findall(log.read_text()):
            if family == "AF_UNIX":
                # The C library asks for a name service on this machine.
                assert "/nscd/" in rest, rest
                continue
            address = _ADDRESS.search(rest)
            assert address is not None, rest
            found.add(f"{address[2]}:{address[1]}")
        return found


_BEARER_PAGES = {
    "text": Echo(403, b"you sent Authorization: "),
    "page": Echo(403, b"<html><pre>Authorization: ", b"\r\nHost: x</pre></html>"),
    "message": Echo(403, b'{"errors":[{"code":"DENIED","message":"', b'"}]}'),
    "detail": Echo(
        400,
        b'{"errors":[{"code":"X","detail":{"padding":"' + b"p" * 230 + b'","sent":"',
        b'"}}]}',
    ),
    "list": Echo(400, b'{"errors":[{"code":"X","message":"m","detail":["', b'"]}]}'),
    "code": Echo(400, b'{"errors":[{"code":"', b'"}]}'),
    "not json": Echo(500, b'{"error":"', b'"'),
}


class TestF13:
    """Error pages that repeat what they were sent."""

    @pytest.mark.parametrize("page", _BEARER_PAGES)
    @pytest.mark.parametrize("form", _FORMS)
    def test_do_not_show_a_token(
        self, watched: Watched, haste: Haste, page: str, form: str
    ) -> None:
        watched.gate.proxy.add(Rule(_BEARER_PAGES[page], "POST", times=None))
        done = watched.gate.apply("--format", form)
        assert done.code in (20, 21, 22)
        watched.assert_clean(done.out, done.err)
        # Not half of it either: a token's first part says whose it is.
        token = next(secret for secret in watched.secrets() if secret.count(".") == 2)
        assert token[:24] not in done.out + done.err
        assert haste.pauses is not None

    @pytest.mark.parametrize(
        "spelling",
        [
            _PASSWORD,
            _BASIC,
            f"Basic {_BASIC}",
            json.dumps(_PASSWORD),
            json.dumps(_PASSWORD, ensure_ascii=False),
            _BASIC.replace("/", "\\/"),
            quote(_PASSWORD),
            quote(_PASSWORD, safe=""),
            quote(_BASIC, safe=""),
            html.escape(_PASSWORD),
            html.escape(_PASSWORD, quote=False),
            f"http://{_USER}:{quote(_PASSWORD, safe='')}@host/path",
            f"Cookie: session={_BASIC}",
        ],
    )
    @pytest.mark.parametrize("shape", ["{}", '{{"errors":[{{"code":"X","detail":{{"a":"{}"}}}}]}}'])
    def test_do_not_show_a_password_in_any_spelling(
        self, watched: Watched, spelling: str, shape: str
    ) -> None:
        body = shape.format(spelling).encode()
        watched.gate.proxy.add(Rule(Answer(403, {}, body), "POST", times=None))
        # As it is sent to the token server, and so known to the importer.
        done = refused(watched.gate.apply(), 21, "Denied")
        for secret in ("canary", _BASIC, _BASIC.rstrip("="), quote(_BASIC, safe="")):
            assert secret not in done.err


_LOGIN = "bob:canary@reg.example"
_PLACE = f"https://{_LOGIN}/x"


def _kustomization(folder: Path, text: str) -> None:
    (folder / "app").mkdir()
    (folder / "app/kustomization.yaml").write_text(text)


class TestAccountsBeforeHosts:
    """Users and passwords in sources, names of images and arguments: refused or not, unseen."""

    @pytest.mark.parametrize("form", _FORMS)
    @pytest.mark.parametrize(
        "text",
        [
            f"resources:\n- {_PLACE}\n",
            "resources:\n- git::https://canary@git.example/x\n",
            f"resources:\n- https://bob:{'canary' * 40}@git.example/x\n",
            f"patches:\n- path: {_PLACE}\n",
        ],
    )
    def test_of_remote_bases(self, tmp_path: Path, text: str, form: str) -> None:
        _kustomization(tmp_path, text)
        done = run_here(tmp_path, "airgap-bundle", "discover", "app", "--format", form)
        refused(done, 14, "RemoteBaseForbidden")
        assert "***@" in done.err
        assert "canary" not in done.err + done.out

    @pytest.mark.parametrize("form", _FORMS)
    @pytest.mark.parametrize("image", [f"{_LOGIN}/a:1", f"{_PLACE}:1"])
    @pytest.mark.parametrize("options", [(), ("--strict",), ("--why", f"{_LOGIN}/a:1")])
    def test_of_images_in_manifests(
        self, tmp_path: Path, image: str, options: tuple[str, ...], form: str
    ) -> None:
        (tmp_path / "app.yaml").write_text(deployment("web", image))
        listed = ("airgap-bundle", "discover", "app.yaml", *options, "--format", form)
        done = run_here(tmp_path, *listed)
        assert "canary" not in done.err + done.out
        assert options or "***@reg.example" in done.out
        write_key_pair(tmp_path, "vendor")
        named = ("--name", "shop", "--version", "1", "--key", "vendor.key", "-o", "out")
        made = run_here(tmp_path, "airgap-bundle", "create", "app.yaml", *named, "--format", form)
        refused(made, 14, "ImageReferenceInvalid")
        assert "canary" not in made.err + made.out

    @pytest.mark.parametrize("form", _FORMS)
    @pytest.mark.parametrize(
        "command",
        [
            ("airgap-bundle", "discover", _PLACE),
            ("airgap-bundle", "discover", "--image", f"{_LOGIN}/a:1"),
            ("airgap-bundle", "split", _PLACE, "--size", "4G", "-o", "out"),
            ("airgap-import", "verify", _PLACE, "--key", "vendor.pub"),
            ("airgap-import", "inspect", _PLACE, "too much", _PLACE),
            ("airgap-import", "login", _LOGIN, "-u", "bob", "--password-stdin"),
            ("airgap-import", "logout", _LOGIN),
            ("airgap-import", "logout", f"https://{_LOGIN}"),
            ("airgap-import", "mirrors", _PLACE, "--kind", "csv"),
        ],
    )
    def test_of_arguments(self, tmp_path: Path, command: tuple[str, ...], form: str) -> None:
        write_key_pair(tmp_path, "vendor")
        done = run_here(tmp_path, *command, "--format", form, stdin=b"secret")
        assert (done.code == 0) is ("logout" in command)
        assert "canary" not in done.err + done.out
