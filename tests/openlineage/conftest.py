"""A receiver of events: a real HTTP server that behaves as a test asks it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; `behave` answers in place of the usual 201."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behave: Callable[[Any], bool] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave = behave
        self.events: list[Any] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers)))
        if self.server.behave is not None and self.server.behave(self):
            return
        self.server.events.append(json.loads(body))
        self.answer(201)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def always(status: int) -> Callable[[Any], bool]:
    """Answer every event with a status."""

    def behave(handler: Any) -> bool:
        handler.answer(status)
        return True

    return behave


def hang(handler: Any) -> bool:
    """Answer nothing until the test is over."""
    handler.server.released.wait()
    handler.close_connection = True
    return True


def close_at_once(handler: Any) -> bool:
    """Close the connection in place of an answer."""
    handler.close_connection = True
    return True


def close_half_way(handler: Any) -> bool:
    """Promise a long answer and close the connection in the middle of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True
    return True


BEHAVIOURS = {
    "fails": always(500),
    "refuses": always(403),
    "hangs": hang,
    "closes": close_at_once,
    "closes half-way": close_half_way,
}


@contextmanager
def running(behave: Callable[[Any], bool] | None = None) -> Iterator[Receiver]:
    receiver = Receiver(behave)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.shutdown()
        thread.join()
        receiver.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes every event."""
    with running() as server:
        yield server


@pytest.fixture
def receiver_that() -> Iterator[Callable[[str], Receiver]]:
    """Start a receiver that misbehaves: receiver_that("hangs")."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda name: stack.enter_context(running(BEHAVIOURS[name]))


@pytest.fixture
def closed_port() -> int:
    """A port where nothing listens."""
    with running() as server:
        return server.server_port
