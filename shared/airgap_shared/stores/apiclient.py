"""A registry's own API: single JSON requests with a header of the caller's making.

No scheme is learnt and no redirect is followed, so what a request carries goes to its address
alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from airgap_shared.errors import RegistryRejected
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.refusals import judge
from airgap_shared.stores.retrying import retry
from airgap_shared.stores.settings import Patience

_ANSWER_LIMIT = 1 << 20
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and the JSON object of its body; empty if the body is none."""

    status: int
    document: Mapping[str, object] = field(repr=False)

    def text(self, key: str) -> str:
        """A text of the document; empty if it is none."""
        value = self.document.get(key)
        return value if isinstance(value, str) else ""


class ApiClient:
    """Requests to one API at ``base_url``, by the connections of a registry client."""

    def __init__(
        self,
        base_url: str,
        send: Callable[[Request, str | None], Answer],
        redactor: Redactor,
        patience: Patience,
    ) -> None:
        self.base_url = base_url
        self.redactor = redactor
        self.timing = patience.timing
        self._send = send
        self._patience = patience

    def ask(self, request: Request, authorization: str | None) -> Reply:
        """Send a request once; its ``accepted`` statuses give a reply.

        Raises:
            Transient, AirgapError: there was no answer, or one of another status.

        """
        answer = self._send(request, authorization)
        if answer.status not in request.accepted:
            raise judge(request, answer, self.redactor, self.timing.wall())
        raw = b"" if request.method == "HEAD" else answer.body(_ANSWER_LIMIT)
        answer.close()
        if raw is None:
            raise RegistryRejected("the answer is over 1 MiB", where=request.where)
        return Reply(answer.status, _read(raw))

    def patiently(self, operation: Callable[[], _Result]) -> _Result:
        """Do something until it succeeds, fails for good, or patience ends."""
        return retry(operation, self._patience)


def json_request(
    method: str, url: str, where: str, accepted: tuple[int, ...], document: object = None
) -> Request:
    """A request with a JSON document, or without any."""
    if document is None:
        return Request(method, url, where, accepted)
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    return Request(method, url, where, accepted, headers=headers, body=body)


def _read(raw: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
