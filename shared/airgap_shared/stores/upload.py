"""Uploads: one POST, then the whole blob in one streamed PUT (distribution-spec, "Push").

That is the only form that every registry takes. A broken upload is begun anew: docker-registry
2.8 forgets the session with the connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import quote, urlencode

from airgap_shared.errors import (
    AirgapError,
    DigestUnsupported,
    RegistryIntegrity,
    RegistryUnsafe,
)
from airgap_shared.oci.digest import Digest, verified_chunks
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Answer, Body, Request
from airgap_shared.stores.origins import upload_location
from airgap_shared.stores.retrying import FEW, Transient

_log = logging.getLogger(__name__)


class BlobBody(Body):
    """The bytes of a blob, whose size and digest are proven before the last chunk is given.

    ``proven`` says whether the last reading came to that: a registry may answer before.
    """

    def __init__(
        self, digest: Digest, size: int, open_chunks: Callable[[], Iterable[bytes]], where: str
    ) -> None:
        super().__init__(size, self._proving)
        self.digest = digest
        self.where = where
        self.proven = False
        self._source = open_chunks

    def prove_nothing(self) -> None:
        """Prove that a blob of no bytes is one: nobody asks for the chunks of that.

        Raises:
            SizeMismatch, DigestMismatch: it is not.

        """
        if not len(self) and not self.proven:
            for _ in self._proving():
                pass

    def _proving(self) -> Iterator[bytes]:
        self.proven = False
        yield from verified_chunks(self._source(), self.digest, len(self), self.where)
        self.proven = True


class Uploads:
    """The upload sessions of one registry; nothing here is repeated.

    Those whose content is under way are known by their address, to be closed from outside, and so
    are those that a registry opened instead of mounting a blob: the blob is then sent into them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        exchange: Callable[[Request], Answer],
        hosts: Collection[str] = (),
    ) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        self._hosts = hosts
        self._under_way: dict[str, Access] = {}
        self._offered: dict[tuple[str, Digest], tuple[str, Access]] = {}

    def push(self, access: Access, body: BlobBody) -> None:
        """Upload a blob.

        Raises:
            SizeMismatch, DigestMismatch: the body is not what it should be; nothing was stored.
            RegistryIntegrity: the registry says that it stored something else.
            Transient, AirgapError: the upload failed.

        """
        digest, where = body.digest, body.where
        body.prove_nothing()
        offered = self._offered.pop((access.repository, digest), None)
        location = offered[0] if offered is not None else self.begin(access)
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(str(digest))}"
        headers = {"Content-Type": "application/octet-stream"}
        put = Request("PUT", url, where, (200, 201, 204), access, headers, body)
        self._under_way[location] = access
        try:
            answer = self._exchange(put)
        except Transient:
            raise
        except Exception:
            self.cancel(location, access)
            raise
        finally:
            self._under_way.pop(location, None)
        answer.close()
        if not body.proven:
            early = "the registry says that it stored the blob before it had all of it"
            raise Transient(RegistryIntegrity(early, where=where), tries=FEW)
        check_announced(answer, digest, where)

    def cancel_all(self, seconds: float) -> None:
        """Close the sessions that are still open, and wait so long for that to be done.

        There are such only where an interruption left transfers behind that hang, or a blob that
        was not mounted was not sent either.
        """
        sessions = list(self._under_way.items())
        sessions += self._offered.values()
        self._offered.clear()
        closing = [
            threading.Thread(target=self.cancel, args=session, daemon=True) for session in sessions
        ]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))

    def mount(self, access: Access, digest: Digest, source: str) -> bool:
        """Have the registry take a blob over from another of its repositories.

        ``access`` must name the source, too. False if the registry would rather have it pushed: it
        opens a session for that, which :meth:`push` uses; where it does not say which, another.
        """
        query = urlencode({"mount": str(digest), "from": source})
        request = self._post(access, f"?{query}", (201, 202))
        try:
            answer = self._exchange(request)
        except RegistryUnsafe:
            raise
        except AirgapError as refusal:
            _log.debug("no mount from %s: %s", source, refusal)
            return False
        answer.close()
        if answer.status == 201:
            check_announced(answer, digest, request.where)
            return True
        if not answer.headers.get("location"):
            return False
        self._offered[access.repository, digest] = (self._location(answer, request), access)
        return False

    def begin(self, access: Access) -> str:
        """Open a session; its address.

        Raises:
            UnsafeUploadLocation: the registry sends the content elsewhere.
            Transient, AirgapError: it takes no uploads.

        """
        request = self._post(access, "", (202,))
        answer = self._exchange(request)
        answer.close()
        return self._location(answer, request)

    def cancel(self, location: str, access: Access) -> None:
        """Close a session, if the registry lets us; it forgets it in the end anyway.

        Many token servers grant no deleting with pushing; another token would not help.
        """
        request = Request("DELETE", location, self._where(access), range(200, 500), access)
        try:
            self._exchange(request).close()
        except (Transient, AirgapError) as problem:
            _log.debug("an upload session stays open: %s", problem)

    def _location(self, answer: Answer, request: Request) -> str:
        return upload_location(answer, self._endpoint, request.where, self._hosts)

    def _post(self, access: Access, query: str, accepted: tuple[int, ...]) -> Request:
        url = f"{self._endpoint.base_url}/v2/{access.repository}/blobs/uploads/{query}"
        return Request("POST", url, self._where(access), accepted, access)

    def _where(self, access: Access) -> str:
        return f"{self._endpoint.host}/{access.repository}"


def check_announced(answer: Answer, digest: Digest, where: str) -> None:
    """Compare ``Docker-Content-Digest``, where it is given, with what was pushed.

    Raises:
        RegistryIntegrity: the registry stored something else.

    """
    text = answer.headers.get("docker-content-digest")
    if text is None:
        return
    try:
        announced = Digest.parse(text)
    except DigestUnsupported:
        # Not repeated, cause included: whoever answers so may echo what it was sent.
        raise RegistryIntegrity(
            "the registry stored it as something that is no digest", where=where
        ) from None
    if announced.algorithm == digest.algorithm and announced != digest:
        raise RegistryIntegrity(f"the registry stored it as {announced}", where=where)
