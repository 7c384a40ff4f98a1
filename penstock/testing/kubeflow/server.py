"""The server over HTTP, and what goes wrong between it and its clients."""

from __future__ import annotations

import contextlib
import enum
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.testing.kubeflow.playing import Play
from penstock.testing.kubeflow.refusals import Refusal, invalid
from penstock.testing.kubeflow.state import State

_API = "/apis/v2beta1"
_LISTS = {"page_token", "page_size", "sort_by", "filter", "namespace"}
_UPLOADS = {"name", "display_name", "description", "namespace"}
_LOGIN_PAGE = b"<!doctype html><html><title>Sign in</title><form>Password</form></html>"


class FaultKind(enum.Enum):
    """What can happen to a request."""

    DROP_BEFORE = "the connection is closed before the request takes effect"
    DROP_AFTER = "the request takes effect, and the connection is closed without an answer"
    TIMEOUT_BEFORE = "there is no answer, and no effect"
    TIMEOUT_AFTER = "there is an effect, but no answer"
    LATE = "there is no answer, and the effect comes when others have been answered"
    REPEAT = "the request is delivered twice, and answered once"
    STATUS_BEFORE = "the answer is a status of 500 or more, and there is no effect"
    STATUS_AFTER = "the answer is a status of 500 or more, and there is an effect"
    SLOW = "the answer takes its time"


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests that fit.

    `path` is a part of the path that they have; `status` counts for the kinds of that name;
    `seconds` is how long there is no answer, or `after` how many other requests an effect is late.
    """

    kind: FaultKind
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 503
    seconds: float = 5.0
    after: int = 3

    def fits(self, method: str, path: str) -> bool:
        """Say whether this happens to a request."""
        return self.times > 0 and self.method in ("", method) and self.path in path


@dataclass(frozen=True)
class Request:
    """A request that has arrived, and the status of its answer; 0 if it got none."""

    method: str
    path: str
    status: int


@dataclass
class _Late:
    requests: int
    effect: Callable[[], Any]


_Effect = Callable[[], Any]


@dataclass
class FakePipelines:
    """A server of Kubeflow Pipelines. Use it in a `with` statement.

    `tokens` are those that it accepts, if it asks for any; `namespaces` those of the user, where
    there are several users. `login_page` makes it answer as a proxy that wants a password does.
    `has_tasks` is that of servers without ML Metadata.
    """

    tokens: set[str] = field(default_factory=set)
    namespaces: set[str] | None = None
    login_page: bool = False
    play: Play = field(default_factory=Play)
    has_tasks: bool = False
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.namespaces, self.play, self.has_tasks)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._late: list[_Late] = []
        self._http: ThreadingHTTPServer | None = None

    def __enter__(self) -> FakePipelines:
        handler = type("Handler", (_Handler,), {"pipelines": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        serve = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        serve.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()

    @property
    def host(self) -> str:
        """The address that clients are given."""
        if self._http is None:
            raise RuntimeError("the server runs only within a with statement")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs, in the order of their creation."""
        return list(self.state.runs.values())

    @property
    def active_runs(self) -> list[dict[str, Any]]:
        """The runs that nobody has canceled."""
        return [
            run
            for run in self.runs
            if "CANCELING" not in (past["state"] for past in run["state_history"])
        ]

    @property
    def recurring_runs(self) -> list[dict[str, Any]]:
        """The recurring runs, in the order of their creation."""
        return list(self.state.recurring_runs.values())

    def set_play(self, play: Play) -> None:
        """Say what becomes of the runs that are created from now on."""
        self.state.play = play

    def set_state(self, run_id: str, state: str) -> None:
        """Put a run into a state."""
        self.state.playing[run_id].state = state
        self.state.runs[run_id]["state"] = state

    def trigger(self, recurring_run_id: str) -> dict[str, Any] | None:
        """Let the time of a recurring run come; None if it is disabled."""
        with self._lock:
            return self.state.trigger(recurring_run_id)

    def settle(self) -> None:
        """Let what is late take effect now."""
        with self._lock:
            for late in self._late:
                _quietly(late.effect)
            self._late.clear()

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Return what happens to a request, if anything does."""
        with self._lock:
            fault = next((f for f in self.faults if f.fits(method, path)), None)
            if fault is not None:
                fault.times -= 1
            return fault

    def perform(self, effect: _Effect) -> Any:
        """Let a request take effect, one at a time; what was late may come before."""
        with self._lock:
            for late in list(self._late):
                late.requests -= 1
                if late.requests <= 0:
                    self._late.remove(late)
                    _quietly(late.effect)
            return copy_of(effect())

    def delay(self, effect: _Effect, requests: int) -> None:
        """Let a request take effect only when others have been answered."""
        with self._lock:
            self._late.append(_Late(requests, effect))

    def wait(self, seconds: float) -> None:
        """Give no answer for a time, or until the server is closed."""
        self._closing.wait(seconds)

    def allows(self, authorization: str | None) -> bool:
        """Say whether a request has a token that is accepted."""
        return not self.tokens or (authorization or "").removeprefix("Bearer ") in self.tokens


def copy_of(answer: Any) -> Any:
    """Return an answer as it is at this moment."""
    return answer if isinstance(answer, str) else json.loads(json.dumps(answer))


def _quietly(effect: _Effect) -> None:
    try:
        effect()
    except Refusal:
        return


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: in two, each would wait for the client's word
    pipelines: FakePipelines

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what has arrived is in `requests`."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        fault = self.pipelines.take_fault(self.command, url.path)
        try:
            if not self._passes():
                return
            effect = self._effect(url.path, url.query, body)
        except Refusal as refusal:
            self._refuse(refusal, plain="/upload" in url.path)
            return
        if fault is None or fault.kind is FaultKind.SLOW:
            if fault is not None:
                self.pipelines.wait(fault.seconds)
            self._answer(effect, url.path)
        else:
            self._go_wrong(fault, effect, url.path)

    def _passes(self) -> bool:
        """Answer a request that is none for the server itself, and say whether it is one."""
        if self.pipelines.login_page:
            self._send(200, _LOGIN_PAGE, "text/html; charset=utf-8")
            return False
        if not self.pipelines.allows(self.headers.get("Authorization")):
            raise Refusal("UNAUTHENTICATED", "Request header error: the token is not valid")
        return True

    def _effect(self, path: str, query: str, body: bytes) -> _Effect:
        fields = dict(parse_qsl(query, keep_blank_values=True))
        fields = {name: value for name, value in fields.items() if value}
        state = self.pipelines.state
        for method, pattern, parameters, make in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                if unknown := set(fields) - parameters:
                    raise invalid(f"unknown query parameters: {sorted(unknown)}")
                names = [unquote(name) for name in match.groups()]
                call = _Call(names, fields, body, self.headers.get("Content-Type", ""))
                return lambda: make(state, call)
        raise Refusal("NOT_FOUND", f"Not Found: {self.command} {path}")

    def _go_wrong(self, fault: Fault, effect: _Effect, path: str) -> None:
        kind = fault.kind
        if kind is FaultKind.LATE:
            self.pipelines.delay(effect, fault.after)
        elif kind in (FaultKind.DROP_AFTER, FaultKind.TIMEOUT_AFTER, FaultKind.STATUS_AFTER):
            _quietly(lambda: self.pipelines.perform(effect))
        if kind is FaultKind.REPEAT:
            _quietly(lambda: self.pipelines.perform(effect))
            self._answer(effect, path)
        elif kind in (FaultKind.STATUS_BEFORE, FaultKind.STATUS_AFTER):
            self._send(fault.status, b"upstream connect error or disconnect", "text/plain")
        else:
            if kind in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER, FaultKind.LATE):
                self.pipelines.wait(fault.seconds)
            self._note(0)
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client may have given up before
                self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, effect: _Effect, path: str) -> None:
        is_log = path.endswith("/log")
        try:
            answer = self.pipelines.perform(effect)
        except Refusal as refusal:
            if not is_log:
                self._refuse(refusal, plain="/upload" in path)
                return
            # The real one has said 200 before it looks for the log.
            text = json.dumps(refusal.body(plain=True)).encode()
            self._send(200, text, "text/plain")
            return
        if is_log:
            self._send(200, answer.encode(), "text/plain")
        else:
            self._send(200, json.dumps(answer).encode(), "application/json")

    def _refuse(self, refusal: Refusal, *, plain: bool) -> None:
        body = json.dumps(refusal.body(plain=plain)).encode()
        self._send(refusal.status, body, "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _note(self, status: int) -> None:
        self.pipelines.requests.append(Request(self.command, self.path, status))


@dataclass(frozen=True)
class _Call:
    """What a request says: the names in its path, its query, its body."""

    names: list[str]
    query: dict[str, str]
    body: bytes
    content_type: str

    def json(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise invalid(f"invalid JSON: {error}") from None

    def file(self) -> bytes:
        """Return the uploaded file."""
        head = f"Content-Type: {self.content_type}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.body)
        payload: Iterable[Any] = parts.get_payload() if parts.is_multipart() else ()
        for part in payload:
            if part.get_param("name", header="content-disposition") == "uploadfile":
                name = part.get_filename() or ""
                if not name.endswith((".yaml", ".yml", ".json")):
                    raise invalid("Failed to read a pipeline spec file")
                content = part.get_payload(decode=True)
                return content if isinstance(content, bytes) else b""
        raise invalid("Failed to read pipeline from file")


_Make = Callable[[State, _Call], Any]
_ROUTES: tuple[tuple[str, str, set[str], _Make], ...] = (
    (
        "GET",
        f"{_API}/healthz",
        set(),
        lambda state, _: {"multi_user": state.namespaces is not None},
    ),
    ("POST", f"{_API}/pipelines", set(), lambda s, c: s.create_pipeline(c.json())),
    ("GET", f"{_API}/pipelines", _LISTS, lambda s, c: s.list_pipelines(c.query)),
    (
        "POST",
        f"{_API}/pipelines/upload",
        _UPLOADS,
        lambda s, c: s.upload_pipeline(c.file(), c.query),
    ),
    (
        "POST",
        f"{_API}/pipelines/upload_version",
        _UPLOADS | {"pipelineid"},
        lambda s, c: s.upload_version(c.file(), c.query),
    ),
    ("GET", f"{_API}/pipelines/([^/:]+)", set(), lambda s, c: s.get_pipeline(*c.names)),
    (
        "GET",
        f"{_API}/pipelines/([^/:]+)/versions",
        _LISTS,
        lambda s, c: s.list_versions(c.names[0], c.query),
    ),
    (
        "GET",
        f"{_API}/pipelines/([^/:]+)/versions/([^/:]+)",
        set(),
        lambda s, c: s.get_version(*c.names),
    ),
    ("POST", f"{_API}/experiments", set(), lambda s, c: s.create_experiment(c.json())),
    ("GET", f"{_API}/experiments", _LISTS, lambda s, c: s.list_experiments(c.query)),
    ("GET", f"{_API}/experiments/([^/:]+)", set(), lambda s, c: s.get_experiment(*c.names)),
    ("POST", f"{_API}/runs", set(), lambda s, c: s.create_run(c.json())),
    ("GET", f"{_API}/runs", _LISTS | {"experiment_id"}, lambda s, c: s.list_runs(c.query)),
    (
        "GET",
        f"{_API}/runs/([^/:]+)",
        {"view"},
        lambda s, c: s.get_run(c.names[0], c.query.get("view", "")),
    ),
    ("POST", f"{_API}/runs/([^/:]+):terminate", set(), lambda s, c: s.terminate_run(*c.names)),
    (
        "GET",
        "/apis/v1alpha1/runs/([^/:]+)/nodes/([^/:]+)/log",
        set(),
        lambda s, c: s.read_log(*c.names),
    ),
    ("POST", f"{_API}/recurringruns", set(), lambda s, c: s.create_recurring_run(c.json())),
    (
        "GET",
        f"{_API}/recurringruns",
        _LISTS | {"experiment_id"},
        lambda s, c: s.list_recurring_runs(c.query),
    ),
    ("GET", f"{_API}/recurringruns/([^/:]+)", set(), lambda s, c: s.get_recurring_run(*c.names)),
    (
        "DELETE",
        f"{_API}/recurringruns/([^/:]+)",
        {"propagation_policy"},
        lambda s, c: s.delete_recurring_run(*c.names),
    ),
    (
        "POST",
        f"{_API}/recurringruns/([^/:]+):enable",
        set(),
        lambda s, c: s.switch(*c.names, on=True),
    ),
    (
        "POST",
        f"{_API}/recurringruns/([^/:]+):disable",
        set(),
        lambda s, c: s.switch(*c.names, on=False),
    ),
)
