"""Registries: manifests and blobs by the distribution specification, for several threads."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from airgap_shared.errors import (
    Denied,
    DigestMismatch,
    DigestUnsupported,
    ImageReferenceInvalid,
    LimitExceeded,
    RegistryIntegrity,
    RegistryRejected,
)
from airgap_shared.oci import mediatype
from airgap_shared.oci.descriptor import Descriptor
from airgap_shared.oci.digest import Digest, verified_chunks
from airgap_shared.oci.manifest import MANIFEST_LIMIT
from airgap_shared.oci.reference import is_valid_repository, is_valid_tag
from airgap_shared.stores.allowance import Allowance, read_allowance
from airgap_shared.stores.apiclient import ApiClient
from airgap_shared.stores.authorization import Credentials
from airgap_shared.stores.download import Download
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Access, Answer, Request
from airgap_shared.stores.introduction import Introduction
from airgap_shared.stores.ports import FetchedManifest
from airgap_shared.stores.referrerpages import ReferrerPages
from airgap_shared.stores.retrying import Attempts, Transient, retry
from airgap_shared.stores.settings import ClientSettings
from airgap_shared.stores.transport import Transport
from airgap_shared.stores.upload import BlobBody, Uploads, check_announced

#: So long closing waits for the registry to forget what was not finished, in seconds.
_PARTING = 1.0
_ACCEPT = {"Accept": ", ".join(mediatype.ACCEPTED)}


class Registry:
    """A client of one registry; every method may be called from any thread.

    Every method may raise a :class:`RegistryError` (airgap_shared.errors, codes 20 to 25). Faults
    that may pass are tried again within the patience of the settings before that.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        context: ssl.SSLContext | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        self.endpoint = endpoint
        settings = settings or ClientSettings()
        self._patience = settings.patience
        # A target holds nothing so large of ours: that is its fault, in a source its maker's.
        self._too_big = RegistryIntegrity if settings.writes else LimitExceeded
        self._transport = Transport(endpoint, credentials, context, settings)
        self._uploads = Uploads(endpoint, self._transport.exchange, settings.upload_hosts)
        self._allowance: Allowance | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection, and upload sessions that an interruption left behind."""
        self._uploads.cancel_all(_PARTING)
        self._transport.close()

    def ping(self) -> None:
        """Make sure that the registry answers, and that it accepts our credentials if we have any.

        Raises:
            AuthFailed: it does not accept them.

        """
        retry(self._transport.authorization.learn, self._patience)
        if self._transport.authorization.credential("") is None:
            return
        url = f"{self.endpoint.base_url}/v2/"
        request = Request("GET", url, self.endpoint.host, (200, 204, 404, 405))
        self._exchange(request).close()

    def introduction(self) -> Introduction:
        """What the registry answers to a stranger; asked for once."""
        retry(self._transport.authorization.learn, self._patience)
        return self._transport.authorization.introduction

    def api(self) -> ApiClient:
        """The registry's own API beside that of the distribution specification."""
        transport = self._transport
        send, redactor = transport.send, transport.redactor
        return ApiClient(self.endpoint.base_url, send, redactor, self._patience)

    def basic_header(self, repository: str) -> str | None:
        """User and password for a repository as a header, where that is what there is."""
        credential = self._transport.authorization.credential(repository)
        if credential is None or not credential.username:
            return None
        return f"Basic {credential.basic}"

    def head_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest stands for, without fetching it; nothing if it does not exist.

        Registries that do not say enough in the headers are asked for the manifest itself.

        Raises:
            ImageReferenceInvalid: no repository, tag or digest by the grammar.
            LimitExceeded, DigestMismatch: as :meth:`get_manifest`, if that is needed.

        """
        answer = self._exchange(self._manifest_request("HEAD", repository, reference))
        if answer.status == 404:
            return None
        described = _described(answer)
        if described is None:
            fetched = self.get_manifest(repository, reference)
            return None if fetched is None else fetched.descriptor
        asked, digest = _digest_or_none(reference), described.digest
        if asked is not None and asked.algorithm == digest.algorithm and asked != digest:
            raise RegistryIntegrity(
                f"the registry answers with {digest}", where=self._where(repository, reference)
            )
        return replace(described, digest=asked or digest)

    def announced_manifest(self, repository: str, reference: str) -> Descriptor | None:
        """What one HEAD says that a tag or digest stands for; nothing where it says too little.

        That may be because there is no such manifest, or because only a GET is allowed.

        Raises:
            ImageReferenceInvalid: no repository, tag or digest by the grammar.

        """
        try:
            answer = self._exchange(self._manifest_request("HEAD", repository, reference))
        except (RegistryRejected, Denied):
            return None
        self._see(answer)
        return _described(answer) if answer.status == 200 else None

    @property
    def allowance(self) -> Allowance | None:
        """What the registry last said of how many manifests may still be fetched, if it did."""
        return self._allowance

    def get_manifest(self, repository: str, reference: str) -> FetchedManifest | None:
        """A manifest or index by tag or digest; nothing if it does not exist.

        Raises:
            ImageReferenceInvalid: no repository, tag or digest by the grammar.
            LimitExceeded: it is over 4 MiB; of a registry to write to, RegistryIntegrity.
            DigestMismatch: it does not have the digest that was asked for, or is announced as
                another.

        """
        request = self._manifest_request("GET", repository, reference)

        def get() -> tuple[FetchedManifest, Digest | None] | None:
            answer = self._transport.exchange(request)
            self._see(answer)
            if answer.status == 404:
                answer.close()
                return None
            raw = answer.body(MANIFEST_LIMIT)
            if raw is None:
                raise self._too_big(f"a manifest over {MANIFEST_LIMIT} bytes", where=request.where)
            media_type = answer.headers.get("content-type", "")
            return FetchedManifest(raw, media_type, Digest.of(raw)), _announced(answer)

        found = retry(get, self._patience)
        if found is None:
            return None
        fetched, announced = found
        asked = _digest_or_none(reference)
        if asked is None:
            return fetched
        asked.check(fetched.raw, request.where)
        if announced and announced.algorithm == asked.algorithm and announced != asked:
            raise DigestMismatch(f"the registry calls it {announced}", where=request.where)
        return FetchedManifest(fetched.raw, fetched.media_type, asked)

    def put_manifest(
        self, repository: str, reference: str, raw: bytes, media_type: str
    ) -> Digest | None:
        """Store a manifest or index, byte for byte, under a tag or its digest.

        Gives the subject in whose list of referrers the registry says that it put the manifest;
        nothing where the list is ours to keep (distribution-spec, Pushing Manifests with Subject).

        Raises:
            ImageReferenceInvalid: no repository, tag or digest by the grammar.
            LimitExceeded: it is over 4 MiB; nothing was sent.
            RegistryRejected: not taken; its details begin with the registry's error codes.
            TagImmutable: the tag exists and may not be written.
            RegistryIntegrity: the registry says that it stored something else.

        """
        where = self._where(repository, reference)
        if len(raw) > MANIFEST_LIMIT:
            raise LimitExceeded(
                f"a manifest of {len(raw)} bytes, over {MANIFEST_LIMIT}", where=where
            )
        digest = _digest_or_none(reference)
        if digest is not None:
            digest.check(raw, where)
        url = self._url(repository, "manifests", reference)
        headers = {"Content-Type": media_type}
        access = self._transport.access(repository)
        request = Request("PUT", url, where, (200, 201, 202, 204), access, headers, raw)
        answer = self._exchange(request)
        check_announced(answer, digest or Digest.of(raw), where)
        return _digest_or_none(answer.headers.get("oci-subject", ""))

    def lists_referrers(self, repository: str, subject: Digest) -> bool:
        """Whether the registry has the referrers API; one that has not answers 404 or refuses.

        A repository that does not exist has none either (distribution-spec, Listing Referrers).
        """
        request = self._referrers_request(repository, subject)
        try:
            answer = self._exchange(request)
        except (RegistryRejected, Denied):
            return False
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        return answer.status == 200 and kind == mediatype.OCI_INDEX

    def referrers(self, repository: str, subject: Digest) -> Iterator[bytes] | None:
        """The pages of what refers to ``subject``; nothing where there is no referrers API.

        Raises:
            LimitExceeded, UnsafeRedirect: as :meth:`ReferrerPages.read`.

        """
        request = self._referrers_request(repository, subject)
        return ReferrerPages(self._transport.exchange, request, self._patience).read()

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The size in bytes that the registry reports for a blob; nothing if it has none."""
        answer = self._exchange(self._blob_request("HEAD", repository, digest))
        if answer.status == 404:
            return None
        size = answer.length()
        if size is None:
            raise RegistryRejected(
                "the registry does not tell the size of a blob",
                where=self._where(repository, str(digest)),
            )
        return size

    def blob_chunks(
        self, repository: str, digest: Digest, size: int, offset: int = 0
    ) -> Iterator[bytes]:
        """The bytes of a blob from ``offset`` on, unverified, in chunks of at most 1 MiB.

        A broken connection is continued where it broke. Exactly ``size - offset`` bytes come.

        Raises:
            SizeMismatch: the registry's blob has another size.

        """
        request = self._blob_request("GET", repository, digest)
        return Download(self._transport.exchange, request, size, self._patience).chunks(offset)

    def fetch_blob(self, repository: str, digest: Digest, size: int) -> Iterator[bytes]:
        """The bytes of a blob, the last chunk withheld until size and digest are proven.

        Raises:
            SizeMismatch, DigestMismatch: the registry's blob is another one.

        """
        chunks = self.blob_chunks(repository, digest, size)
        return verified_chunks(chunks, digest, size, self._where(repository, str(digest)))

    def push_blob(
        self,
        repository: str,
        digest: Digest,
        size: int,
        open_body: Callable[[], Iterable[bytes]],
    ) -> None:
        """Store a blob; ``open_body`` gives its bytes from the beginning, once for each attempt.

        Size and digest are proven before the last chunk is sent, so that nothing else is ever
        stored. What ``open_body`` or its chunks raise ends the upload and is raised as it is.

        Raises:
            ImageReferenceInvalid: no repository by the grammar.
            SizeMismatch, DigestMismatch: the body is not what it should be.
            RegistryIntegrity: content is damaged on its way, or stored as something else.

        """
        self._check_repository(repository)
        access = self._transport.access(repository)
        attempts = Attempts(self._patience)
        where = f"{self.endpoint.host}/{repository}@{digest}"
        body = BlobBody(digest, size, open_body, where)
        while True:
            try:
                self._uploads.push(access, body)
                return
            except Transient as fault:
                attempts.pause(fault)
            # The answer may have been lost, not the blob.
            if body.proven and self._is_stored(repository, digest, size):
                return

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """Have a blob of another repository of this registry in this one, too, without sending it.

        False if the registry would not; then it must be pushed.
        """
        self._check_repository(repository)
        self._check_repository(source)
        access = self._transport.access(repository, source)
        return retry(lambda: self._uploads.mount(access, digest, source), self._patience)

    def check_push(self, repository: str) -> None:
        """Make sure that blobs may be pushed here: open an upload session and cancel it.

        Raises:
            AuthFailed, Denied: we may not.
            RegistryRejected: nobody may, or the repository must be created first.

        """
        self._check_repository(repository)
        access = self._transport.access(repository)
        location = retry(lambda: self._uploads.begin(access), self._patience)
        self._uploads.cancel(location, access)

    def _is_stored(self, repository: str, digest: Digest, size: int) -> bool:
        """Whether a blob is there, asked once: where that fails, sending it again tells."""
        try:
            answer = self._transport.exchange(self._blob_request("HEAD", repository, digest))
        except Transient:
            return False
        answer.close()
        return answer.status == 200 and answer.length() == size

    def _exchange(self, request: Request) -> Answer:
        """An answer whose body does not matter."""

        def exchange() -> Answer:
            answer = self._transport.exchange(request)
            answer.close()
            return answer

        return retry(exchange, self._patience)

    def _see(self, answer: Answer) -> None:
        self._allowance = read_allowance(answer.headers) or self._allowance

    def _manifest_request(self, method: str, repository: str, reference: str) -> Request:
        url = self._url(repository, "manifests", reference)
        where = self._where(repository, reference)
        return Request(method, url, where, (200, 404), self._access(repository), _ACCEPT)

    def _referrers_request(self, repository: str, subject: Digest) -> Request:
        self._check_repository(repository)
        url = f"{self.endpoint.base_url}/v2/{repository}/referrers/{subject}"
        where = self._where(repository, str(subject))
        accept = {"Accept": mediatype.OCI_INDEX}
        return Request("GET", url, where, (200, 404), self._access(repository), accept)

    def _blob_request(self, method: str, repository: str, digest: Digest) -> Request:
        url = self._url(repository, "blobs", str(digest))
        where = self._where(repository, str(digest))
        return Request(method, url, where, (200, 404), self._access(repository))

    def _access(self, repository: str) -> Access:
        return self._transport.access(repository)

    def _url(self, repository: str, kind: str, name: str) -> str:
        self._check_repository(repository)
        if not is_valid_tag(name) and _digest_or_none(name) is None:
            raise ImageReferenceInvalid(f"neither tag nor digest: {name[:160]!r}")
        return f"{self.endpoint.base_url}/v2/{repository}/{kind}/{name}"

    def _check_repository(self, repository: str) -> None:
        if not is_valid_repository(repository):
            raise ImageReferenceInvalid(
                f"not a repository path: {repository[:300]!r}", where=self.endpoint.host
            )

    def _where(self, repository: str, reference: str) -> str:
        mark = "@" if ":" in reference else ":"
        return f"{self.endpoint.host}/{repository}{mark}{reference}"


def _digest_or_none(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except DigestUnsupported:
        return None


def _announced(answer: Answer) -> Digest | None:
    return _digest_or_none(answer.headers.get("docker-content-digest", ""))


def _described(answer: Answer) -> Descriptor | None:
    """What the headers of an answer say of the manifest, if they say all of it."""
    digest, size = _announced(answer), answer.length()
    media_type = answer.headers.get("content-type", "")
    if digest is None or size is None or not media_type:
        return None
    return Descriptor(media_type, digest, size)
