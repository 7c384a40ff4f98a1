"""Servers that alerts are sent to, each strict: webhooks, an Alertmanager, and one of email."""

from __future__ import annotations

import base64
import json
import re
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# What a server answers: its status, its text and more headers.
Answer = tuple[int, str, dict[str, str]]


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebServer:
    """A server that keeps what is posted, and answers as it is told.

    `answers` are its next ones, after which it answers with 200. It says nothing while `is_silent`
    is set.
    """

    port: int = 0
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    silence: threading.Event = field(default_factory=threading.Event)
    check: Callable[[Received], Answer] = lambda _: (200, "ok", {})

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def answer(self, status: int, text: str = "", **headers: str) -> None:
        self.answers.append((status, text, headers))


@contextmanager
def web_server(
    *,
    signed: Any = None,
    port: int = 0,
    check: Callable[[Received], Answer] = lambda _: (200, "ok", {}),
) -> Iterator[WebServer]:
    """Serve at localhost, over TLS where there is a certificate."""
    server = WebServer(scheme="https" if signed else "http", check=check)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received(self.path, dict(self.headers), body)
            server.received.append(received)
            if server.silence.is_set():
                ended.wait()
                return
            status, text, headers = (
                server.answers.pop(0) if server.answers else server.check(received)
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    ended = threading.Event()
    listening = ThreadingHTTPServer(("localhost", port), Handler)
    listening.daemon_threads = True
    listening.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client hangs up
    if signed:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificate, signed.key)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def alertmanager_answer(received: Received) -> Answer:
    """Answer as API v2 of Alertmanager does: postableAlerts, and what it says of each."""
    if urlsplit(received.path).path != "/api/v2/alerts":
        return 404, "not found", {}
    if received.headers.get("Content-Type") != "application/json":
        return 415, "unsupported media type", {}
    try:
        for alert in received.content:
            _check_alert(alert)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return 400, json.dumps(str(error)), {"Content-Type": "application/json"}
    return 200, "", {}


def _check_alert(alert: Any) -> None:
    unknown = set(alert) - {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    if unknown:
        raise ValueError(f"{unknown} is no property of postableAlert")
    if not alert["labels"].get("alertname"):
        raise ValueError("at least one label pair required")
    for group in ("labels", "annotations"):
        for name, value in alert.get(group, {}).items():
            if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) or not isinstance(value, str):
                raise ValueError(f"invalid label {name!r}={value!r}")
            value.encode()
    times = [datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt")]
    if any(at.tzinfo is None for at in times):
        raise ValueError("expected date-time of RFC 3339")
    if times[1] < times[0]:
        raise ValueError("start time must be before end time")
    if "generatorURL" in alert and not urlsplit(alert["generatorURL"]).scheme:
        raise ValueError("generatorURL in body must be of type uri")


@dataclass
class MailServer:
    """A server that takes email, and is strict: its lines are of ASCII, and end in CRLF.

    It asks for `user` and `password` where there are such, and answers RCPT and DATA as told.
    """

    port: int = 0
    user: str = ""
    password: str = ""
    taken: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    was_encrypted: list[bool] = field(default_factory=list)


@contextmanager
def mail_server(
    *, signed: Any = None, implicit: bool = False, user: str = "", password: str = "", port: int = 0
) -> Iterator[MailServer]:
    """Serve SMTP at localhost: with STARTTLS where there is a certificate, or TLS at once."""
    server = MailServer(user=user, password=password)
    context = None
    if signed:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificate, signed.key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # A client that does not trust the certificate hangs up.
            with suppress(OSError, ValueError):
                _Session(server, self.request, context, implicit).run()

    class Listening(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    listening = Listening(("localhost", port), Handler)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


class _Session:
    def __init__(self, server: MailServer, connection: Any, context: Any, implicit: bool) -> None:
        self.server, self.context, self.is_encrypted = server, context, False
        self.connection = connection
        if implicit:
            self._encrypt()
        self.file = self.connection.makefile("rb")
        self.sender, self.to = "", []
        self.is_known = not server.user

    def run(self) -> None:
        self.say("220 localhost ESMTP")
        while line := self.file.readline(2000):
            if not line.endswith(b"\r\n"):
                self.say("500 a line ends in CRLF")
                return
            word, _, rest = line.decode("ascii").strip().partition(" ")
            known = getattr(self, f"on_{word.lower()}", None)
            if known is None:
                self.say("502 not implemented")
            elif known(rest) is False:
                return

    def say(self, text: str) -> None:
        self.connection.sendall(text.encode() + b"\r\n")

    def _encrypt(self) -> None:
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.is_encrypted = True

    def on_ehlo(self, _: str) -> None:
        offered = ["localhost"]
        if self.context is not None and not self.is_encrypted:
            offered.append("STARTTLS")
        if self.server.user and (self.is_encrypted or self.context is None):
            offered.append("AUTH PLAIN")
        for each in offered[:-1]:
            self.say(f"250-{each}")
        self.say(f"250 {offered[-1]}")

    def on_starttls(self, _: str) -> None:
        self.say("220 go on")
        self._encrypt()
        self.file = self.connection.makefile("rb")

    def on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        self.is_known = (user, password) == (self.server.user, self.server.password)
        self.say("235 welcome" if self.is_known else f"535 {password} is not right")

    def on_mail(self, rest: str) -> None:
        self.sender, self.to = rest, []
        self.say("250 ok" if self.is_known else "530 who are you?")

    def on_rcpt(self, rest: str) -> None:
        answer = self._told("RCPT")
        if answer.startswith("2"):
            self.to.append(re.findall("<(.*)>", rest)[0])
        self.say(answer)

    def on_data(self, _: str) -> None:
        answer = self._told("DATA")
        self.say("354 go on")
        content = b""
        while (line := self.file.readline()) != b".\r\n":
            assert line.endswith(b"\r\n")
            assert line.isascii()  # it does not say 8BITMIME
            content += line[1:] if line.startswith(b"..") else line
        if answer.startswith("2"):
            self.server.taken.append((self.sender, self.to, content))
            self.server.was_encrypted.append(self.is_encrypted)
        self.say(answer)

    def on_rset(self, _: str) -> None:
        self.say("250 ok")

    def on_quit(self, _: str) -> bool:
        self.say("221 bye")
        return False

    def _told(self, word: str) -> str:
        answers = self.server.answers.get(word, [])
        return answers.pop(0) if answers else "250 ok"
