"""Programs of the user that are asked something: bounded time, bounded output, no shell."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

_PIECE = 1 << 16
#: More than this on standard error is read, lest the program stands still, and dropped.
_ERRORS_LIMIT = 1 << 16


class ProgramFailed(Exception):
    """It could not be started, took too long or said too much; the text says which."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended: exit status (negative: the signal), standard output and error."""

    status: int
    output: bytes
    errors: bytes


@dataclass(frozen=True, slots=True)
class Program:
    """A command line, its environment, and how long and how much it may answer.

    One with ``terminal`` may ask its user there, for a PIN; any other is in a session of its own.
    It is at work in ``folder``, or where we are.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    seconds: float
    output_limit: int
    terminal: bool = False
    folder: str | None = None

    def ask(self, question: bytes) -> Ending:
        """Run it with ``question`` on standard input; at the end, nothing that it started is left.

        Raises:
            ProgramFailed: there is no whole answer.
            KeyboardInterrupt: it was stopped by Ctrl-C, which is meant for us as well.

        """
        deadline = time.monotonic() + self.seconds
        with self._started() as process:
            talk = _Conversation(process, question)
            try:
                talk.hold(deadline, self.output_limit)
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired) as problem:
                raise ProgramFailed(f"does not answer within {self.seconds:.0f} s") from problem
        if self.terminal and status == -signal.SIGINT:
            raise KeyboardInterrupt
        return Ending(status, bytes(talk.output), bytes(talk.errors))

    @contextlib.contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        try:
            process = subprocess.Popen(  # noqa: S603 - what the user named, no shell
                self.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=dict(self.environment),
                cwd=self.folder,
                # A group of its own in any case, so that what it starts can be ended with it.
                start_new_session=not self.terminal,
                process_group=0 if self.terminal else None,
            )
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            raise ProgramFailed(f"cannot be run: {reason}") from problem
        with process, contextlib.ExitStack() as stack:
            stack.callback(_end, process)
            if self.terminal:
                stack.enter_context(_terminal_lent(process.pid))
            yield process


@dataclass(slots=True)
class _Conversation:
    """What is said to a program, and what it says, until its standard output ends."""

    process: subprocess.Popen[bytes]
    question: bytes
    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)

    def hold(self, deadline: float, output_limit: int) -> None:
        """Write and read; raises TimeoutError, or ProgramFailed for too long an answer."""
        stdin, stdout, stderr = _pipes(self.process)
        unsent = memoryview(self.question)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while stdout in selector.get_map():
                for key, _ in _ready(selector, deadline):
                    if key.fileobj is stdin:
                        unsent = _send(stdin, unsent)
                        over = not unsent
                    else:
                        over = not self._receive(key.fd, key.fileobj is stdout)
                    if over:
                        selector.unregister(key.fileobj)
                if len(self.output) > output_limit:
                    raise ProgramFailed(f"prints more than {output_limit} bytes")
        # What stands ready by now; something it left behind may hold the pipe open for ever.
        self._receive(stderr.fileno(), False)

    def _receive(self, descriptor: int, is_answer: bool) -> bool:
        """Take what is ready; false at the end."""
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        if is_answer:
            self.output += piece
        else:
            self.errors += piece[: _ERRORS_LIMIT - len(self.errors)]
        return bool(piece)


def _ready(
    selector: selectors.BaseSelector, deadline: float
) -> list[tuple[selectors.SelectorKey, int]]:
    remaining = deadline - time.monotonic()
    ready = selector.select(remaining) if remaining > 0 else []
    if not ready:
        raise TimeoutError
    return ready


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin and stdout and stderr  # noqa: S101 - asked for
    for pipe in (stdin, stdout, stderr):
        os.set_blocking(pipe.fileno(), False)
    return stdin, stdout, stderr


def _send(pipe: IO[bytes], unsent: memoryview) -> memoryview:
    """Write what the pipe takes; nothing is left once it is all written, or not wanted."""
    try:
        unsent = unsent[os.write(pipe.fileno(), unsent) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        unsent = memoryview(b"")
    if not unsent:
        pipe.close()
    return unsent


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, if it has not, and whatever it started that is still in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _terminal_lent(group: int) -> Iterator[None]:
    """Let a process group read from the terminal, if there is one and it is ours to lend."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        ours = os.getpgrp()
        if os.tcgetpgrp(terminal) != ours:
            yield
            return
        _give(terminal, group)
        # It may have stopped because it was faster.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGCONT)
        try:
            yield
        finally:
            _give(terminal, ours)
    finally:
        os.close(terminal)


def _give(terminal: int, group: int) -> None:
    """Put a group into the foreground; from the background that takes a blocked SIGTTOU."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
