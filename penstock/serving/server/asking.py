"""Requests for predictions, from the socket to a worker and back: the path that has to be short."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from penstock.serving.frames import Answer
from penstock.serving.log.rows import Answered
from penstock.serving.protocols import CLASSIFY, INFER, PREDICT, REGRESS, ROWS
from penstock.serving.protocols.form import short
from penstock.serving.routes import CANARY, PRODUCTION, SHADOW
from penstock.serving.server.bodies import BodyShare
from penstock.serving.server.models import (
    OverloadedError,
    ServedModel,
    UnknownModelError,
    model_named,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_VERBS = {"predict": PREDICT, "classify": CLASSIFY, "regress": REGRESS}
# Names that callers may know the roles by, TensorFlow Serving's customary ones among them.
_LABELS = {PRODUCTION: PRODUCTION, "stable": PRODUCTION, CANARY: CANARY, SHADOW: SHADOW}
_HEAD = b"inference-header-content-length"
_JSON = b"application/json"
_BINARY = b"application/octet-stream"
# Read by nobody, and counted for no version.
_GONE = 499
_RETRY = (b"retry-after", b"1")
_HEADER = "header:"
# Longer numbers are those of no version, and Python refuses to read the longest.
_DIGITS = 19
_COLUMN = "column:"


@dataclass(frozen=True)
class Asking:
    """What an address asks: a model, in a form, maybe of one version or the one in a role."""

    model: ServedModel
    verb: int
    version: int | None = None
    label: str = ""


class DisconnectedError(Exception):
    """Who asks has gone before all of the body came."""


class TooLargeError(Exception):
    """A body has more bytes than a server reads."""


def asking(path: str, models: Mapping[str, ServedModel]) -> Asking | None:
    """Return what an address asks; None where it is none of those for predictions.

    Raises:
      UnknownModelError: it names a model that is not there.
    """
    parts = path.split("/")[1:]
    match parts:
        case ["predict", name]:
            return _asking(models, name, ROWS)
        case ["v1", "models", *rest] if rest and ":" in rest[-1]:
            rest[-1], _, verb = rest[-1].rpartition(":")
            if verb in _VERBS:
                return _of(models, rest, _VERBS[verb])
        case ["v2", "models", *rest, "infer"]:
            return _of(models, rest, INFER)
    return None


def _of(models: Mapping[str, ServedModel], parts: list[str], verb: int) -> Asking | None:
    match parts:
        case [name]:
            return _asking(models, name, verb)
        case [name, "versions", text]:
            number = version_number(text)
            if number is None:
                raise UnknownModelError(f"expected the number of a version, got {short(text)}")
            return _asking(models, name, verb, version=number)
        case [name, "labels", label] if label in _LABELS:
            return _asking(models, name, verb, label=_LABELS[label])
    return None


def version_number(text: str) -> int | None:
    """Return the number of a version as callers write it; None where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _asking(
    models: Mapping[str, ServedModel],
    name: str,
    verb: int,
    *,
    version: int | None = None,
    label: str = "",
) -> Asking:
    return Asking(model_named(models, name), verb, version, label)


async def answer(asked: Asking, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for predictions."""
    started = time.monotonic()
    model = asked.model
    with BodyShare(model) as share:
        status, body, headers = await _answered(asked, scope, receive, share, started)
    version, role = headers.pop("version", 0), headers.pop("role", "")
    work, request_id = headers.pop("work", 0.0), headers.pop("request_id", "")
    rows = headers.pop("rows", 0)
    taken = time.monotonic() - started
    model.answered(version, role, status, taken, work, rows, headers=scope["headers"])
    head = headers.pop("head", 0)
    lines = [
        (b"content-type", _BINARY if head else _JSON),
        (b"content-length", str(len(body)).encode()),
    ]
    if head:
        lines.append((_HEAD, str(head).encode()))
    if request_id:
        lines.append((b"x-request-id", request_id.encode()))
    if version:
        lines.append((b"x-model-version", str(version).encode()))
    if status in (429, 503):
        lines.append(_RETRY)
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def _answered(
    asked: Asking, scope: Scope, receive: Receive, share: BodyShare, started: float
) -> tuple[int, bytes, dict[str, Any]]:
    headers, limits = scope["headers"], asked.model.limits
    if (refused := refusal(asked.model)) is not None:
        return 429, error_body(refused), {}
    coding = header(headers, b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        named = coding[:40].decode("latin-1")
        return 415, error_body(f"expected a body without Content-Encoding, got {named!r}"), {}
    try:
        async with asyncio.timeout(limits.request_seconds):
            body = await read_body(receive, headers, limits.body_bytes, share)
    except TimeoutError:
        return 408, error_body("the body of the request did not come"), {}
    except DisconnectedError:
        return _GONE, b"", {}
    except OverloadedError as error:
        return 429, error_body(str(error)), {}
    except TooLargeError:
        said = f"a request may have {limits.body_bytes} bytes; send fewer rows at a time"
        return 413, error_body(said), {}
    head = 0
    if asked.verb == INFER:
        text = header(headers, _HEAD) or b"0"
        head = int(text) if text.isdigit() and len(text) < 12 else -1
        if not 0 <= head <= len(body):
            said = "Inference-Header-Content-Length should be a part of the body"
            return 400, error_body(said), {}
    result, seen = await asked_of_model(asked, body, head, headers, started)
    return result.status, result.body, {**seen, "head": result.head}


def refusal(model: ServedModel) -> str | None:
    """Return why no more requests for a model are taken on, counted; None where they are."""
    if model.waiting() < model.limits.queue:
        return None
    model.refusals += 1
    return f"{model.limits.queue} requests for {model.name} wait already"


async def asked_of_model(
    asked: Asking, body: bytes, head: int, headers: Any, started: float
) -> tuple[Answer, dict[str, Any]]:
    """Return a model's answer, and the version and the role that gave it.

    `headers` are pairs of bytes: the routes may know a caller by one of them.
    """
    model, caller, routes = asked.model, "", asked.model.routes
    if routes is not None and routes.canary is not None and routes.key:
        caller = _caller(routes.key, headers, body)
    number = asked.version
    if asked.label:
        number = _in_role(model, asked.label)
        if number is None:
            said = f"no version of {model.name} is the {asked.label}"
            return Answer(404, error_body(said)), {}
    recorder, request_id = model.recorder, ""
    if recorder is not None:
        request_id = recorder.request_id(header(headers, b"x-request-id"))
    is_logged = recorder is not None and recorder.policy.has(request_id)
    question = {
        "verb": asked.verb,
        "body": body,
        "head": head,
        "deadline": started + model.limits.request_seconds,
        "summarized": is_logged,
    }
    future, version, role = model.ask(question, caller, number)
    seen = {"version": version, "role": role, "request_id": request_id}
    if future is None:
        return Answer(*_unanswered(model, number)), seen
    answered = await future
    if recorder is not None and is_logged and answered.status == 200:
        had_room = recorder.record(
            Answered(
                model=model.name,
                version=version,
                role=role,
                request_id=request_id,
                at=recorder.time_of(headers),
                seconds=time.monotonic() - started,
                verb=asked.verb,
                head=head,
                body=body,
                summary=answered.summary,
            ),
            model.versions[version].facts if version in model.versions else {},
        )
        if not had_room:
            model.measured_of(version, role).log_dropped += 1
    return answered, {**seen, "work": answered.seconds, "rows": answered.rows}


def _unanswered(model: ServedModel, number: int | None) -> tuple[int, bytes]:
    if number is not None and number not in model.versions:
        known = ", ".join(map(str, sorted(model.versions))) or "none"
        said = f"there is no version {number} of {model.name} here, but {known}"
        return 404, error_body(said)
    if number is None and model.routes is not None:
        number = model.routes.production
    version = model.versions.get(number) if number is not None else None
    trouble = (version.trouble or version.reason) if version is not None else model.trouble
    reason = f": {trouble}" if trouble else ""
    return 503, error_body(f"{model.name} is not ready{reason}")


def _in_role(model: ServedModel, role: str) -> int | None:
    routes = model.routes
    if routes is None:
        return None
    if role == PRODUCTION:
        return routes.production
    share = routes.canary if role == CANARY else routes.shadow
    return None if share is None else share.version


async def read_body(
    receive: Receive, headers: Any, most: int, share: BodyShare | None = None
) -> bytes:
    """Return the body of a request, whose bytes are taken of a share.

    Raises:
      TooLargeError: it has more bytes than `most`.
      OverloadedError: the bodies of all requests have too many.
      DisconnectedError: who asks has gone.
    """
    declared = header(headers, b"content-length")
    if declared is not None and int(declared) > most:
        raise TooLargeError
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > most:
            raise TooLargeError
        if share is not None:
            share.add(len(piece))
        if not message.get("more_body"):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


def header(headers: Any, name: bytes) -> bytes | None:
    """Return the value of a header; None where there is none."""
    return next((value for key, value in headers if key == name), None)


def _caller(key: str, headers: Any, body: bytes) -> str:
    """Return what makes a caller: a header, or a column of the first row; "" if it has none."""
    if key.startswith(_HEADER):
        value = header(headers, key.removeprefix(_HEADER).lower().encode())
        return "" if value is None else value.decode("latin-1")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(content, dict):
        content = content.get("instances", content)
    if isinstance(content, list):
        content = content[0] if content else {}
    value = content.get(key.removeprefix(_COLUMN)) if isinstance(content, dict) else None
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value)


def error_body(message: str) -> bytes:
    """Return the body that says what is wrong."""
    return json.dumps({"error": message}).encode()
