"""The API of Amazon ECR: tokens to log in with, and new repositories.

The protocol is AWS JSON 1.1, as botocore's model of the service (2015-09-21) describes it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from airgap_shared.errors import AuthFailed, Denied, RateLimited, RegistryRejected
from airgap_shared.stores.apiclient import ApiClient, Reply
from airgap_shared.stores.awssignature import AwsCall, AwsKeys, AwsScope, sign
from airgap_shared.stores.credential import Credential
from airgap_shared.stores.ecrname import EcrRegistry
from airgap_shared.stores.endpoint import Endpoint
from airgap_shared.stores.exchange import Request
from airgap_shared.stores.retrying import Transient

_TARGET = "AmazonEC2ContainerRegistry_V20150921"
_TOO_FAST = frozenset({"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
#: Errors of all services of AWS about who asks (AWS General Reference, "Common errors").
_STRANGER = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
#: Errors that answer a question.
_TOLD = frozenset({"RepositoryAlreadyExistsException", "RepositoryNotFoundException"})

#: Opens the connections to an API and closes them.
OpenApi = Callable[[Endpoint], AbstractContextManager[ApiClient]]


@dataclass(frozen=True, slots=True)
class EcrSettings:
    """How new repositories are set; ``kms_key`` is an ARN, id or alias, empty for AES256."""

    immutable_tags: bool = False
    scan_on_push: bool = False
    kms_key: str = ""


class EcrApi:
    """The API of one registry, asked with one access key."""

    def __init__(self, client: ApiClient, registry: EcrRegistry, keys: AwsKeys) -> None:
        self._client = client
        self._registry = registry
        self._keys = keys
        client.redactor.learn(*keys.secrets)

    def authorization_token(self) -> Credential:
        """A user and password for the registry, good for twelve hours.

        Raises:
            AuthFailed: the keys are not accepted, or the answer makes no sense.
            Denied: they may not have tokens made.
            RegistryError: there was no usable answer.

        """
        reply = self._call("GetAuthorizationToken", {}, "the API of ECR")
        data = reply.document.get("authorizationData")
        first = data[0] if isinstance(data, list) and data else {}
        token = first.get("authorizationToken") if isinstance(first, dict) else None
        try:
            text = base64.b64decode(token if isinstance(token, str) else "", validate=True).decode()
        except (binascii.Error, ValueError):
            text = ""
        user, _, password = text.partition(":")
        if not user or not password:
            raise AuthFailed("the API of ECR gives no token", where=self._client.base_url)
        self._client.redactor.learn(password)
        return Credential(user, password, renewable=True)

    def create_repository(self, name: str, settings: EcrSettings) -> bool:
        """Make a repository; false if there is one of this name.

        Raises:
            Denied: the keys may not.
            RegistryRejected: ECR refuses, for a setting or a limit.
            RegistryError: there was no usable answer.

        """
        wanted: dict[str, object] = {"repositoryName": name}
        if self._registry.account:
            # Keys of another account must not make it there.
            wanted["registryId"] = self._registry.account
        if settings.immutable_tags:
            wanted["imageTagMutability"] = "IMMUTABLE"
        if settings.scan_on_push:
            wanted["imageScanningConfiguration"] = {"scanOnPush": True}
        if settings.kms_key:
            key = {"encryptionType": "KMS", "kmsKey": settings.kms_key}
            wanted["encryptionConfiguration"] = key
        return self._call("CreateRepository", wanted, name).status == 200

    def has_repository(self, name: str) -> bool:
        """Whether there is a repository of this name.

        Raises:
            Denied: the keys may not ask.
            RegistryError: there was no usable answer.

        """
        asked: dict[str, object] = {"repositoryNames": [name]}
        if self._registry.account:
            asked["registryId"] = self._registry.account
        return self._call("DescribeRepositories", asked, name).status == 200

    def _call(self, operation: str, document: dict[str, object], what: str) -> Reply:
        return self._client.patiently(lambda: self._once(operation, document, what))

    def _once(self, operation: str, document: dict[str, object], what: str) -> Reply:
        url = f"{self._client.base_url}/"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGET}.{operation}",
        }
        body = json.dumps(document).encode()
        scope = AwsScope(self._registry.region, "ecr")
        # Signed anew for each try: a signature is good for five minutes.
        now = datetime.fromtimestamp(self._client.timing.wall(), UTC)
        signed = sign(AwsCall("POST", url, headers, body), self._keys, scope, now)
        authorization = signed.pop("Authorization")
        where = f"{what}, {self._client.base_url}"
        request = Request("POST", url, where, (200, 400, 403), headers=signed, body=body)
        reply = self._client.ask(request, authorization)
        if reply.status != 200 and _kind(reply) not in _TOLD:
            self._refuse(operation, reply, where)
        return reply

    def _refuse(self, operation: str, reply: Reply, where: str) -> NoReturn:
        kind = _kind(reply)
        told = reply.text("message") or reply.text("Message")
        said = self._client.redactor.clean(f"ECR answers {kind}: {told}")
        if kind in _TOO_FAST:
            raise Transient(RateLimited(said, where=where))
        if kind in _STRANGER:
            raise AuthFailed(
                said,
                where=where,
                next_step="check the keys in the environment, whether those of a session have "
                "ended, and the clock of this machine",
            )
        if kind in _DENIED:
            raise Denied(said, where=where, next_step=f"have ecr:{operation} allowed to this key")
        raise RegistryRejected(said, where=where)


def _kind(reply: Reply) -> str:
    """The name of an error, which may stand behind that of its service."""
    return reply.text("__type").rpartition("#")[2] or f"status {reply.status}"
