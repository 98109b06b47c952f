"""Access to AWS by the environment: the keys, and where the API of ECR is.

Roles, SSO, profiles and the metadata of a machine are left to ``docker-credential-ecr-login``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from airgap_shared.errors import PlainHttpRefused, UsageError
from airgap_shared.stores.awssignature import AwsKeys
from airgap_shared.stores.credential import check_token
from airgap_shared.stores.ecrname import EcrRegistry
from airgap_shared.stores.endpoint import Endpoint, Origin

_KEY_ID, _SECRET, _SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINTS = ("AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL")
#: What to do where there are no keys.
WITHOUT_KEYS = (
    f"set {_KEY_ID} and {_SECRET} (with {_SESSION} for keys of a session); for roles, SSO, "
    "profiles and the metadata of a machine name docker-credential-ecr-login in the auth file"
)


def aws_keys(environment: Mapping[str, str]) -> AwsKeys | None:
    """The keys that the environment holds, if it does.

    Raises:
        CredentialsInvalid: they hold what no request can carry.

    """
    names = (_KEY_ID, _SECRET, _SESSION)
    key_id, secret, session = (environment.get(name, "") for name in names)
    if not key_id or not secret:
        return None
    for name, value in zip(names, (key_id, secret, session), strict=True):
        check_token(value, "the value", name)
    return AwsKeys(key_id, secret, session)


def ecr_registry(host: str, chosen: bool, environment: Mapping[str, str]) -> EcrRegistry | None:
    """The registry of ECR behind a host: by its name, or where ``chosen`` says that it is one.

    Raises:
        UsageError: it is chosen, and neither its name nor the environment tells its region.

    """
    found = EcrRegistry.of(host)
    if found is not None or not chosen:
        return found
    region = next((environment[name] for name in _REGIONS if environment.get(name)), "")
    found = EcrRegistry.in_region(region)
    if found is None:
        raise UsageError(
            "neither the host nor AWS_REGION tells the region of this registry of ECR",
            where=host,
            next_step="set AWS_REGION, or name ACCOUNT.dkr.ecr.REGION.amazonaws.com",
        )
    return found


def api_endpoint(registry: EcrRegistry, environment: Mapping[str, str]) -> Endpoint:
    """Where the API of ECR is spoken to; the environment may name another place.

    Raises:
        UsageError: what it names is no address of a host.
        PlainHttpRefused: it is not encrypted, and not on this machine.

    """
    for name in _ENDPOINTS:
        if url := environment.get(name):
            return _read_endpoint(url, name)
    return Endpoint(registry.api_host)


def _read_endpoint(url: str, name: str) -> Endpoint:
    origin = Origin.of(url)
    if origin is None or urlsplit(url).path not in ("", "/") or urlsplit(url).query:
        raise UsageError(
            "not the address of a host", where=name, next_step="write it as https://HOST[:PORT]"
        )
    plain = origin.scheme == "http"
    if plain and not _is_this_machine(origin.host):
        raise PlainHttpRefused(
            "the API of ECR is not asked by plain http",
            where=name,
            next_step="write it as https://HOST[:PORT]",
        )
    return Endpoint(urlsplit(url).netloc, plain)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
