"""Lapses: refusals that mean that a password was good, and has ended.

Most registries answer 401. Amazon ECR answers 403, as to somebody who lacks a right, and says in
the text of the error that its token of twelve hours has expired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from airgap_shared.stores.exchange import Answer
from airgap_shared.stores.refusals import ERROR_LIMIT

_ENDED = re.compile(rb"authorization token has expired", re.IGNORECASE)


@dataclass(slots=True)
class _Kept:
    """A body that was read already, to be read again."""

    data: bytes

    def read(self, size: int) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def close(self) -> None:
        """Nothing: the connection is free."""


def examine(answer: Answer) -> tuple[Answer, bool]:
    """A refusal that can still be read, and whether it says that a password has ended."""
    start = answer.prefix(ERROR_LIMIT)
    ended = answer.status == 403 and _ENDED.search(start) is not None
    return replace(answer, stream=_Kept(start)), ended
