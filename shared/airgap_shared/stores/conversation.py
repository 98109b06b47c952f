"""A conversation: one request with its authorization, its redirects, and its final judgement."""

from __future__ import annotations

from dataclasses import replace

from airgap_shared.errors import AuthFailed, RegistryRejected
from airgap_shared.stores.authorization import Authorization, Grant, Kind, Send
from airgap_shared.stores.endpoint import Endpoint, Origin
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.lapse import examine
from airgap_shared.stores.origins import REDIRECTS, redirect_target
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.refusals import judge
from airgap_shared.stores.retrying import Transient
from airgap_shared.stores.settings import Timing

#: Nothing, then a kept token that is too old, then a new one.
_MAX_SENDS = 3
#: What object storage answers to a signed address that has expired: Amazon, Azure and Google say
#: 403, Google also 400, some caches 401 or 410.
_EXPIRED = frozenset({400, 401, 403, 410})


class Conversation:
    """What happens between asking for something and having an answer, without repetitions."""

    def __init__(
        self,
        endpoint: Endpoint,
        authorization: Authorization,
        send: Send,
        redactor: Redactor,
        timing: Timing,
    ) -> None:
        self._endpoint = endpoint
        self._authorization = authorization
        self._send = send
        self._redactor = redactor
        self._timing = timing

    def exchange(self, request: Request) -> Answer:
        """Send a request and return the answer if its status is one of the accepted.

        Raises:
            Transient: a failure that may pass.
            AirgapError: any other.

        """
        answer = self._followed(request)
        if answer.status in request.accepted:
            return answer
        if Origin.of(answer.url) != self._endpoint.origin and answer.status in _EXPIRED:
            raise self._storage_refuses(request, answer)
        raise judge(request, answer, self._redactor, self._timing.wall())

    def _followed(self, request: Request) -> Answer:
        answer = self._authorized(request)
        hops = 0
        while answer.status in REDIRECTS:
            answer.close()
            target = redirect_target(request, answer, hops)
            hops += 1
            request = replace(request, url=target)
            answer = self._authorized(request)
        return answer

    def _authorized(self, request: Request) -> Answer:
        """Send with what this origin may see, and once more for each thing learnt from a 401."""
        if Origin.of(request.url) != self._endpoint.origin:
            return self._send(request, None)
        renewed = False
        for _ in range(_MAX_SENDS):
            grant = self._authorization.grant(request.access)
            answer = self._send(request, grant.header)
            lapsed = False
            if answer.status == 403 and grant.renewable and not renewed:
                answer, lapsed = self._examined(request, grant, answer)
            if lapsed and self._authorization.renew(request.access, grant.credential):
                renewed = True
                continue
            if answer.status != 401 or 401 in request.accepted:
                return answer
            answer.close()
            self._authorization.refused(request, grant, answer, renewed)
            renewed = grant.kind is not Kind.NOTHING
        raise AuthFailed("the registry refuses what it asked for", where=request.where)

    def _examined(self, request: Request, grant: Grant, answer: Answer) -> tuple[Answer, bool]:
        """The same answer, and whether it says that a password has ended.

        To a HEAD it can say nothing, so ``/v2/`` is asked.
        """
        if request.method != "HEAD":
            return examine(answer)
        url = f"{self._endpoint.base_url}/v2/"
        asked = Request("GET", url, self._endpoint.host, (), request.access)
        asked_answer, lapsed = examine(self._send(asked, grant.header))
        return answer, lapsed or asked_answer.status == 401

    def _storage_refuses(self, request: Request, answer: Answer) -> Transient:
        """The storage behind the registry: its signed addresses expire and are then made anew."""
        answer.close()
        origin = Origin.of(answer.url)
        error = RegistryRejected(
            f"the registry's storage at {origin} answers {answer.status}", where=request.where
        )
        return Transient(error, tries=_MAX_SENDS)
