"""AWS Signature Version 4: the headers by which a request proves who sends it. Pure.

The procedure is the one of the AWS Reference Guide, "Create a signed AWS API request", for
services other than S3: paths are normalised and encoded once more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_PORTS = {"http": 80, "https": 443}
#: What proxies and libraries change on the way; never signed.
_UNSIGNED = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """An access key, lasting or for one session; the secrets are never shown."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be seen anywhere."""
        return tuple(text for text in (self.secret, self.session_token) if text)


@dataclass(frozen=True, slots=True)
class AwsScope:
    """What a signature is good for."""

    region: str
    service: str


@dataclass(frozen=True, slots=True)
class AwsCall:
    """A request as it will be sent; header names differ by more than their case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


def sign(call: AwsCall, keys: AwsKeys, scope: AwsScope, moment: datetime) -> dict[str, str]:
    """The headers to send: those of the call, the time, the session token and the signature.

    ``moment`` is aware of its time zone; services refuse signatures older than five minutes.
    """
    stamp = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**call.headers, "X-Amz-Date": stamp}
    if keys.session_token:
        headers["X-Amz-Security-Token"] = keys.session_token
    signed = _signed_headers(call.url, headers)
    request = "\n".join(
        [
            call.method.upper(),
            _path(urlsplit(call.url).path),
            _query(urlsplit(call.url).query),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            ";".join(signed),
            hashlib.sha256(call.body).hexdigest(),
        ]
    )
    credential_scope = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, stamp, credential_scope, digest])
    signature = hmac.new(_key(keys, scope, stamp[:8]), text.encode(), "sha256").hexdigest()
    headers["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.key_id}/{credential_scope}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )
    return headers


def _key(keys: AwsKeys, scope: AwsScope, day: str) -> bytes:
    """The signing key, good for one day, region and service."""
    key = f"AWS4{keys.secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key


def _signed_headers(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case and order, values with every run of white space as one space."""
    values = {"host": _host(url), **{name.lower(): value for name, value in headers.items()}}
    return {
        name: " ".join(values[name].split()) for name in sorted(values) if name not in _UNSIGNED
    }


def _host(url: str) -> str:
    """The ``Host`` header of a request: without the port if it is that of the scheme."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    if parts.port is None or parts.port == _PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _path(path: str) -> str:
    """The path without dot segments and doubled slashes, encoded once more than in the URL."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{end}", safe="/~")


def _query(query: str) -> str:
    """The parameters as they are encoded in the URL, in order, each with an equals sign."""
    if not query:
        return ""
    pairs = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in sorted((n, v) for n, _, v in pairs))
