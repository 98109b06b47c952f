"""How a command ends: its result on standard output, its failure on standard error, its code."""

from __future__ import annotations

import enum
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from airgap_shared.console.text import printable
from airgap_shared.errors import AirgapError, InternalError, Interrupted

_JSON_FORMAT = 1
_TEXT_LIMIT = 500


class Format(enum.StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class _Terminated(BaseException):
    """SIGTERM or SIGHUP arrived."""


def print_result(document: Mapping[str, object], text: str, form: Format) -> None:
    """The result of a command: one JSON object, or text."""
    body = json.dumps({"format": _JSON_FORMAT, **document}, indent=1)
    try:
        print(body if form is Format.JSON else printable(text), flush=True)  # noqa: T201
    except BrokenPipeError:
        # Nobody reads any more; what was done is done, and that is no failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def command(form: Format = Format.TEXT) -> Iterator[None]:
    """Turn every way a command can fail into one line and an exit code.

    No traceback reaches the user unless AIRGAP_DEBUG is set.
    """
    with _signals():
        try:
            yield
        except AirgapError as problem:
            _fail(problem, problem.exit_code, form)
        except KeyboardInterrupt:
            _fail(_interrupted(), 128 + signal.SIGINT, form)
        except _Terminated:
            _fail(_interrupted(), 128 + signal.SIGTERM, form)
        except Exception as problem:
            _fail(_internal(problem), InternalError.exit_code, form)


def describe(problem: AirgapError) -> str:
    """``error: Name: what (where) – what was changed – next step``, details on lines below."""
    parts = [f"error: {problem.name}: {problem}", problem.changed, problem.next_step]
    line = " – ".join(_one_line(part, 4 * _TEXT_LIMIT) for part in parts if part)
    details = [f"  {_one_line(detail, _TEXT_LIMIT)}" for detail in problem.details]
    return "\n".join([line, *details])


def _one_line(text: str, limit: int) -> str:
    return printable(text).replace("\n", " ")[:limit]


def to_document(problem: AirgapError, code: int) -> dict[str, object]:
    """The same for machines."""
    return {
        "name": problem.name,
        "exitCode": code,
        "what": problem.what,
        "where": problem.where,
        "changed": problem.changed,
        "nextStep": problem.next_step,
        "details": list(problem.details),
    }


def _fail(problem: AirgapError, code: int, form: Format) -> None:
    if os.environ.get("AIRGAP_DEBUG"):
        traceback.print_exc()
    print(describe(problem), file=sys.stderr, flush=True)  # noqa: T201
    if form is Format.JSON:
        print_result({"error": to_document(problem, code)}, "", form)
    sys.exit(code)


def _interrupted() -> AirgapError:
    return Interrupted("stopped by a signal", next_step="run the same command again to go on")


def _internal(problem: Exception) -> AirgapError:
    return InternalError(
        f"{type(problem).__name__}: {str(problem)[:_TEXT_LIMIT]}",
        next_step="this is a fault of this program; run again with AIRGAP_DEBUG=1 and report it",
    )


@contextmanager
def _signals() -> Iterator[None]:
    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    previous: list[tuple[int, Callable[..., object] | int | None]] = [
        (number, signal.signal(number, terminate)) for number in (signal.SIGTERM, signal.SIGHUP)
    ]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
