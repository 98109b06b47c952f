"""Refusals: what an unwelcome answer of a registry means, and whether to try again.

The error codes are those of the distribution specification, "Error Codes"; the special cases
are registries that use a status in a way of their own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from airgap_shared.errors import (
    AirgapError,
    AuthFailed,
    Denied,
    RateLimited,
    RegistryIntegrity,
    RegistryRejected,
    RegistryUnavailable,
    RepositoryMissing,
    TagImmutable,
)
from airgap_shared.stores.exchange import Answer, Request
from airgap_shared.stores.redaction import Redactor
from airgap_shared.stores.retrying import FEW, Transient, parse_retry_after

ERROR_LIMIT = 64 * 1024
_AGAIN = frozenset({408, 500, 502, 503, 504})
_LOST_UPLOAD = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
#: docker-registry gives the number of ENOSPC as its storage driver had it.
_NO_SPACE = re.compile(r'"Err": 28\b|no space left', re.IGNORECASE)
#: Amazon ECR of a password that was good for twelve hours.
_ENDED = "authorization token has expired"
_FEWER = 2


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the body of an error answer says: its codes, and all of it as readable lines."""

    codes: frozenset[str]
    lines: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The lines as an end of a sentence."""
        return f": {'; '.join(self.lines)}" if self.lines else ""


def read_complaint(raw: bytes, redactor: Redactor) -> Complaint:
    """Read an error body in any shape."""
    text = raw[:ERROR_LIMIT].decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        stripped = redactor.clean(" ".join(text.split()))
        return Complaint(frozenset(), (stripped,) if stripped else ())
    entries = [error for error in errors[:10] if isinstance(error, dict)]
    codes = [str(error.get("code", ""))[:100] for error in entries]
    lines = [_line(error, redactor) for error in entries]
    return Complaint(frozenset(codes), tuple(line for line in lines if line))


def judge(request: Request, answer: Answer, redactor: Redactor, now: float) -> Exception:
    """The error that an answer means; :class:`Transient` if it may pass. The answer is closed.

    ``now`` is the Unix time, for a ``Retry-After`` date.
    """
    raw = b"" if request.method == "HEAD" else answer.prefix(ERROR_LIMIT)
    answer.close()
    complaint = read_complaint(raw, redactor)
    said = f"the registry answers {answer.status}{complaint.summary}"
    headers = answer.headers
    wait = parse_retry_after(headers.get("retry-after"), headers.get("date"), now)
    if answer.status == 429:
        advice = "run it again later, or log in: registries allow more to those they know"
        return Transient(RateLimited(said, where=request.where, next_step=advice), wait)
    if answer.status in _AGAIN:
        return _passing(request, answer.status, said, complaint, wait)
    if request.writes:
        return _judge_write(request, answer.status, said, complaint)
    return _final(request, answer.status, said, complaint)


def _passing(
    request: Request, status: int, said: str, complaint: Complaint, wait: float | None
) -> Transient:
    """A 5xx; some registries answer it to content that they will never take."""
    if not any(code.startswith(("MANIFEST_", "BLOB_")) for code in complaint.codes):
        advice = _WRITE_ADVICE[507] if _NO_SPACE.search(complaint.summary) else ""
        unavailable = RegistryUnavailable(said, where=request.where, next_step=advice)
        unavailable.status = status
        return Transient(unavailable, wait)
    error = RegistryRejected(
        said,
        where=request.where,
        next_step="if the manifest has layers with urls, the registry must allow them: "
        "validation.manifests.urls.allow",
        details=complaint.lines,
    )
    return Transient(error, wait, FEW)


def _judge_write(
    request: Request, status: int, said: str, complaint: Complaint
) -> AirgapError | Transient:
    where = request.where
    if complaint.codes & _LOST_UPLOAD and status in (400, 404):
        return Transient(RegistryUnavailable(f"{said}: it lost the upload", where=where))
    if status == 416:
        return Transient(RegistryRejected(said, where=where), tries=FEW)
    if complaint.codes & _DAMAGED and status == 400:
        error = RegistryIntegrity(
            f"content was damaged on its way: {said}",
            where=where,
            next_step="look for a proxy between here and the registry that changes content",
        )
        return Transient(error, tries=_FEWER + 1)
    if _is_immutable(status, said, complaint):
        return TagImmutable(said, where=where, details=complaint.lines)
    if status == 404 and "NAME_UNKNOWN" in complaint.codes:
        advice = _WRITE_ADVICE[404]
        return RepositoryMissing(said, where=where, next_step=advice, details=complaint.lines)
    return _final(request, status, said, complaint)


def _is_immutable(status: int, said: str, complaint: Complaint) -> bool:
    if "TAG_IMMUTABLE" in complaint.codes:
        return True
    return status in (400, 403, 409, 412) and "immutable" in said.lower()


_WRITE_ADVICE = {
    404: "have the project or repository created, or push under another name",
    405: "have the registry's read-only mode ended, or name one that takes uploads",
    413: "have the limit on request bodies raised at the registry's proxy "
    "(nginx: client_max_body_size 0)",
    507: "have room made in the registry's storage",
}


def _final(request: Request, status: int, said: str, complaint: Complaint) -> AirgapError:
    where, details = request.where, complaint.lines
    if status == 401:
        return AuthFailed(said, where=where, details=details)
    if status == 403 and _ENDED in said.lower():
        return AuthFailed(
            said,
            where=where,
            next_step="log in again and run the same command: what is done stays done; "
            "a credential helper would have given a new password",
            details=details,
        )
    if status == 403:
        verb = "push to" if request.writes else "read"
        return Denied(
            said,
            where=where,
            next_step=f"have this account allowed to {verb} the repository, or log in as another",
            details=details,
        )
    if "HTTP request to an HTTPS server" in said:
        advice = "leave out --plain-http"
    else:
        advice = _WRITE_ADVICE.get(status, "") if request.writes else ""
    rejected = RegistryRejected(said, where=where, next_step=advice, details=details)
    rejected.status = status
    return rejected


def _line(error: dict[object, object], redactor: Redactor) -> str:
    code, message, detail = (error.get(key) for key in ("code", "message", "detail"))
    text = ": ".join(str(part) for part in (code, message) if part)
    if detail:
        # Cleaned before it is cut: half a secret is not recognized.
        text += f" ({redactor.clean(json.dumps(detail, ensure_ascii=False))[:300]})"
    return redactor.clean(text)
