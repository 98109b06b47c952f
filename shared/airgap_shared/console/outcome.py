"""How a command ends: its result on standard output, its failure on standard error, its code."""

from __future__ import annotations

import enum
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

from airgap_shared.console.signals import Terminated, part, raised_signals
from airgap_shared.console.streams import open_standard_streams, silence
from airgap_shared.console.text import printable
from airgap_shared.errors import (
    AirgapError,
    InternalError,
    Interrupted,
    OutOfMemory,
    OutputNotWritable,
)
from airgap_shared.stores.redaction import hide, without_accounts

NOTHING_CHANGED = "nothing was changed"
_JSON_FORMAT = 1
_TEXT_LIMIT = 500


class Format(enum.StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


def print_result(document: Mapping[str, object], text: str, form: Format) -> None:
    """The result of a command: one JSON object, or text."""
    body = json.dumps({"format": _JSON_FORMAT, **document}, indent=1)
    try:
        print_text(body if form is Format.JSON else printable(text))
    except OutputNotWritable as problem:
        problem.explain(changed="everything that was asked for was done")
        raise


def print_text(text: str) -> None:
    """Print what was asked for.

    Raises:
        OutputNotWritable: it could not be printed; that nobody reads it is no failure.

    """
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        # What was done is done.
        silence(sys.stdout)
    except OSError as problem:
        silence(sys.stdout)
        raise OutputNotWritable(
            f"the result could not be printed: {problem.strerror}", where="standard output"
        ) from problem


def print_refused(
    problem: AirgapError, document: Mapping[str, object], text: str, form: Format
) -> NoReturn:
    """The result of a command that found out that something else would fail; its exit code.

    In JSON it is one object, with the failure under ``error``.
    """
    problem.explain(changed=NOTHING_CHANGED, next_step=problem.advice)
    failure = to_document(problem, problem.exit_code)
    print_result({**document, "error": failure}, text, form)
    try:
        _write(sys.stderr, describe(problem))
    except OSError:
        silence(sys.stderr)
    sys.exit(problem.exit_code)


@contextmanager
def command(form: Format = Format.TEXT, changed: str = "", always: bool = False) -> Iterator[None]:
    """Turn every way a command can fail into one line and an exit code.

    ``changed`` is what an error tells that does not itself say what was and was not changed: of a
    command that changes something at its very end only, or, ``always``, nothing at all. Signals
    and faults of the program can come after the end, and tell it only of the latter.

    No traceback reaches the user unless AIRGAP_DEBUG is set.
    """
    stopped = changed if always else ""
    _leave_no_core()
    open_standard_streams()
    with raised_signals():
        try:
            yield
        except AirgapError as problem:
            problem.explain(changed=changed)
            _fail(problem, problem.exit_code, form)
        except KeyboardInterrupt as stop:
            _fail(_interrupted(stop, stopped), 128 + signal.SIGINT, form)
        except Terminated as stop:
            _fail(_interrupted(stop, stopped), 128 + stop.number, form)
        except MemoryError as problem:
            _fail(_no_memory(problem, stopped), OutOfMemory.exit_code, form)
        except Exception as problem:
            _fail(_internal(problem, stopped), InternalError.exit_code, form)


def describe(problem: AirgapError) -> str:
    """``error: Name: what (where) – what was changed – next step``, details on lines below."""
    parts = [f"error: {problem.name}: {problem}", problem.changed, problem.next_step]
    line = " – ".join(_one_line(part, 4 * _TEXT_LIMIT) for part in parts if part)
    details = [f"  {_one_line(detail, _TEXT_LIMIT)}" for detail in problem.details]
    return "\n".join([line, *details])


def _one_line(text: str, limit: int) -> str:
    return printable(without_accounts(text)).replace("\n", " ")[:limit]


def to_document(problem: AirgapError, code: int) -> dict[str, object]:
    """The same for machines."""
    return {
        "name": problem.name,
        "exitCode": code,
        "what": without_accounts(problem.what),
        "where": without_accounts(problem.where),
        "changed": without_accounts(problem.changed),
        "nextStep": without_accounts(problem.next_step),
        "details": [without_accounts(detail) for detail in problem.details],
    }


def _fail(problem: AirgapError, code: int, form: Format) -> None:
    problem.explain(next_step=problem.advice)
    try:
        if os.environ.get("AIRGAP_DEBUG"):
            # What libraries put into their exceptions may hold addresses with signatures in them.
            _write(sys.stderr, printable(without_accounts(hide(traceback.format_exc()))))
        _write(sys.stderr, describe(problem))
    except OSError:
        # Where nobody can be told any more, the code still tells.
        silence(sys.stderr)
    if form is Format.JSON:
        with suppress(AirgapError):
            print_result({"error": to_document(problem, code)}, "", form)
    sys.exit(code)


def _write(stream: TextIO, text: str) -> None:
    """A line that every terminal and file can take, whatever its encoding."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _interrupted(stop: BaseException, changed: str) -> AirgapError:
    part()
    return Interrupted("stopped by a signal", changed=_noted(stop) or changed)


def _no_memory(problem: BaseException, changed: str) -> AirgapError:
    return OutOfMemory("no memory is left", changed=_noted(problem) or changed)


def _noted(stop: BaseException) -> str:
    """What was changed before an interruption, which the notes on it say."""
    return "; ".join(getattr(stop, "__notes__", ()))


def _internal(problem: Exception, changed: str) -> AirgapError:
    """Without its text: what libraries say may repeat a secret."""
    return InternalError(f"{type(problem).__name__} in {_origin(problem)}", changed=changed)


def _origin(problem: Exception) -> str:
    """The last place of ours that the exception came through."""
    places = [
        f"{name}, line {line}"
        for frame, line in traceback.walk_tb(problem.__traceback__)
        if (name := str(frame.f_globals.get("__name__"))).startswith("airgap_")
    ]
    return places[-1] if places else "unknown place"


def _leave_no_core() -> None:
    """Have no image of memory, and the passwords in it, written should the process crash."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
