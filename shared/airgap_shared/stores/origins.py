"""Origin rules: where a registry may send us, and what goes along.

Registries name URLs in four places: the upload ``Location``, redirects, the realm of a challenge
and the next page of a list. The first three have led to stolen credentials somewhere
(CVE-2020-15157, CVE-2023-32681, CVE-2026-48978, CVE-2026-50151).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urljoin, urlsplit, urlunsplit

from airgap_shared.errors import UnsafeRedirect, UnsafeTokenRealm, UnsafeUploadLocation
from airgap_shared.stores.endpoint import Endpoint, Origin
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.redaction import readable

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: A mirror, the registry behind it and the storage behind that make two; more is a loop.
MAX_REDIRECTS = 3
#: Registries that issue tokens on another host, and that host.
_TOKEN_HOSTS = {
    "registry-1.docker.io": frozenset({"auth.docker.io"}),
    "registry.gitlab.com": frozenset({"gitlab.com"}),
}
_PROXY_ADVICE = (
    "have the registry's proxy pass the Host and X-Forwarded-Proto headers on, or set http.host "
    "or http.relativeurls in the registry"
)


def upload_location(
    answer: Answer, endpoint: Endpoint, where: str, allowed: Collection[str]
) -> str:
    """The absolute URL of an upload session.

    It lies on the registry's own origin, or on a host that is ``allowed``, which gets no
    credentials.

    Raises:
        UnsafeUploadLocation: it lies on another origin, or there is none.

    """
    location = answer.headers.get("location", "")
    if not location:
        raise UnsafeUploadLocation("the registry opened an upload without a Location", where=where)
    url = _join(answer.url, location)
    origin, registry = Origin.of(url), endpoint.origin
    if origin != registry:
        encrypted = origin is not None and (origin.scheme, registry.scheme) != ("http", "https")
        if origin is not None and encrypted and origin.host in allowed:
            return url
        offer = f"; if it is right, allow it: --upload-host {origin.host}" if origin else ""
        raise UnsafeUploadLocation(
            f"the registry sends the upload to {_name(origin, location)}, "
            f"but it is spoken to as {registry}; nothing was sent there",
            where=where,
            next_step=_PROXY_ADVICE + (offer if encrypted else ""),
        )
    # In the spelling that is known to resolve: the registry may write HOST.:443.
    return urlunsplit(urlsplit(url)._replace(netloc=endpoint.authority))


def redirect_target(request: Request, answer: Answer, hops: int) -> str:
    """Where a redirect leads, if it may be followed.

    Raises:
        UnsafeRedirect: the request would change something, from https to http, too many, or no
            usable ``Location``.

    """
    location = answer.headers.get("location", "")
    target = _join(answer.url, location)
    source_origin, target_origin = Origin.of(answer.url), Origin.of(target)
    if request.writes:
        raise UnsafeRedirect(
            f"the registry redirects a {request.method} from {source_origin} to "
            f"{_name(target_origin, location)}; nothing was sent there",
            where=request.where,
            next_step=f"name the registry by the address it is served at, or {_PROXY_ADVICE}",
        )
    if source_origin is None or target_origin is None:
        raise UnsafeRedirect("a redirect to no usable address", where=request.where)
    if source_origin.scheme == "https" and target_origin.scheme == "http":
        raise UnsafeRedirect(
            f"a redirect from {source_origin} to {target_origin}, which is not encrypted",
            where=request.where,
            next_step=_PROXY_ADVICE,
        )
    if hops >= MAX_REDIRECTS:
        raise UnsafeRedirect(f"more than {MAX_REDIRECTS} redirects", where=request.where)
    return target


def next_page(url: str, link: str, where: str) -> str:
    """The address of the page that follows the one at ``url``, on the same server.

    Raises:
        UnsafeRedirect: it is elsewhere, or no address at all.

    """
    following = _join(url, link)
    origin = Origin.of(following)
    if origin is None or origin != Origin.of(url):
        raise UnsafeRedirect(
            f"the next page of a list is at {_name(origin, link)}; nothing was asked there",
            where=where,
            next_step=_PROXY_ADVICE,
        )
    return following


def check_realm(
    realm: str, endpoint: Endpoint, allowed: Collection[str], anonymous: bool = False
) -> None:
    """Make sure that a token server may be asked, and be shown the credentials.

    Its host must be the registry's, on any port, or be listed. Where there are no credentials to
    show (``anonymous``), any host by name will do: registries often have their tokens issued
    elsewhere.

    Raises:
        UnsafeTokenRealm: they may not.

    """
    origin, registry = Origin.of(realm), endpoint.origin
    where = endpoint.host
    if origin is None:
        raise UnsafeTokenRealm(f"no usable token address: {readable(realm)!r}", where=where)
    if registry.scheme == "https" and origin.scheme == "http":
        raise UnsafeTokenRealm(
            f"the registry {registry} wants the credentials sent to {origin}, not encrypted; "
            "none were sent",
            where=where,
            next_step="have the registry's token realm corrected to https",
        )
    if origin.host == registry.host:
        return
    trusted = _TOKEN_HOSTS.get(registry.host, frozenset()) | frozenset(allowed)
    if not _is_address(origin.host) and (anonymous or origin.host in trusted):
        return
    raise UnsafeTokenRealm(
        f"the registry {registry} wants the credentials shown to {origin}; none were sent",
        where=where,
        next_step=f"if that is right, allow it: --token-host {origin.host}",
    )


def _join(base: str, location: str) -> str:
    """An absolute URL without a fragment; empty if that cannot be made."""
    try:
        return urlunsplit(urlsplit(urljoin(base, location))._replace(fragment=""))
    except ValueError:
        return ""


def _name(origin: Origin | None, text: str) -> str:
    return str(origin) if origin is not None else repr(readable(text))


def _is_address(host: str) -> bool:
    """Whether a host is written as an IP address, in any of the ways that resolvers take."""
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
