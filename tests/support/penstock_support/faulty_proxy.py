"""A proxy before an HTTP service that fails as networks and busy services do, as often as told."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# The service is busy; the connection is reset; the answer is cut off; none ever comes.
BUSY, RESET, CUT, SILENT = "busy", "reset", "cut", "silent"

_BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass
class Proxy:
    """What fails next, and what has been asked.

    `faults` come one a request, of those requests that `only` names, as ("GET", "data.csv").
    """

    backend: str
    address: str = ""
    faults: deque[str] = field(default_factory=deque)
    only: Callable[[str, str], bool] | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def fail(self, *faults: str, only: Callable[[str, str], bool] | None = None) -> None:
        """Let the next requests fail so."""
        self.faults = deque(faults)
        self.only = only

    def taken(self, method: str, path: str) -> str:
        is_meant = self.only is None or self.only(method, path)
        fault = self.faults.popleft() if self.faults and is_meant else ""
        self.asked.append((method, path, fault))
        return fault


@contextmanager
def faulty_proxy(backend: str) -> Iterator[Proxy]:
    """Stand before a service at an address as http://127.0.0.1:5000."""
    proxy = Proxy(backend)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self) -> None:
            fault = proxy.taken(self.command, self.path)
            body = self._body()
            if fault == SILENT:
                proxy.over.wait()
                self.close_connection = True
            elif fault == RESET:
                # Closing a socket that does not linger resets the connection.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
            elif fault == BUSY:
                self._send(503, [("Content-Type", "application/xml")], _BUSY, len(_BUSY))
            else:
                self._forward(body, cut=fault == CUT)

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _forward(self, body: bytes, *, cut: bool) -> None:
            connection = http.client.HTTPConnection(urlsplit(proxy.backend).netloc, timeout=60)
            left_out = ("transfer-encoding", "content-length", "connection")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in left_out}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            size = int(answer.headers.get("Content-Length") or len(content))
            kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in left_out]
            self._send(answer.status, kept, content[: len(content) // 2] if cut else content, size)
            if cut:
                self.connection.close()
                self.close_connection = True

        def _send(
            self, status: int, headers: list[tuple[str, str]], content: bytes, size: int
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
                self.wfile.flush()

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            server.shutdown()
