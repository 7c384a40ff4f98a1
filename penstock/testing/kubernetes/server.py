"""The API over HTTP, and what goes wrong between it and its clients."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from penstock.testing.kubernetes import schemas
from penstock.testing.kubernetes.revisions import Revisions

_PATHS = (
    (
        re.compile(
            r"/apis/serving\.kserve\.io/v1beta1/namespaces/([^/]+)/inferenceservices(?:/([^/]+))?"
        ),
        schemas.INFERENCE_SERVICE,
    ),
    (re.compile(r"/api/v1/namespaces/([^/]+)/configmaps(?:/([^/]+))?"), schemas.CONFIG_MAP),
)
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_MERGE_PATCH = "application/merge-patch+json"


class _Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass
class KubernetesServer:
    """A cluster with KServe, as far as its API shows it.

    With a `token`, whoever asks must send it. Storages in `broken` do not load, those in `slow` do
    when they are taken out and `settle` is called. `lose` has the answers that get lost, the first
    one first: `before` a request takes effect or `after` it.
    """

    token: str = ""
    broken: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    lose: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    _revisions: dict[tuple[str, str], Revisions] = field(default_factory=dict)
    _changes: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _http: ThreadingHTTPServer | None = None

    def __enter__(self) -> KubernetesServer:
        methods = {f"do_{method}": _handling(self) for method in _METHODS}
        handler = type("Handler", (_Handler,), methods)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        serve = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        serve.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """The address of the API."""
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def serving(self, namespace: str, name: str) -> dict[str, int]:
        """Return how many percent of a service's callers each storage answers."""
        return self._revisions[namespace, name].serving()

    def settle(self) -> None:
        """Let controllers look at all services again."""
        with self._lock:
            for (kind, namespace, name), service in self.objects.items():
                if kind == "InferenceService":
                    self._follow(namespace, name, service)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        lost = self.lose.pop(0) if self.lose and handler.command != "GET" else ""
        if lost == "before":
            handler.close_connection = True
            return
        try:
            status, content = self._respond(handler, body)
        except _Refusal as refusal:
            status, content = refusal.code, _status_of(refusal)
        self.requests.append(f"{handler.command} {handler.path} {status}")
        if lost == "after":
            handler.close_connection = True
            return
        answer = json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _respond(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            raise _Refusal(401, "Unauthorized", "Unauthorized")
        address = urlsplit(handler.path)
        schema, namespace, name = _asked(address.path)
        strict = parse_qs(address.query).get("fieldValidation") == ["Strict"]
        kind = schema.fields["kind"].choices[0]
        with self._lock:
            if handler.command == "GET" and name:
                return 200, self._found(kind, namespace, name)
            content = _content(handler, body)
            if handler.command == "POST" and not name:
                return 201, self._create(schema, kind, namespace, content, strict)
            if handler.command == "PATCH" and name:
                return 200, self._patch(schema, kind, namespace, name, content, strict)
        raise _Refusal(405, "MethodNotAllowed", f"{handler.command} is not supported")

    def _create(
        self, schema: schemas.Table, kind: str, namespace: str, content: Any, strict: bool
    ) -> dict[str, Any]:
        name = str((content.get("metadata") or {}).get("name"))
        if (kind, namespace, name) in self.objects:
            raise _Refusal(409, "AlreadyExists", f'{kind} "{name}" already exists')
        _check(schema, content, strict)
        if content["metadata"].get("namespace", namespace) != namespace:
            raise _Refusal(400, "BadRequest", "the namespace is not that of the request")
        made = copy.deepcopy(content)
        made["metadata"].update(namespace=namespace, generation=1)
        return self._keep(kind, namespace, name, made)

    def _patch(
        self,
        schema: schemas.Table,
        kind: str,
        namespace: str,
        name: str,
        content: Any,
        strict: bool,
    ) -> dict[str, Any]:
        known = self._found(kind, namespace, name)
        version = (content.get("metadata") or {}).get("resourceVersion")
        if version not in (None, known["metadata"]["resourceVersion"]):
            message = f'the object has been modified; {kind} "{name}" is newer'
            raise _Refusal(409, "Conflict", message)
        changed = _merged(known, content)
        _check(schema, changed, strict)
        if changed.get("spec") != known.get("spec"):
            changed["metadata"]["generation"] = known["metadata"]["generation"] + 1
        if changed == known:
            return known
        return self._keep(kind, namespace, name, changed)

    def _keep(self, kind: str, namespace: str, name: str, content: Any) -> dict[str, Any]:
        self._changes += 1
        content["metadata"]["resourceVersion"] = str(self._changes)
        self.objects[kind, namespace, name] = content
        if kind == "InferenceService":
            self._follow(namespace, name, content)
        return copy.deepcopy(content)

    def _follow(self, namespace: str, name: str, service: dict[str, Any]) -> None:
        revisions = self._revisions.setdefault((namespace, name), Revisions(name))
        before = copy.deepcopy(service.get("status"))
        revisions.follow(service, broken=self.broken, slow=self.slow)
        if service["status"] != before:
            self._changes += 1
            service["metadata"]["resourceVersion"] = str(self._changes)

    def _found(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise _Refusal(404, "NotFound", f'{kind} "{name}" not found')
        return copy.deepcopy(found)


def _asked(path: str) -> tuple[schemas.Table, str, str]:
    """Return the schema of what a path names, its namespace, and its name, "" for all."""
    for pattern, schema in _PATHS:
        if match := pattern.fullmatch(path):
            return schema, match.group(1), match.group(2) or ""
    raise _Refusal(404, "NotFound", f"the server could not find {path}")


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _handling(server: KubernetesServer) -> Callable[[BaseHTTPRequestHandler], None]:
    def handle(handler: BaseHTTPRequestHandler) -> None:
        server.answer(handler)

    return handle


def _content(handler: BaseHTTPRequestHandler, body: bytes) -> Any:
    expected = _MERGE_PATCH if handler.command == "PATCH" else "application/json"
    given = handler.headers.get("Content-Type", "")
    if given.partition(";")[0] != expected:
        raise _Refusal(415, "UnsupportedMediaType", f"{given} is not accepted: {expected}")
    try:
        content = json.loads(body)
    except ValueError as error:
        raise _Refusal(400, "BadRequest", f"the body cannot be decoded: {error}") from None
    if not isinstance(content, dict):
        raise _Refusal(400, "BadRequest", "the body is no object")
    return content


def _check(schema: schemas.Table, content: Any, strict: bool) -> None:
    unknown = list(schemas.unknown_fields(schema, content))
    if unknown and strict:
        fields = ", ".join(f'unknown field "{place}"' for place in unknown)
        raise _Refusal(400, "BadRequest", f"strict decoding error: {fields}")
    wrong = list(schemas.faults(schema, content))
    if wrong:
        raise _Refusal(422, "Invalid", "; ".join(wrong))


def _merged(known: Any, patch: Any) -> Any:
    """Return an object after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(known) if isinstance(known, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _status_of(refusal: _Refusal) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": refusal.message,
        "reason": refusal.reason,
        "code": refusal.code,
    }
