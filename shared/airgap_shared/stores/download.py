"""Downloads: the bytes of a blob, continued where a connection broke (RFC 9110 §14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from airgap_shared.errors import RegistryRejected, RegistryUnavailable, SizeMismatch
from airgap_shared.stores.exchange import READ_SIZE, Answer, Request
from airgap_shared.stores.retrying import FEW, Attempts, Transient
from airgap_shared.stores.settings import Patience

_CONTENT_RANGE = re.compile(r"bytes +(?P<first>\d{1,19})-\d{1,19}/(?P<total>\d{1,19}|\*)")
#: This much between two faults counts as progress; less might go on for ever.
_PROGRESS = 1 << 20


@dataclass(slots=True)
class _Course:
    """How far a download has come: to ``position``, and at its last fault to ``mark``.

    Since there was progress, ``skipped`` bytes came that were here already.
    """

    position: int
    mark: int
    skipped: int = 0

    def has_gained(self) -> bool:
        """Whether there was progress since the last fault.

        Where each answer begins at the first byte, one that brings less than was repeated is
        none: at a mebibyte an answer a blob would cost the square of its size.
        """
        gained = self.position - self.mark >= max(_PROGRESS, self.skipped)
        self.mark = self.position
        if gained:
            self.skipped = 0
        return gained


@dataclass(frozen=True, slots=True)
class Download:
    """One blob of ``size`` bytes, got by ``request``."""

    exchange: Callable[[Request], Answer]
    request: Request
    size: int
    patience: Patience

    def chunks(self, offset: int) -> Iterator[bytes]:
        """The bytes from ``offset`` to the end, never one more, in chunks of at most 1 MiB.

        Raises:
            SizeMismatch: the blob has another size.
            RegistryError: it cannot be had.

        """
        course = _Course(offset, offset)
        attempts = Attempts(self.patience)
        while course.position < self.size:
            try:
                for chunk in self._part(course):
                    course.position += len(chunk)
                    yield chunk
            except Transient as fault:
                if course.has_gained():
                    attempts.start_over()
                attempts.pause(fault)

    def _part(self, course: _Course) -> Iterator[bytes]:
        """As much as one answer brings, from where the course is."""
        position = course.position
        headers = {"Range": f"bytes={position}-"} if position else {}
        answer = self.exchange(
            replace(self.request, headers=headers, accepted=(200, 206, 404, 416))
        )
        try:
            self._skip(answer, position - self._first(answer, position), course)
            yield from self._rest(answer, self.size - position)
        finally:
            answer.close()

    def _first(self, answer: Answer, position: int) -> int:
        """The offset at which the answer's body begins."""
        where = self.request.where
        if answer.status == 404:
            missing = RegistryRejected("the registry has no such blob", where=where)
            missing.status = answer.status
            raise missing
        if answer.status == 416:
            raise SizeMismatch(f"the registry's blob has no byte {position}", where=where)
        if answer.status == 200:
            self._check_total(answer.length())
            return 0
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if match is None or int(match["first"]) != position:
            error = RegistryUnavailable("the registry sends another part than asked", where=where)
            raise Transient(error, tries=FEW)
        self._check_total(None if match["total"] == "*" else int(match["total"]))
        return position

    def _check_total(self, total: int | None) -> None:
        if total is not None and total != self.size:
            raise SizeMismatch(
                f"the registry's blob has {total} bytes, not {self.size}", where=self.request.where
            )

    def _skip(self, answer: Answer, count: int, course: _Course) -> None:
        while count:
            skipped = len(self._read(answer, count))
            count -= skipped
            course.skipped += skipped

    def _rest(self, answer: Answer, left: int) -> Iterator[bytes]:
        while left:
            chunk = self._read(answer, left)
            left -= len(chunk)
            if not left and answer.length() is None:
                self._expect_end(answer)
            yield chunk

    def _expect_end(self, answer: Answer) -> None:
        """Without a declared length only reading on tells whether there is more."""
        with suppress(Transient):
            if answer.stream.read(1):
                raise SizeMismatch(
                    f"the registry's blob is longer than {self.size} bytes",
                    where=self.request.where,
                )

    def _read(self, answer: Answer, wanted: int) -> bytes:
        chunk = answer.stream.read(min(wanted, READ_SIZE))
        if not chunk:
            error = RegistryUnavailable(
                "the answer ended before the blob did", where=self.request.where
            )
            raise Transient(error)
        return chunk
