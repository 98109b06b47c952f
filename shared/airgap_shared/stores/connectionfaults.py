"""Connection faults: what is at the bottom of an HTTP library's exception, in our errors."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

from airgap_shared.errors import (
    AirgapError,
    PlainHttpRefused,
    RegistryTimeout,
    RegistryUnavailable,
    TLSVerifyFailed,
)
from airgap_shared.stores.exchange import Request
from airgap_shared.stores.pacing import EndlessFraming, TooSlow
from airgap_shared.stores.redaction import readable
from airgap_shared.stores.retrying import FEW, Transient

#: What OpenSSL says, by version, when the other side answers in plain text.
_PLAIN_TEXT = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def translate(problem: Exception, request: Request) -> AirgapError | Transient:
    """The error that an exception of the HTTP library means; :class:`Transient` if it may pass."""
    causes = list(_causes(problem))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls_fault(cause, request)
    for cause in causes:
        if isinstance(cause, TimeoutError):
            slow = any(isinstance(one, TooSlow) for one in causes)
            what = "the registry sends too slowly" if slow else "the registry stopped answering"
            return Transient(RegistryTimeout(what, where=request.where), tries=FEW)
        if isinstance(cause, socket.gaierror):
            name = RegistryUnavailable(
                f"the host name cannot be resolved: {cause.strerror}", where=request.where
            )
            return Transient(name, tries=FEW)
    return Transient(RegistryUnavailable(_reason(causes), where=request.where))


def _tls_fault(cause: ssl.SSLError, request: Request) -> AirgapError | Transient:
    where = request.where
    # Both are attributes only of what the ssl module itself has raised.
    reason: str | None = getattr(cause, "reason", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        told = readable(getattr(cause, "verify_message", ""))
        return TLSVerifyFailed(
            f"the certificate is not trusted: {told}; nothing was sent there",
            where=where,
            next_step="name the authority that signed it: --ca-file FILE",
        )
    if reason in _PLAIN_TEXT:
        return PlainHttpRefused(
            "the registry speaks plain http, not https; nothing was sent there",
            where=where,
            next_step="if that is meant, allow it: --plain-http",
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) or reason is None:
        error = RegistryUnavailable("the TLS connection broke", where=where)
        return Transient(error)
    if "ALERT" in reason:
        return TLSVerifyFailed(
            f"the registry ends the TLS handshake: {readable(reason)}",
            where=where,
            next_step="if it wants a client certificate, name one: --cert-file, --key-file",
        )
    return TLSVerifyFailed(f"no TLS connection: {readable(reason)}", where=where)


def _reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, EndlessFraming):
            return "its answer does not come to its end"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "the registry closed the connection without an answer"
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return f"no connection: {cause.strerror}"
        if isinstance(cause, http.client.HTTPException):
            return f"the connection broke: {type(cause).__name__}"
    # Texts of the library itself may hold URLs and header values.
    return f"the connection broke: {type(causes[0]).__name__}"


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """An exception and everything it wraps, the outermost first."""
    waiting, seen = [problem], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        waiting.extend(one for one in inner if isinstance(one, BaseException))
