"""A connection that leads to no request is held for a while alone, and so are its bytes."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from penstock_support.prediction_server import PredictionServer, wait_for

pytestmark = pytest.mark.needs("sklearn", "uvloop")

HEAD = b"POST /predict/people HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = b'{"age": 70, "income": 20000.0}'
SIZE = b"Content-Length: %d\r\n\r\n" % len(BODY)


def connected(server: PredictionServer) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=30)


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    said = b""
    while piece := connection.recv(1 << 16):
        said += piece
    return said


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"GET /livez HTTP/1.1\r\nX-A: ", id="one header"),
        pytest.param(b"GET /livez?", id="the address"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", id="a trailer"),
    ],
)
def test_a_head_without_an_end_is_refused(server: PredictionServer, endless: bytes) -> None:
    with connected(server) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(endless)
        for _ in range(1000):
            connection.sendall(b"a" * 100_000)


def test_a_head_that_is_too_long_is_told_so(server: PredictionServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        while True:
            connection.sendall(b"X-A: %s\r\n" % (b"a" * 1000))
            connection.settimeout(0.02)
            try:
                said = connection.recv(1 << 16)
                break
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 431 ")
    assert said.endswith(b'{"error": "a request may have 65536 bytes before its body"}')


@pytest.mark.parametrize("begun", [b"", HEAD, b"\r\n"])
def test_who_sends_no_request_is_told_so_after_a_while(
    start: Callable[..., PredictionServer], begun: bytes
) -> None:
    server = start("--timeout", "0.5")
    with connected(server) as connection:
        connection.sendall(begun)
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_second_request_has_to_come_too(start: Callable[..., PredictionServer]) -> None:
    server = start("--timeout", "0.5")
    with connected(server) as connection:
        connection.sendall(HEAD + SIZE + BODY)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        connection.sendall(HEAD)
        assert b"HTTP/1.1 408 " in rest(connection)


def test_the_rest_of_a_body_that_was_refused_is_not_waited_for(
    start: Callable[..., PredictionServer],
) -> None:
    server = start("--timeout", "0.5")
    with connected(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 20000000\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
        connection.sendall(b"[")
        assert b"HTTP/1.1" not in rest(connection)


def test_bodies_together_are_bounded(start: Callable[..., PredictionServer]) -> None:
    server = start("--max-body", "0.1", "--timeout", "20")
    begun = HEAD + b"Content-Length: 99000\r\n\r\n" + b" " * 90_000
    with ExitStack() as held:
        several = [held.enter_context(connected(server)) for _ in range(80)]
        for connection in several:
            connection.sendall(begun)
        refused, _, _ = select.select(several, [], [], 20)
        said = b""
        while b"}" not in said:
            piece = refused[0].recv(1 << 16)
            assert piece
            said += piece
        assert said.startswith(b"HTTP/1.1 429 ")
        assert b"requests for people have more than 6400000 bytes already" in said
    wait_for(lambda: server.post("/predict/people", BODY)[0] == 200, server)


def test_nothing_is_asked_by_who_has_gone(server: PredictionServer) -> None:
    def gone() -> float:
        lines = server.get("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if 'status="499"' in line)

    before = gone()
    with connected(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 2000\r\n\r\n" + BODY)
    wait_for(lambda: gone() > before, server)


def test_a_request_that_came_while_the_server_stood_still_is_answered(
    server: PredictionServer,
) -> None:
    with connected(server) as used, connected(server) as unused:
        used.sendall(HEAD + SIZE + BODY)
        assert used.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            used.sendall(HEAD + b"Connection: close\r\n" + SIZE + BODY)
            unused.sendall(HEAD + b"Connection: close\r\n" + SIZE + BODY)
            time.sleep(6)  # longer than a connection is kept that nobody uses
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert b"HTTP/1.1 200 " in rest(used)
        assert b"HTTP/1.1 200 " in rest(unused)


def test_a_large_body_and_requests_at_once_are_none_of_that(server: PredictionServer) -> None:
    body = b" " * 3_000_000 + BODY
    with connected(server) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.sendall((HEAD + SIZE + BODY) * 50)
        said = b""
        while said.count(b"HTTP/1.1 200 ") < 51:
            piece = connection.recv(1 << 16)
            assert piece
            said += piece
