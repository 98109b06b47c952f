"""The transport: ``oras``' registry class with a request function and authorization of our own.

Of oras the session, its cookie policy and its plug points are used. Its own request function
resends bodies, sends tokens to foreign hosts, has no timeout and sleeps for minutes; whatever
oras would send goes through :meth:`Transport.do_request` here instead.
"""

from __future__ import annotations

import functools
import logging
import re
import ssl
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import oras.auth
import oras.auth.base
import oras.provider
import requests
import requests.adapters
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from airgap_shared.stores.authorization import Authorization, Credentials
from airgap_shared.stores.connectionfaults import translate
from airgap_shared.stores.conversation import Conversation
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Answer, Body, BodyFailed, Request
from airgap_shared.stores.pacing import PacedResponse
from airgap_shared.stores.redaction import Redactor, readable
from airgap_shared.stores.retrying import retry
from airgap_shared.stores.settings import ClientSettings

if TYPE_CHECKING:
    from requests.adapters import _HostParams, _PoolKwargs

_Pool = type[urllib3.connectionpool.HTTPConnectionPool]
_log = logging.getLogger(__name__)
_BACKEND = "airgap"
#: How much of an unread answer is read so that its connection can be used again.
_DRAIN_LIMIT = 64 * 1024
_REPOSITORY = re.compile(r"/v2/(?P<repository>.+)/(?:blobs|manifests|tags|referrers)/")
_FAULTS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def _hide_queries(record: logging.LogRecord) -> bool:
    """Keep signatures and upload states out of urllib3's own log of requests."""
    record.msg, record.args = readable(record.getMessage()), ()
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_hide_queries)


class AirgapAuth(oras.auth.base.AuthBackend):
    """The authorization as oras knows it: a backend that reads no files and asks nobody."""

    authorization: Authorization

    def load_configs(self, container: object, configs: object = None) -> None:
        """Nothing: where credentials come from is the caller's choice."""

    def get_auth_header(self) -> dict[str, str]:
        """The header of a request that needs no particular permission."""
        header = self.authorization.grant(Access()).header
        return {} if header is None else {"Authorization": header}


oras.auth.auth_backends[_BACKEND] = AirgapAuth


class Transport(oras.provider.Registry):
    """The connections to one registry and to where it redirects; used by several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        context: ssl.SSLContext | None,
        settings: ClientSettings,
    ) -> None:
        super().__init__(endpoint.authority, insecure=endpoint.plain_http, auth_backend=_BACKEND)
        self._settings = settings
        self._timing = settings.patience.timing
        self._prepare_session(context)
        self.redactor = Redactor()
        self.redactor.learn(*settings.proxies.values())
        authorization = Authorization(endpoint, credentials, self.send, settings, self.redactor)
        self.auth.authorization = authorization
        self.authorization = authorization
        self._conversation = Conversation(
            endpoint, authorization, self.send, self.redactor, self._timing
        )

    def exchange(self, request: Request) -> Answer:
        """One request with authorization and redirects; see :class:`Conversation`."""
        return self._conversation.exchange(request)

    def send(self, request: Request, authorization: str | None) -> Answer:
        """Exactly one request with exactly this header; nothing is followed or repeated.

        Raises:
            Transient, AirgapError: there was no answer.
            Exception: what the source of the body raised.

        """
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        body = request.body if request.body is None or len(request.body) else b""
        _log.debug("%s %s (%s)", request.method, urlsplit(request.url).path, request.where)
        try:
            prepared = self.session.prepare_request(
                requests.Request(request.method, request.url, headers=headers, data=body)
            )
            # The registry's own spelling of an upload address is the only one it must understand.
            prepared.url = request.url
            # The adapter itself: a session reads the whole body of every redirect, to follow it.
            response = self.session.get_adapter(request.url).send(
                prepared,
                stream=True,
                timeout=self._timeouts(request),
                proxies=dict(self._settings.proxies),
            )
        except BodyFailed as failure:
            assert failure.__cause__ is not None  # noqa: S101 - BodyFailed is raised from it
            raise failure.__cause__ from None
        except _FAULTS as problem:
            raise translate(problem, request) from problem
        return self._answer(request, response)

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | Body | None = None,
        headers: dict[str, str] | None = None,
        json: object = None,
        stream: bool = False,
    ) -> requests.Response:
        """Do for methods inherited from oras what is done for our own: every rule holds.

        Raises:
            AirgapError: no answer, or one that stands for a passing fault for too long.

        """
        assert json is None  # noqa: S101 - would be serialised anew, and change a digest
        match = _REPOSITORY.search(unquote(urlsplit(url).path))
        access = self.access(match["repository"]) if match else Access()
        accepted = frozenset(range(200, 500)) - {401, 408, 429}
        where = f"{self.hostname}/{access.repository}"
        request = Request(method, url, where, accepted, access, headers or {}, data)
        answer = retry(lambda: self.exchange(request), self._settings.patience)
        assert isinstance(answer.stream, _Stream)  # noqa: S101 - made by send
        return answer.stream.response

    def access(self, repository: str, pull_from: str = "") -> Access:
        """What is asked for on a repository: always the same, so that one token does for all."""
        actions = "pull,push" if self._settings.writes else "pull"
        return Access.to(repository, actions, pull_from)

    def close(self) -> None:
        """Close every connection."""
        self.session.close()

    def _prepare_session(self, context: ssl.SSLContext | None) -> None:
        session = self.session
        # No ~/.netrc, no proxies and no CA bundles from the environment.
        session.trust_env = False
        session.headers.clear()
        session.headers.update(
            {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity"}
        )
        pools = _paced_pools(self._settings.chunk_timeout, self._timing.monotonic)
        adapter = _Adapter(context, self._settings.jobs * 2, pools)
        for prefix in ("https://", "http://"):
            session.mount(prefix, adapter)
        if context is not None and context.verify_mode is ssl.CERT_NONE:
            # Said once by whoever chose it, not once a request.
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)

    def _timeouts(self, request: Request) -> tuple[float, float]:
        settings = self._settings
        if isinstance(request.body, Body):
            # urllib3 sends the body under the timeout for connecting.
            return settings.read_timeout, settings.read_timeout
        return settings.connect_timeout, settings.read_timeout

    def _answer(self, request: Request, response: requests.Response) -> Answer:
        names = response.raw.headers
        return Answer(
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            tuple(names.getlist("www-authenticate")),
            request.url,
            _Stream(request, response),
        )


class _Stream:
    """The body of a response, read past every decoder: compressed blobs must stay so."""

    def __init__(self, request: Request, response: requests.Response) -> None:
        self.response = response
        self._request = request

    def read(self, size: int) -> bytes:
        try:
            return bytes(self.response.raw.read1(size, decode_content=False))
        except _FAULTS as problem:
            raise translate(problem, self._request) from problem

    def close(self) -> None:
        raw = self.response.raw
        left = raw.length_remaining
        if left is not None and left <= _DRAIN_LIMIT:
            raw.drain_conn()
        self.response.close()


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections by our own TLS context, which alone decides what is trusted."""

    def __init__(
        self, context: ssl.SSLContext | None, size: int, pools: Mapping[str, _Pool]
    ) -> None:
        self._given = context
        super().__init__(pool_connections=16, pool_maxsize=size)
        self._pools = dict(pools)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:  # noqa: ANN401 - as declared there
        """The connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,
        cert: str | tuple[str, str] | None = None,
    ) -> tuple[_HostParams, _PoolKwargs]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "http":
            return host, {"cert_reqs": "CERT_REQUIRED"}
        unverified = self._context.verify_mode is ssl.CERT_NONE
        return host, {
            "ssl_context": self._context,
            "cert_reqs": "CERT_NONE" if unverified else "CERT_REQUIRED",
        }

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        """The system's trust where none was given, read when it is needed: it is large."""
        return self._given or ssl.create_default_context()

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ANN401 - as declared there
        """The response, its cookies dropped unread: nobody wants them, and some cannot be read."""
        for name in ("Set-Cookie", "Set-Cookie2"):
            del resp._original_response.msg[name]
        return super().build_response(req, resp)

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Nothing: the base class would add its own list of authorities to the context."""


def _paced_pools(seconds: float, clock: Callable[[], float]) -> Mapping[str, _Pool]:
    """Connection pools by URL scheme whose answers are :class:`PacedResponse`."""
    make = staticmethod(functools.partial(PacedResponse, seconds, clock))

    class Plain(urllib3.connection.HTTPConnection):
        response_class = make  # type: ignore[assignment]

    class Encrypted(urllib3.connection.HTTPSConnection):
        response_class = make  # type: ignore[assignment]

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
