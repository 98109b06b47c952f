"""A threaded HTTP server on loopback that ends cleanly, whatever its clients do."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_EXPECTED = (ConnectionError, TimeoutError, ssl.SSLError)
_NO_LINGER = struct.pack("ii", 1, 0)


class LoopbackHandler(BaseHTTPRequestHandler):
    """Keep-alive, silent, and aware of its server."""

    protocol_version = "HTTP/1.1"
    # An answer in several writes must not wait for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: what was asked is recorded elsewhere."""

    def send_body(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer with a body that is here; for HEAD only its headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except _EXPECTED:
            self.close_connection = True


class LoopbackServer(ThreadingHTTPServer):
    """A context manager: serves on a free port of 127.0.0.1 from a thread.

    On leaving, open connections are shut, all threads joined, and an exception that a handler
    raised is raised again, so that a fault of the test server fails the test.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
    ) -> None:
        self._connections: set[socket.socket] = set()
        self._resetting: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._problems: list[BaseException] = []
        self._tls = tls
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        with self._guard:
            for connection in self._connections:
                _shut(connection)
        self.server_close()
        if self._problems and kind is None:
            raise ExceptionGroup("a test server failed", [_plain(p) for p in self._problems])

    @property
    def idle(self) -> bool:
        """Whether no connection is open: everything that came in was dealt with."""
        with self._guard:
            return not self._connections

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self._tls is not None:
            # The handshake belongs to the handler's thread, not to the one that accepts.
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._guard:
            self._connections.add(connection)
        return connection, address

    def reset_on_close(self, connection: socket.socket) -> None:
        """End this connection with RST, as a crashed peer or a firewall does."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        with self._guard:
            self._resetting.add(connection)

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        with self._guard:
            self._connections.discard(request)
            resetting = request in self._resetting
            self._resetting.discard(request)
        if resetting:
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        problem = sys.exception()
        if problem is not None and not isinstance(problem, _EXPECTED):
            self._problems.append(problem)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _plain(problem: BaseException) -> Exception:
    return problem if isinstance(problem, Exception) else RuntimeError(repr(problem))
