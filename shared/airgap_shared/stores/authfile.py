"""Auth files: docker's ``config.json`` and the containers tools' ``auth.json``.

Both have the same form (docker config, "auths"; containers-auth.json.5). Keys are spelled in
many ways: ``host``, ``host/namespace/repository``, ``https://host``, ``https://host/v1/`` and,
for Docker Hub, ``https://index.docker.io/v1/``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from airgap_shared.errors import AirgapError, CredentialsInvalid, OutputNotWritable
from airgap_shared.oci.fields import Fields, parse_json
from airgap_shared.oci.reference import DEFAULT_REGISTRY
from airgap_shared.stores.credential import Credential, check_token, check_user
from airgap_shared.stores.credentialhelper import TOKEN_USER

_LIMIT = 1 << 20
#: What ``docker login`` writes for Docker Hub.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_VERSION_PATHS = frozenset({"", "v1", "v2"})


@dataclass(frozen=True, slots=True)
class AuthFile:
    """What one auth file says; identities by normalised key."""

    path: Path
    identities: Mapping[str, Credential] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    default_helper: str = ""

    @classmethod
    def parse(cls, raw: bytes, path: Path) -> Self:
        """Read the JSON of an auth file.

        Raises:
            CredentialsInvalid: it is not one; the message never quotes a value.

        """
        document = _document(raw, path)
        auths = document.optional_record("auths")
        identities: dict[str, Credential] = {}
        # An exact key comes before one that only means the same.
        for key in sorted(auths.mapping if auths else (), key=lambda key: key != normal_key(key)):
            assert auths is not None  # noqa: S101 - there are keys
            credential = _credential(auths.optional_record(key))
            if credential is not None:
                identities.setdefault(normal_key(key), credential)
        helpers = {
            normal_key(host): helper for host, helper in document.text_map("credHelpers").items()
        }
        return cls(path, identities, helpers, document.optional_text("credsStore") or "")


def read_auth_file(path: Path) -> AuthFile | None:
    """Read an auth file; nothing if there is none.

    Raises:
        CredentialsInvalid: it cannot be read or is not one.

    """
    raw = _read_bytes(path)
    return None if raw is None else AuthFile.parse(raw, path)


def store_credential(path: Path, host: str, credential: Credential) -> None:
    """Write an identity for a host into an auth file, in one step and for its owner only.

    Everything else in the file stays; other spellings of the host are replaced.

    Raises:
        CredentialsInvalid: the file is there and is not an auth file, or has the host's
            credentials kept by a helper.
        OutputNotWritable: it cannot be written.

    """
    document = _editable(path)
    helper = AuthFile.parse(json.dumps(document).encode(), path).helpers.get(normal_key(host))
    if helper is not None:
        raise CredentialsInvalid(
            f"the credentials for {host} are kept by docker-credential-{helper}",
            where=str(path),
            next_step="log in with a tool that uses it, or name another file (--authfile)",
        )
    auths = _without(document, host)
    auths[_written_key(host)] = _entry(credential)
    _replace(path, {**document, "auths": auths})


def remove_credential(path: Path, host: str) -> bool:
    """Take a host's identity out of an auth file; whether there was one.

    Raises:
        CredentialsInvalid, OutputNotWritable: as :func:`store_credential`.

    """
    document = _editable(path)
    auths = _without(document, host)
    before = document.get("auths")
    if not isinstance(before, dict) or len(auths) == len(before):
        return False
    _replace(path, {**document, "auths": auths})
    return True


def normal_key(key: str) -> str:
    """The one spelling of a key: host in lower case, without scheme and API version."""
    scheme, mark, rest = key.partition("://")
    text = rest if mark and scheme.lower() in ("http", "https") else key
    host, _, path = text.partition("/")
    host, path = host.lower(), path.strip("/")
    if path in _VERSION_PATHS:
        path = ""
    if host in _DOCKER_HUB:
        host = DEFAULT_REGISTRY
    return f"{host}/{path}" if path else host


def keys_for(host: str, repository: str) -> Iterator[str]:
    """The normalised keys that fit a repository, the most specific first."""
    path = f"{normal_key(host)}/{repository}" if repository else normal_key(host)
    while path:
        yield path
        path = path.rpartition("/")[0]


def _document(raw: bytes, path: Path) -> Fields:
    try:
        return Fields(parse_json(raw, str(path), CredentialsInvalid), str(path), CredentialsInvalid)
    except CredentialsInvalid:
        raise
    except AirgapError as problem:
        raise CredentialsInvalid(problem.what, where=str(path)) from problem


def _credential(entry: Fields | None) -> Credential | None:
    """One entry of ``auths``; docker leaves empty ones for what a helper keeps."""
    if entry is None:
        return None
    user, password = _user_and_password(entry)
    identity = entry.optional_text("identitytoken") or ""
    if user == TOKEN_USER:
        user, password, identity = "", "", identity or password
    registry = entry.optional_text("registrytoken") or ""
    check_token(registry, "the registry token", entry.place)
    found = Credential(user, password, identity, registry)
    return None if found == Credential() else found


def _user_and_password(entry: Fields) -> tuple[str, str]:
    text = entry.optional_text("auth")
    if not text:
        user = check_user(entry.optional_text("username") or "", entry.place)
        return user, entry.optional_text("password") or ""
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (ValueError, binascii.Error):
        decoded = ""
    user, colon, password = decoded.partition(":")
    if not colon:
        entry.refuse("expected USER:PASSWORD in base64", "auth")
    return user, password.rstrip("\0")


def _entry(credential: Credential) -> dict[str, str]:
    if credential.registry_token:
        return {"registrytoken": credential.registry_token}
    entry = {"auth": credential.basic}
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    return entry


def _written_key(host: str) -> str:
    return DOCKER_HUB_KEY if normal_key(host) == DEFAULT_REGISTRY else host


def _editable(path: Path) -> dict[str, object]:
    raw = _read_bytes(path)
    return dict(_document(raw, path).mapping) if raw is not None else {}


def _without(document: Mapping[str, object], host: str) -> dict[str, object]:
    auths = document.get("auths")
    kept = auths if isinstance(auths, dict) else {}
    return {key: entry for key, entry in kept.items() if normal_key(key) != normal_key(host)}


def _read_bytes(path: Path) -> bytes | None:
    try:
        with open(path, "rb", opener=_open) as file:
            raw = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise CredentialsInvalid(
            f"the credentials file cannot be read: {problem.strerror}", where=str(path)
        ) from problem
    if len(raw) > _LIMIT:
        raise CredentialsInvalid("the credentials file is over 1 MiB", where=str(path))
    return raw


def _open(path: str, flags: int) -> int:
    """A pipe that nobody writes to is empty at once; one that is written to is read to its end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def _replace(path: Path, document: Mapping[str, object]) -> None:
    """Write beside the file and move it into place; a link keeps pointing at its file."""
    target = path.resolve()
    text = json.dumps(document, indent="\t", ensure_ascii=False) + "\n"
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files that only their owner can read.
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as problem:
        raise OutputNotWritable(
            f"the credentials file cannot be written: {problem.strerror}", where=str(path)
        ) from problem
