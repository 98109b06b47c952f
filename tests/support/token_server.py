"""A token server as docker-registry trusts it (distribution-spec, token authentication)."""

from __future__ import annotations

import base64
import datetime
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from support.docker_registry import ServerCertificate, TokenRealm
from support.loopback_server import LoopbackHandler, LoopbackServer
from support.tls import server_context

ISSUER = "throwaway issuer"
SERVICE = "throwaway service"
#: docker-registry 2.8.2 takes a token this long after its end (registry/auth/token/token.go).
_LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """Who gets what, and for how long.

    ``users`` maps names to passwords; a user may do everything, somebody unnamed only the
    ``anonymous`` actions; with ``anonymous=None`` a request without credentials is a 401.
    ``read_only`` lists repositories where nobody is granted more than pull, ``readers`` users who
    are granted no more anywhere. The registry refuses a token ``lifetime`` seconds after it was
    made.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    anonymous: frozenset[str] | None = frozenset({"pull"})
    lifetime: int = 300
    read_only: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()
    one_scope_only: bool = False

    def grants(self, user: str | None, repository: str, action: str) -> bool:
        """Whether an action is allowed."""
        if action != "pull" and (repository in self.read_only or user in self.readers):
            return False
        return user is not None or action in (self.anonymous or ())


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request as it came in, and the status it got."""

    method: str
    user: str | None
    scopes: tuple[str, ...]
    service: str | None
    grant_type: str | None
    authorization: str | None
    status: int


class TokenServer(LoopbackServer):
    """A context manager that serves ``/token``, GET and POST, and records every request.

    ``realm`` is what a DockerRegistry needs; ``policy`` may be replaced while it runs.
    """

    def __init__(
        self,
        folder: Path,
        policy: TokenPolicy | None = None,
        tls: ServerCertificate | None = None,
    ) -> None:
        super().__init__(_Handler, server_context(tls) if tls else None)
        self.policy = policy or TokenPolicy()
        self.requests: list[TokenRequest] = []
        self._signer = _Signer()
        self._refresh: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._root = folder / "token-root.pem"
        self._root.write_bytes(self._signer.certificate_pem)

    @property
    def realm(self) -> TokenRealm:
        """The configuration of a registry that trusts this server."""
        return TokenRealm(f"{self.url}/token", SERVICE, ISSUER, self._root)

    def token(self, *scopes: str, user: str | None = "somebody") -> str:
        """A token made without a request, for setting a registry up."""
        return self._signer.sign(_claims(user, _access(scopes), self.policy.lifetime))

    def refresh_token(self, user: str) -> str:
        """An identity token that POST takes instead of a password."""
        token = secrets.token_urlsafe(16)
        self._refresh[token] = user
        return token

    def answer(self, asked: _Asked) -> tuple[int, dict[str, object]]:
        """Status and JSON body for one request; it is recorded."""
        status, body = self._decide(asked)
        self.requests.append(
            TokenRequest(
                asked.method,
                asked.user,
                asked.scopes,
                asked.service,
                asked.grant_type,
                asked.authorization,
                status,
            )
        )
        return status, body

    def _decide(self, asked: _Asked) -> tuple[int, dict[str, object]]:
        user = self._authenticated(asked)
        if user is None and (asked.has_credentials or self.policy.anonymous is None):
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong credentials"}]}
        if self.policy.one_scope_only and len(asked.scopes) > 1:
            return 403, {"errors": [{"code": "DENIED", "message": "one scope at a time"}]}
        access = [self._granted(user, entry) for entry in _access(asked.scopes)]
        token = self._signer.sign(
            _claims(user, [entry for entry in access if entry["actions"]], self.policy.lifetime)
        )
        body: dict[str, object] = {
            "access_token": token,
            "expires_in": self.policy.lifetime,
            "issued_at": datetime.datetime.now(datetime.UTC).isoformat(),
        }
        if asked.method == "GET":
            body["token"] = token
        if asked.offline and user is not None:
            body["refresh_token"] = self.refresh_token(user)
        return 200, body

    def _authenticated(self, asked: _Asked) -> str | None:
        if asked.refresh is not None:
            return self._refresh.get(asked.refresh)
        expected = self.policy.users.get(asked.user or "")
        if expected is None or asked.password is None:
            return None
        same = hmac.compare_digest(expected.encode(), asked.password.encode())
        return asked.user if same else None

    def _granted(self, user: str | None, entry: dict[str, object]) -> dict[str, object]:
        name, actions = entry["name"], entry["actions"]
        assert isinstance(name, str)
        assert isinstance(actions, list)
        granted = [action for action in actions if self.policy.grants(user, name, action)]
        return {**entry, "actions": granted}


#: The fixture that starts a token server for one test.
MakeTokenServer = Callable[[TokenPolicy], TokenServer]


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    parameters: Mapping[str, list[str]]
    authorization: str | None

    @property
    def scopes(self) -> tuple[str, ...]:
        """One parameter a scope, or several in one, parted by spaces (RFC 6749 §3.3)."""
        return tuple(one for value in self.parameters.get("scope", []) for one in value.split())

    @property
    def service(self) -> str | None:
        return self._one("service")

    @property
    def grant_type(self) -> str | None:
        return self._one("grant_type")

    @property
    def refresh(self) -> str | None:
        return self._one("refresh_token")

    @property
    def offline(self) -> bool:
        return self._one("offline_token") == "true" or self._one("access_type") == "offline"

    @property
    def has_credentials(self) -> bool:
        return self.user is not None or self.refresh is not None

    @property
    def user(self) -> str | None:
        return self._basic[0] if self._basic else self._one("username")

    @property
    def password(self) -> str | None:
        return self._basic[1] if self._basic else self._one("password")

    @property
    def _basic(self) -> tuple[str, str] | None:
        kind, _, encoded = (self.authorization or "").partition(" ")
        if kind.lower() != "basic":
            return None
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return user, password

    def _one(self, name: str) -> str | None:
        return next(iter(self.parameters.get(name, [])), None)


class _Handler(LoopbackHandler):
    server: TokenServer

    def do_GET(self) -> None:  # noqa: N802
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:  # noqa: N802
        length = int(self.headers.get("Content-Length", "0"))
        self._answer(self.rfile.read(length).decode())

    def _answer(self, parameters: str) -> None:
        if urlsplit(self.path).path != "/token":
            self.send_body(404, {}, b"")
            return
        asked = _Asked(self.command, parse_qs(parameters), self.headers.get("Authorization"))
        status, body = self.server.answer(asked)
        self.send_body(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


class _Signer:
    """An ES256 key and its self-signed certificate, shown in every token (RFC 7515 §4.1.6)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        shown = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self._header = {"typ": "JWT", "alg": "ES256", "x5c": [shown]}

    def sign(self, claims: Mapping[str, object]) -> str:
        signed = f"{_part(self._header)}.{_part(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def _claims(
    user: str | None, access: Sequence[Mapping[str, object]], lifetime: int
) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": user or "",
        "aud": SERVICE,
        "nbf": now - 2 * _LEEWAY_SECONDS,
        "iat": now,
        "exp": now + lifetime - _LEEWAY_SECONDS,
        "jti": secrets.token_hex(8),
        "access": list(access),
    }


def _access(scopes: Sequence[str]) -> list[dict[str, object]]:
    """The access entries that ``type:name:actions`` scopes ask for."""
    entries: list[dict[str, object]] = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        entries.append({"type": kind, "name": name, "actions": actions.split(",")})
    return entries


def _part(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
